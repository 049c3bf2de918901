from collections.abc import Callable
from typing import TypeAlias

from pilothouse.metrics._instruments import Distribution
from pilothouse.storage._entry import Entry
from pilothouse.storage._watchcache import ResourceCache
from pilothouse.storage.interface import KeyValue, StorageEvent, UnreadableError

_Listener: TypeAlias = Callable[[Entry | None, Entry | None], None]

class Intake:
    revision: int
    by_prefix: dict[str, ResourceCache]
    unclaimed: ResourceCache
    unreadable: dict[str, UnreadableError]
    delays: Distribution
    ties: list[_Listener]
    def __init__(
        self,
        transform: Callable[[str, bytes], bytes] | None,
        shared: dict[str, Entry] | None = None,
        shared_to: int = 0,
        plain: bool = False,
    ) -> None: ...
    def find(self, key: str) -> ResourceCache: ...
    def subscribe_tied(self, listener: _Listener) -> None: ...
    def entry(self, kv: KeyValue) -> Entry: ...
    def take(self, kv: KeyValue, deleted: bool = False) -> None: ...
    def take_all(self, events: list[StorageEvent]) -> None: ...
