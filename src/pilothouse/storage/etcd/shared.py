"""A store in etcd that servers divide among them by claims (storage/claims.py).

`/owners/NAME` is a claim. It is bound to the lease of the server that holds it, and says which that is.
`/claimed/NAME` has its address until the claim is released: one that is there without a claim tells of a
server that has died.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence

import orjson

from pilothouse.logs import Logger
from pilothouse.storage.claims import Claim, Taken
from pilothouse.storage.etcd import wire as etcd_wire
from pilothouse.storage.etcd.backend import EtcdStorage
from pilothouse.storage.etcd.rpc import TLS
from pilothouse.storage.etcd.session import LEASE_SECONDS, EtcdSession
from pilothouse.storage.etcd.wire import TxnAnswer
from pilothouse.storage.interface import Op, StorageError, Unavailable

log = Logger(__name__)

OWNERS, CLAIMED = "/owners/", "/claimed/"


class SharedEtcdStorage(EtcdStorage):
    """A store on the members at `servers`, whose keys are kept below `prefix` as they are."""

    def __init__(
        self,
        servers: Sequence[str],
        tls: TLS | None = None,
        prefix: str = "/clusters",
        routes: Mapping[str, str] | None = None,
        lease_seconds: int = LEASE_SECONDS,
    ) -> None:
        super().__init__(servers, tls, prefix, routes=routes, root="")
        self.address = ""
        self.session = EtcdSession(self.rpc, lease_seconds)
        self._server = uuid.uuid4().hex

    @property
    def on_lapse(self) -> Callable[[], None]:
        """Called when the lease of this server has ended."""
        return self.session.on_lapse

    @on_lapse.setter
    def on_lapse(self, listener: Callable[[], None]) -> None:
        self.session.on_lapse = listener

    async def start(self) -> None:
        await super().start()
        try:
            await self.session.begin()
        except BaseException:
            await super().close()
            raise
        self.session.start()

    async def close(self) -> None:
        if self._open:
            try:
                await self.session.end()
            except StorageError as error:
                log.warning("The lease of etcd was not given back, it ends by itself", err=error)
        await super().close()

    def holds_lease(self) -> bool:
        return self.session.holds()

    async def claim(self, name: str) -> Claim:
        answer = await self._try(name, 0)
        if not answer.succeeded:
            known = next(iter(answer.ranges[0].pairs), None)
            holder = orjson.loads(known.value) if known is not None else {}
            if known is None or holder["server"] != self._server:
                raise Taken(name, holder.get("address", ""))
            answer = await self._try(name, known.mod)
            if not answer.succeeded:
                raise Taken(name, "")
        before = next((pair.value.decode() for pair in answer.ranges[0].pairs), "")
        return Claim(name, answer.revision, before)

    async def _try(self, name: str, expect: int) -> TxnAnswer:
        """Claim a name whose claim has the revision `expect`, 0 for none."""
        if not self.session.holds():
            raise Unavailable("this server has no lease of etcd")
        lease = self.session.lease
        owner, claimed = self._key(OWNERS + name), self._key(CLAIMED + name)
        holder = orjson.dumps({"server": self._server, "address": self.address})
        answer = await self._txn(
            [etcd_wire.mod_is(owner, expect)],
            [
                etcd_wire.op_range(etcd_wire.range_request(claimed)),
                etcd_wire.op_put(owner, holder, lease),
                etcd_wire.op_put(claimed, self.address.encode(), 0),
            ],
            [etcd_wire.op_range(etcd_wire.range_request(owner))],
            {},
        )
        if self.session.lease != lease:  # the claim ends with the former lease
            raise Unavailable("the lease of etcd has ended meanwhile")
        return answer

    async def claimant(self, name: str) -> str:
        found = await self.get(OWNERS + name)
        if found is None:
            return ""
        holder = orjson.loads(found.value)
        return "" if holder["server"] == self._server else str(holder["address"])

    async def release(self, claim: Claim) -> None:
        owner, claimed = self._key(OWNERS + claim.name), self._key(CLAIMED + claim.name)
        deleted = [etcd_wire.op_delete(owner), etcd_wire.op_delete(claimed)]
        await self._txn([etcd_wire.mod_is(owner, claim.revision)], deleted, [], {})

    async def txn(self, ops: list[Op], claim: Claim | None = None) -> int:
        fence = (OWNERS + claim.name, claim.revision) if claim is not None else None
        return await self._write(ops, fence)
