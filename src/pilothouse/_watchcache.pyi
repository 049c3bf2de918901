from collections.abc import Callable
from typing import Any, Protocol

from pilothouse._instruments import Distribution
from pilothouse._json import Encoded
from pilothouse._selectors import Selector
from pilothouse.server.request import Stream
from pilothouse.storage.watchcache import Cacher

Entries = list["Entry"]
Keys = list[str]

CAPACITY: int

class Encoder(Protocol):
    @property
    def key(self) -> object: ...
    def encode(self, kind: str, value: bytes, entry: Any) -> bytes: ...
    def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> bytes: ...

class Entry(Encoded):
    key: str
    rev: int
    create_rev: int
    def __init__(self, key: str, value: bytes, rev: int, create_rev: int = 0) -> None: ...
    @property
    def labels(self) -> dict[str, str]: ...
    def fields(self, extract: Callable[[dict[str, Any]], dict[str, str]]) -> dict[str, str]: ...

class Listing:
    entries: Entries
    revision: int
    more: bool
    remaining: int
    def __init__(self, entries: Entries, revision: int, more: bool, remaining: int) -> None: ...

class Watcher:
    scope: str
    name: str
    since: int
    revision: int
    stopped: bool
    slot: int
    def initial(self, entries: Entries) -> None: ...
    def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> None: ...
    def send(self, data: bytes) -> None: ...
    def resume(self) -> None: ...
    def recheck(self) -> None: ...
    def stop(self) -> None: ...
    def end(self) -> None: ...

class ResourceCache:
    prefix: str
    indexed_fields: tuple[str, ...]
    last_change: int
    oldest: int
    received: int
    initial_events: int
    terminated: int
    def __init__(
        self,
        owner: Cacher,
        prefix: str,
        extract: Callable[[dict[str, Any]], dict[str, str]],
        indexed_fields: tuple[str, ...],
        oldest: int,
    ) -> None: ...
    @property
    def count(self) -> int: ...
    @property
    def watchers(self) -> int: ...
    def get(self, key: str) -> Entry | None: ...
    def list(
        self,
        prefix_key: str,
        selector: Selector | None = None,
        *,
        after: str = "",
        limit: int = 0,
        at: int = 0,
    ) -> Listing: ...
    def load(self, entries: Entries) -> None: ...
    def move(self, prefix: str, other: ResourceCache) -> None: ...
    @property
    def keys(self) -> Keys: ...
    def forget_history(self, revision: int) -> None: ...
    def apply(self, key: str, cur: Entry | None, rev: int) -> None: ...
    def subscribe(self, listener: Callable[[Entry | None, Entry | None], None]) -> Callable[[], None]: ...
    def check(self, since: int) -> None: ...
    def end_watches(self) -> None: ...
    def watch(
        self,
        prefix_key: str,
        name: str,
        selector: Selector | None,
        since: int | None,
        encoder: Encoder,
        sink: Stream,
        *,
        bookmarks: bool = False,
        sizes: Distribution | None = None,
    ) -> Watcher: ...

def key_of(entry: Entry) -> str: ...
