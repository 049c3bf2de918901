from collections.abc import Callable
from typing import Any

from pilothouse._entry import Entry
from pilothouse._selectors import Selector
from pilothouse.storage.watchcache import Cacher

Entries = list[Entry]
Keys = list[str]

class Listing:
    entries: Entries
    revision: int
    more: bool
    remaining: int
    def __init__(self, entries: Entries, revision: int, more: bool, remaining: int) -> None: ...

class Objects:
    prefix: str
    indexed_fields: tuple[str, ...]
    last_change: int
    oldest: int
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
    def keys(self) -> Keys: ...
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
