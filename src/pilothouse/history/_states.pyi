from collections.abc import Callable, Iterable, Mapping
from typing import Any

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

class Since:
    values: list[bytes | None]

def changed_since(rows: Iterable[Any], after: int, most: int) -> tuple[dict[str, Since], str]: ...
def changed_between(objects: Iterable[Any], rows: Iterable[Any], most: int) -> dict[str, Since] | None: ...
def unpacked_bytes(rows: Iterable[Any]) -> int: ...
def weight(key: str, state: PastState) -> int: ...
def undo(
    changed: dict[str, Since],
    known: Mapping[str, PastState],
    then: dict[str, PastState],
    now_of: Callable[[str], Entry | KeyValue | None],
    decrypt: Callable[[str, bytes], bytes] | None,
    oldest: int,
) -> None: ...
def state_before(latest: Entry, rows: Iterable[Any], after: int, oldest: int) -> PastState | None: ...
