from collections.abc import Callable, Iterable
from typing import Any

from pilothouse.api._json import Encoded

class Entry(Encoded):
    key: str
    rev: int
    create_rev: int
    message_size: int
    message_form: int
    def __init__(self, key: str, value: bytes, rev: int, create_rev: int = 0) -> None: ...
    @property
    def labels(self) -> dict[str, str]: ...
    def fields(self, extract: Callable[[dict[str, Any]], dict[str, str]]) -> dict[str, str]: ...

def key_of(entry: Entry) -> str: ...
def bytes_of(entries: Iterable[Entry]) -> int: ...
