from collections.abc import Callable
from typing import Any, TypeAlias

RECORD: int

_Request: TypeAlias = tuple[
    int, list[str], bytes, bytes, Any, Any, Any, int,
    float, float, float, float, float, int, tuple[str, float] | None, str, bytes,
]  # fmt: skip

class Ring:
    most: int
    limit: int
    size: int
    first: int
    end: int
    def __init__(
        self,
        most: int,
        limit: int,
        longest: int,
        shorten: Callable[[list[str]], list[str]],
        *,
        slow: float = ...,
        outlives: Callable[[_Request], int] | None = ...,
        others: tuple[Ring, ...] = ...,
    ) -> None: ...
    def __len__(self) -> int: ...
    def add(self, request: _Request) -> None: ...
    def get(self, number: int) -> tuple[Any, ...] | None: ...
    def before(self, number: int, ending: bytes) -> int: ...
