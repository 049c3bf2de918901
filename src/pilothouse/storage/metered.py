"""A store whose requests are counted and timed."""

from collections.abc import Awaitable, Callable, Coroutine
from time import perf_counter
from typing import Any, TypeVar

from pilothouse import spans
from pilothouse.storage.interface import (
    KeyExists,
    KeyValue,
    Op,
    Page,
    RevisionConflict,
    Storage,
    StorageError,
    StorageEvent,
    Subscription,
)
from pilothouse.storage.metrics import StorageMetrics

T = TypeVar("T")
Request = Coroutine[Any, Any, T]

SPANS = {
    "get": "Get",
    "list": "List(recursive=true)",
    "create": "Create",
    "update": "GuaranteedUpdate",
    "delete": "Delete",
    "txn": "Txn",
}
"""Operation -> how upstream's store calls the span of it (apiserver pkg/storage/etcd3/store.go)."""
SLOW = 0.5
"""Seconds from which on the log tells of a request."""


class MeteredStorage:
    """Passes all requests on to `inner`. A failed precondition is an answer of the store and no error.

    name: how spans call it.
    """

    def __init__(self, inner: Storage, metrics: StorageMetrics, name: str = "") -> None:
        self.inner = inner
        self.name = name
        self.others_write = inner.others_write
        self._metrics = metrics

    @property
    def revision(self) -> int:
        return self.inner.revision

    @property
    def busy(self) -> bool:
        return self.inner.busy

    @property
    def full(self) -> bool:
        return self.inner.full

    @property
    def compacted(self) -> int:
        return self.inner.compacted

    async def start(self) -> None:
        await self.inner.start()

    async def close(self) -> None:
        await self.inner.close()

    async def current_revision(self) -> int:
        return await self.inner.current_revision()

    def get(self, key: str, revision: int = 0) -> Request[KeyValue | None]:
        return self._timed("get", key, self.inner.get(key, revision))

    def range(
        self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0, counted: bool = True
    ) -> Request[Page]:
        request = self.inner.range(prefix, start=start, limit=limit, revision=revision, counted=counted)
        return self._timed("list", prefix, request)

    def create(self, key: str, value: bytes, ttl: int = 0, author: bytes = b"") -> Request[KeyValue]:
        return self._timed("create", key, self.inner.create(key, value, ttl, author))

    def update(
        self, key: str, value: bytes, expect: int, ttl: int = 0, author: bytes = b""
    ) -> Request[KeyValue]:
        return self._timed("update", key, self.inner.update(key, value, expect, ttl, author))

    def delete(
        self, key: str, expect: int, last: bytes | None = None, author: bytes = b""
    ) -> Request[KeyValue]:
        return self._timed("delete", key, self.inner.delete(key, expect, last, author))

    def txn(self, ops: list[Op]) -> Request[int]:
        return self._timed("txn", ops[0].key if ops else "", self.inner.txn(ops))

    def watch(
        self,
        prefix: str,
        revision: int,
        on_events: Callable[[list[StorageEvent]], None],
        on_error: Callable[[StorageError], None],
        *,
        prev_kv: bool = True,
        on_progress: Callable[[int], None] | None = None,
    ) -> Subscription:
        return self.inner.watch(
            prefix, revision, on_events, on_error, prev_kv=prev_kv, on_progress=on_progress
        )

    async def compact(self, revision: int) -> None:
        await self.inner.compact(revision)

    async def size(self) -> int:
        return await self.inner.size()

    async def _timed(self, operation: str, key: str, request: Awaitable[T]) -> T:
        within = spans.current.get()
        if within is not None:
            request = self._traced(within, operation, key, request)
        started = perf_counter()
        failed = False
        try:
            return await request
        except (KeyExists, RevisionConflict):
            raise
        except StorageError:
            failed = True
            raise
        finally:
            self._metrics.observe(operation, key, perf_counter() - started, failed)

    async def _traced(self, within: spans.Span, operation: str, key: str, request: Awaitable[T]) -> T:
        """Make a request as a part of a trace, with the span that upstream's store has for it."""
        about: spans.Attributes = {"audit-id": within.trace.audit_id, "key": key}
        name = f"{SPANS[operation]} {self.name}"
        with within.child(name, about, threshold=SLOW) as span:
            try:
                outcome = await request
            except BaseException as err:
                span.event("Txn call failed", {"err": str(err) or type(err).__name__})
                raise
            span.event("Txn call succeeded")
            return outcome
