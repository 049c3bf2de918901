from collections.abc import Callable
from typing import Any

RECORD: int

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
        overhead: int,
        longest: int,
        shorten: Callable[[list[str]], list[str]],
    ) -> None: ...
    def __len__(self) -> int: ...
    def add(
        self,
        ctx: Any,
        ended: float,
        sent: int,
        query: str,
        user: bytes,
        caller: bytes,
        error: str,
        detail: bytes,
    ) -> None: ...
    def get(self, number: int) -> tuple[Any, ...] | None: ...
