from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, type_check_only

from pilothouse.api.values._selectors import Selector
from pilothouse.storage._entry import Entry
from pilothouse.storage._watchers import Watcher

_Entries: TypeAlias = list[Entry]
_Keys: TypeAlias = list[str]

@type_check_only
class Owner(Protocol):
    # What a cache asks of the watch cache; `revision` is the newest that all caches have taken in.
    revision: int
    @property
    def loop(self) -> AbstractEventLoop: ...
    def joined(self, watcher: Watcher) -> None: ...
    def left(self, watcher: Watcher) -> None: ...

class Listing:
    entries: _Entries
    revision: int
    more: bool
    remaining: int
    fetched: int
    index: str
    def __init__(self, entries: _Entries, revision: int, more: bool, remaining: int) -> None: ...

class Objects:
    prefix: str
    indexed_fields: tuple[str, ...]
    last_change: int
    oldest: int
    stored_bytes: int
    def __init__(
        self,
        owner: Owner,
        prefix: str,
        extract: Callable[[dict[str, Any]], dict[str, str]],
        indexed_fields: tuple[str, ...],
        oldest: int,
    ) -> None: ...
    @property
    def count(self) -> int: ...
    @property
    def keys(self) -> _Keys: ...
    def within(self, prefix: str) -> int: ...
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
    def list_among(
        self,
        scopes: tuple[str, ...],
        selector: Selector | None = None,
        *,
        after: str = "",
        limit: int = 0,
        at: int = 0,
    ) -> Listing: ...
    def load(self, entries: _Entries) -> None: ...
