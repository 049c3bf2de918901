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
        longest: int,
        shorten: Callable[[list[str]], list[str]],
    ) -> None: ...
    def __len__(self) -> int: ...
    def add(
        self,
        told: list[str],
        weight: int,
        user: bytes,
        caller: bytes,
        recognition: Any,
        decision: Any,
        flow: Any,
        seats: int,
        waited: float,
        code: int,
        started: float,
        recognised: float,
        decided: float,
        answered: float,
        ended: float,
        sent: int,
        acting: tuple[str, float] | None,
        error: str,
        detail: bytes,
    ) -> None: ...
    def get(self, number: int) -> tuple[Any, ...] | None: ...
