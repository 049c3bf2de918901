from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pilothouse.history._recent import RecentChanges, Since
from pilothouse.storage._entry import Entry
from pilothouse.storage.interface import KeyValue

class PastState:
    since: int
    until: int
    since_ms: int
    until_ms: int
    def __init__(self, entry: Entry | None = None, kv: KeyValue | None = None) -> None: ...
    @property
    def kv(self) -> KeyValue | None: ...
    @property
    def entry(self) -> Entry | None: ...

def changed_since(rows: Iterable[Any], after: int, most: int) -> tuple[dict[str, Since], str]: ...
def changed_between(objects: Iterable[Any], rows: Iterable[Any], most: int) -> dict[str, Since] | None: ...
def changed_of(rows: Iterable[Any], after: int) -> Since: ...
def unpacked_bytes(since: Since) -> int: ...
def weight(key: str, state: PastState) -> int: ...
def undo(
    changed: dict[str, Since],
    known: Mapping[str, PastState],
    then: dict[str, PastState],
    now_of: Callable[[str], Entry | KeyValue | None],
    decrypt: Callable[[str, bytes], bytes] | None,
    oldest: int,
) -> None: ...
def undo_recent(
    recent: RecentChanges,
    keys: tuple[str, str],
    ids: tuple[int, int],
    known: Mapping[str, PastState],
    now_of: Callable[[str], Entry | KeyValue | None],
    oldest: int,
) -> dict[str, PastState] | None: ...
def state_before(latest: Entry, since: Since, oldest: int) -> PastState | None: ...
