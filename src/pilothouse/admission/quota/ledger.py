"""Keeps `status.used` of quotas: charges before a write, refunds after one that failed, counts again.

All of a namespace goes through one task, which takes what has come up meanwhile together: many concurrent
creators make few writes of the quota. A write is a compare-and-set on the quota object, so that several
servers over one store never charge past a limit: the one that loses judges again by what is stored now.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from weakref import WeakSet

from pilothouse import errors
from pilothouse.admission.quota import scopes
from pilothouse.admission.quota.amounts import ZERO
from pilothouse.admission.quota.evaluators import evaluators
from pilothouse.admission.quota.judge import Account, QuotaRequest
from pilothouse.api.values.fields import Object
from pilothouse.api.values.pod_resources import Amounts, add, amounts
from pilothouse.registry.client import Client
from pilothouse.registry.store import decode

ATTEMPTS = 64
"""Rounds after lost compare-and-sets, before a request is told that there is a conflict."""
AT_ONCE = 100
"""Objects that are counted before the loop gets a turn."""
LOST = 120.0
"""Seconds after which a charge is no longer waited for: its write has had no outcome."""
SETTLE = 1.0
"""Seconds for writes that another server has charged to arrive, before a count may lower what is used."""


class Moved(Exception):
    """The quota was changed or deleted since it was judged."""


class LedgerStep:
    """One step of work on the quotas of a namespace; `done` gets its outcome."""

    def __init__(self) -> None:
        self.done: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()

    async def enter(self, accounts: dict[str, Account]) -> None:
        """Change the accounts; a StatusError ends the step."""
        raise NotImplementedError

    def written(self, moved: set[str]) -> None:
        """The accounts were stored, but for those that have moved."""
        raise NotImplementedError

    async def outcome(self) -> float | None:
        """Wait for the outcome. Who is cancelled while waiting does not end the step itself."""
        return await asyncio.shield(self.done)

    def finish(self, outcome: float | None = None) -> None:
        if not self.done.done():
            self.done.set_result(outcome)

    def fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Charge(LedgerStep):
    """One request. `taken` is what its quotas have been charged, by name;
    `entered` what this round is about to.

    `key` is the storage key of the object, `at` when the request came, in the ledger's seconds.
    """

    def __init__(self, ledger: "Ledger", question: QuotaRequest, key: str, at: float) -> None:
        super().__init__()
        self.ledger = ledger
        self.question = question
        self.namespace = question.attributes.namespace
        self.key = key
        self.at = at
        self.taken: dict[str, Amounts] = {}
        self.entered: dict[str, Amounts] = {}
        self._judged = False
        self._abandoned = False

    def is_in(self, value: bytes) -> bool:
        """Whether the stored object shows that the charged write was made, or that it never will be."""
        a = self.question.attributes
        if a.operation != "CREATE":
            return True
        assert a.obj is not None
        return f'"uid":"{a.obj["metadata"].get("uid", "")}"'.encode() in value

    async def enter(self, accounts: dict[str, Account]) -> None:
        self.entered = {}
        if self._abandoned:
            self._leave()
            return
        question = self.question if not self._judged else self.question._replace(limited=())
        deltas = question.deltas(a for name, a in accounts.items() if name not in self.taken)
        self._judged = True
        if self.question.attributes.dry_run:
            self.finish()
            return
        for name, delta in deltas.items():
            accounts[name].charge(delta)
        self.entered = deltas

    def written(self, moved: set[str]) -> None:
        for name, delta in self.entered.items():
            if name not in moved:
                self.taken[name] = delta
        if self._abandoned:
            self._leave()
        elif not moved & self.entered.keys():
            self.finish()
            self.ledger.wait_for(self)

    def _leave(self) -> None:
        """End without a charge: nobody waits for it any more."""
        if self.taken:
            self.ledger.put(self.namespace, Refund(self))
        self.finish()

    async def give_back(self) -> None:
        """The write did not happen."""
        if not self.done.done():
            self._abandoned = True
        elif self.taken:
            refund = Refund(self)
            self.ledger.put(self.namespace, refund)
            await refund.outcome()


class Refund(LedgerStep):
    """Gives back what a request has taken, unless the quota has been counted again since."""

    def __init__(self, charge: Charge) -> None:
        super().__init__()
        self.charge = charge

    async def enter(self, accounts: dict[str, Account]) -> None:
        for name, delta in self.charge.taken.items():
            if name in accounts:
                accounts[name].refund(delta)

    def written(self, moved: set[str]) -> None:
        taken = self.charge.taken
        for name in list(taken):
            if name not in moved:
                del taken[name]
        if not taken:
            self.charge.ledger.forget(self.charge)
            self.finish()


class Count(LedgerStep):
    """Counts what is used of one quota again (the quota controller's syncResourceQuota).

    Requests that were charged and whose objects are not there yet are counted, too. The outcome is None, or
    the seconds after which to try again.
    """

    def __init__(self, ledger: "Ledger", namespace: str, name: str) -> None:
        super().__init__()
        self.ledger = ledger
        self.namespace = namespace
        self.name = name
        self.landed: list[Charge] = []

    async def enter(self, accounts: dict[str, Account]) -> None:
        account = accounts.get(self.name)
        if account is None:
            self.finish()
            return
        coming, self.landed = self.ledger.charges(self.namespace)
        hard = amounts((account.quota.get("spec") or {}).get("hard"))
        used = await self.ledger.count(self.namespace, account.quota, hard)
        for charge in coming:
            add(used, {n: v for n, v in charge.taken.get(self.name, {}).items() if n in used})
        if account.hard == hard and account.used == used:
            return  # written() is called all the same
        lower = any(used.get(name, ZERO) < amount for name, amount in account.used.items())
        wait = self.ledger.unsettled(self.namespace, self.name) if lower else 0.0
        if wait > 0:
            self.finish(wait)
            return
        account.hard, account.used, account.touched = hard, used, True

    def written(self, moved: set[str]) -> None:
        if self.name in moved:
            return
        for charge in self.landed:
            charge.taken.pop(self.name, None)
        self.finish()


class Ledger:
    """The quotas of a server by namespace, and what is being done with them.

    `clock` gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.quotas: dict[str, dict[str, Object]] = {}
        self.counter: Client | None = None
        """Writes what a controller has counted again.
        With it, charges are known until their objects are there."""
        self._clock = clock
        self._client: Client
        self._todo: dict[str, list[LedgerStep]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._coming: dict[str, list[Charge]] = {}
        self._landed: WeakSet[Charge] = WeakSet()
        self._changed: dict[tuple[str, str], float] = {}

    def follow(self, client: Client) -> None:
        """Know the quotas of the cluster from now on; `client` writes their status."""
        self._client = client
        client.readers.subscribe("resourcequotas", self._follow)

    def _follow(self, key: str, new: Object | None, old: Object | None) -> None:
        namespace, name = key.split("/")[-2:]
        if new is not None:
            self.quotas.setdefault(namespace, {})[name] = new
            if self._client.store.storage.others_write:
                self._changed[namespace, name] = self._clock()
            return
        self._changed.pop((namespace, name), None)
        found = self.quotas.get(namespace, {})
        found.pop(name, None)
        if not found:
            self.quotas.pop(namespace, None)

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # Steps

    def charge(self, question: QuotaRequest) -> Charge:
        """Charge a request; await the outcome of what is returned. Forbidden when it does not fit."""
        a = question.attributes
        charge = Charge(self, question, a.resource.key(a.namespace, a.name), self._clock())
        self.put(a.namespace, charge)
        return charge

    def recount(self, namespace: str, name: str) -> Count:
        """Count a quota again; await the outcome of what is returned."""
        count = Count(self, namespace, name)
        self.put(namespace, count)
        return count

    def put(self, namespace: str, step: LedgerStep) -> None:
        """Queue a step for a namespace; the steps that are queued by then are carried out together."""
        self._todo.setdefault(namespace, []).append(step)
        if namespace not in self._tasks:
            name = f"quota:{namespace}"
            self._tasks[namespace] = asyncio.get_running_loop().create_task(self._run(namespace), name=name)

    async def _run(self, namespace: str) -> None:
        batch: list[LedgerStep] = []
        try:
            while batch := self._todo.pop(namespace, []):
                for kind in (Count, Refund, Charge):
                    client = (kind is Count and self.counter) or self._client
                    await self._serve(namespace, client, [step for step in batch if isinstance(step, kind)])
        finally:
            for step in (*batch, *self._todo.pop(namespace, ())):
                step.done.cancel()
            del self._tasks[namespace]

    async def _serve(self, namespace: str, client: Client, steps: Sequence[LedgerStep]) -> None:
        """Carry out steps of one sort; each ends with an outcome."""
        try:
            for _ in range(ATTEMPTS):
                if not steps:
                    return
                quotas = self.quotas.get(namespace, {})
                accounts = {name: Account(quotas[name]) for name in sorted(quotas)}
                for step in steps:
                    try:
                        await step.enter(accounts)
                    except errors.StatusError as err:
                        step.fail(err)
                steps = [step for step in steps if not step.done.done()]
                touched = [account for account in accounts.values() if account.touched]
                moved, error = await self._store(namespace, client, touched)
                for step in steps:
                    step.written(moved)
                steps = [step for step in steps if not step.done.done()]
                if error is not None:
                    raise error
            raise errors.InternalError("Internal error occurred: resource quota evaluation timed out")
        except Exception as err:
            for step in steps:
                step.fail(err)

    async def _store(
        self, namespace: str, client: Client, accounts: list[Account]
    ) -> tuple[set[str], Exception | None]:
        """Write the status of quotas: the names of those that were not written,
        and what else than a race was why."""
        moved, error = set(), None
        for account in accounts:
            try:
                await self._write(namespace, client, account)
            except (Moved, errors.NotFound, errors.Conflict):
                moved.add(account.name)
            except errors.StatusError as err:
                moved.add(account.name)
                error = err
        return moved, error

    async def _write(self, namespace: str, client: Client, account: Account) -> None:
        resource = client.resource("", "v1", "resourcequotas")

        def edit(quota: Object) -> None:
            if quota["metadata"]["resourceVersion"] != account.version:
                raise Moved(account.name)
            status = quota.setdefault("status", {})
            status["hard"] = {name: str(amount) for name, amount in account.hard.items()}
            status["used"] = {name: str(amount) for name, amount in account.used.items()}

        await client.change(resource, namespace, account.name, edit, "status")

    # What was charged and is not there yet

    def wait_for(self, charge: Charge) -> None:
        """Remember a charge until its object is there."""
        if self.counter is not None and charge.taken:
            self._coming.setdefault(charge.key, []).append(charge)

    def landed(self, key: str, value: bytes) -> None:
        """An object was written (`value`) or deleted (b"").

        A create has landed when the object is its own. An update has landed, too, when the object is
        another's write: then it fails for its resourceVersion and gives back what it has taken, unless the
        quota was counted without it by then.
        Of a write that went well only its undo list, which is gone, has known the charge.
        """
        for charge in list(self._coming.get(key, ())):
            if charge.is_in(value):
                self.forget(charge)
                self._landed.add(charge)

    def forget(self, charge: Charge) -> None:
        """A charge is no longer waited for."""
        found = self._coming.get(charge.key)
        if found is not None and charge in found:
            found.remove(charge)
            if not found:
                del self._coming[charge.key]

    def charges(self, namespace: str) -> tuple[list[Charge], list[Charge]]:
        """The charges of a namespace whose objects do not exist yet, and the charges whose objects exist
        but may come from another write."""
        lost = self._clock() - LOST
        coming = [charge for charges in self._coming.values() for charge in charges]
        for charge in coming:
            if charge.at < lost:
                self.forget(charge)
        return [c for c in coming if c.at >= lost and c.namespace == namespace], [
            c for c in self._landed if c.namespace == namespace
        ]

    # Counting

    async def count(self, namespace: str, quota: Object, hard: Amounts) -> Amounts:
        """The amounts of a quota that the present objects use,
        by the names in `hard` that anything is charged for."""
        client, total = self._client, Amounts()
        found = []
        for one in evaluators(hard):
            resource = client.catalog.by_group_resource(one.resource)
            if resource is not None and resource.namespaced and resource.key_prefix:
                stored = resource.storage or resource
                prefix = f"{stored.key_prefix}{namespace}/"
                found.append((one, client.store.readable(stored, prefix).list(prefix, None).entries))
        required, turn = scopes.requirements(quota), 0
        for one, entries in found:
            names = one.matching(hard)
            for name in names:
                total.setdefault(name, ZERO)
            if not one.by_content:
                if not required:
                    for name in names:
                        total[name] += amounts({name: str(len(entries))})[name]
                continue
            for entry in entries:
                turn += 1
                if turn % AT_ONCE == 0:
                    await asyncio.sleep(0)
                obj = decode(entry)
                if all(one.in_scope(requirement, obj) for requirement in required):
                    usage = one.usage(obj, client.readers)
                    add(total, {name: usage[name] for name in names if name in usage})
        return total

    def unsettled(self, namespace: str, name: str) -> float:
        """Seconds until nothing is under way that another server has charged to a quota."""
        changed = self._changed.get((namespace, name))
        return 0.0 if changed is None else changed + SETTLE - self._clock()
