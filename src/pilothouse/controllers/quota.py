"""Keeps `status.used` of quotas true: counts again after deletes (the controller resourcequota)."""

import asyncio

from pilothouse.admission.quota import scopes
from pilothouse.admission.quota.amounts import ZERO
from pilothouse.admission.quota.evaluators import IGNORED, Evaluator, evaluator
from pilothouse.admission.quota.ledger import Ledger
from pilothouse.api.values.fields import Object
from pilothouse.api.values.pod_resources import amounts
from pilothouse.controllers.queue import WorkQueue
from pilothouse.lifecycle import Background
from pilothouse.registry.client import Client
from pilothouse.registry.store import decode
from pilothouse.storage._entry import Entry
from pilothouse.storage.watchcache import ResourceCache

PERIOD = 300.0
"""Seconds between two counts of a quota of which nothing is heard (--resource-quota-sync-period)."""
DELAY = 0.1
"""Seconds in which what happens is counted together."""
OTHERS = 5.0
"""Seconds after which a quota is counted that other servers charge, too:
one that was killed gives nothing back."""


class ResourceQuotas(Background):
    """Follows quotas and all that they count; a quota is counted again in the ledger."""

    def __init__(self, client: Client, ledger: Ledger, period: float = PERIOD, delay: float = DELAY) -> None:
        self.client = client
        self.ledger = ledger
        self.period = period
        self.delay = delay
        self.queue = WorkQueue("resource-quota", self._count, metrics=client.metrics)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._caches: dict[str, ResourceCache] = {}

    def start(self) -> None:
        """Follow quotas and, from the first one on, every resource that can be counted."""
        self.ledger.counter = self.client
        self.client.catalog.changed.append(lambda group, version: self._served())
        self.client.readers.subscribe("resourcequotas", self._quota_changed)

    async def close(self) -> None:
        self.ledger.counter = None
        for timer in self._timers.values():
            timer.cancel()
        await self.queue.close()

    def _served(self) -> None:
        """The served resources have changed:
        quotas may name some that were not served when they were counted."""
        if self._caches:
            self._follow()
        for namespace, quotas in self.ledger.quotas.items():
            for name, quota in quotas.items():
                used = (quota.get("status") or {}).get("used") or {}
                if any(limit not in used for limit in (quota.get("spec") or {}).get("hard") or ()):
                    self._soon(f"{namespace}/{name}")

    def _follow(self) -> None:
        for resource in self.client.catalog.all():
            if not (resource.namespaced and resource.key_prefix and "create" in resource.verbs):
                continue
            if resource.group_resource in IGNORED:
                continue
            stored = resource.storage or resource
            cache = self.client.store.cache(stored)
            if self._caches.get(stored.key_prefix) is not cache:
                self._caches[stored.key_prefix] = cache
                counts, prefix = evaluator(stored.group_resource), len(stored.key_prefix)
                cache.subscribe(_Subscription(self, counts, prefix))

    def changed(self, counts: Evaluator, prefix: int, new: Entry | None, old: Entry | None) -> None:
        """An object has changed whose key begins with `prefix` characters for its resource."""
        entry = new if new is not None else old
        assert entry is not None
        namespace = entry.key[prefix:].partition("/")[0]
        quotas = self.ledger.quotas.get(namespace)
        if quotas is None:
            return
        self.ledger.landed(entry.key, new.value if new is not None else b"")
        if old is None or (new is not None and not counts.by_content):
            return
        for name, quota in quotas.items():
            if not counts.matching((quota.get("spec") or {}).get("hard") or ()):
                continue
            if new is None or self._less(counts, quota, decode(new), decode(old)):
                self._soon(f"{namespace}/{name}")

    def _less(self, counts: Evaluator, quota: Object, new: Object, old: Object) -> bool:
        """Whether an object uses less of a quota than before, or has left its scopes."""
        required = scopes.requirements(quota)
        if not all(counts.in_scope(requirement, old) for requirement in required):
            return False
        if not all(counts.in_scope(requirement, new) for requirement in required):
            return True
        used, readers = counts.usage(new, self.client.readers), self.client.readers
        return any(used.get(name, ZERO) < amount for name, amount in counts.usage(old, readers).items())

    def _quota_changed(self, key: str, new: Object | None, old: Object | None) -> None:
        if new is None:
            return
        if not self._caches:
            self._follow()
        limits = amounts((new.get("spec") or {}).get("hard"))
        if old is None or limits != amounts((new.get("status") or {}).get("hard")):
            self._soon("/".join(key.split("/")[-2:]))
        elif self.client.store.storage.others_write:
            self._soon("/".join(key.split("/")[-2:]), OTHERS)

    def _soon(self, key: str, delay: float | None = None) -> None:
        """Count a quota within `delay` seconds."""
        loop = asyncio.get_running_loop()
        at = loop.time() + (self.delay if delay is None else delay)
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= at:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_at(at, self._due, key)

    def _due(self, key: str) -> None:
        self._timers.pop(key, None)
        self.queue.add(key)

    async def _count(self, key: str) -> float | None:
        namespace, _, name = key.partition("/")
        if name not in self.ledger.quotas.get(namespace, {}):
            return None
        if self.client.store.fresh is not None:
            await self.client.store.fresh()
        again = await self.ledger.recount(namespace, name).outcome()
        return self.period if again is None else again


class _Subscription:
    """Hears of the changes of one resource. There is one for each resource of each logical cluster, so it is
    smaller than a partial of a method."""

    __slots__ = ("_counts", "_prefix", "_quotas")

    def __init__(self, quotas: ResourceQuotas, counts: Evaluator, prefix: int) -> None:
        self._quotas, self._counts, self._prefix = quotas, counts, prefix

    def __call__(self, new: Entry | None, old: Entry | None) -> None:
        if self._quotas.ledger.quotas:
            self._quotas.changed(self._counts, self._prefix, new, old)
