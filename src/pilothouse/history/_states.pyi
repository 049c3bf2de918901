from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pilothouse.storage._entry import Entry
from pilothouse.storage.interface import KeyValue

class PastState:
    since: int
    until: int
    since_ms: int
    until_ms: int
    size: int
    def __init__(self, kv: KeyValue | None = None) -> None: ...
    @property
    def kv(self) -> KeyValue | None: ...
    @property
    def entry(self) -> Entry | None: ...

class Since:
    values: list[bytes | None]

def changed_since(rows: Iterable[Any], after: int, most: int) -> tuple[dict[str, Since], str]: ...
def undo(
    changed: dict[str, Since],
    known: Mapping[str, PastState],
    then: dict[str, PastState],
    value_of: Callable[[str], bytes | None],
    decrypt: Callable[[str, bytes], bytes] | None,
    oldest: int,
) -> None: ...
