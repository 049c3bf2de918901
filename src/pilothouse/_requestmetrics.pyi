from typing import Protocol

from pilothouse._instruments import Distribution
from pilothouse.api.identity import RequestInfo
from pilothouse.instruments import Histogram
from pilothouse.registry.resource import Resource

DURATION: tuple[float, ...]
RESPONSE_SIZES: tuple[float, ...]

class Cell:
    seconds: Distribution
    sizes: Distribution | None
    deprecated: bool
    def __init__(self, deprecated: bool, sized: bool) -> None: ...

class Cells:
    cells: dict[tuple[str, str, str, str, str, str, int], Cell]
    def __init__(self, body_sizes: Histogram) -> None: ...
    def observe(
        self,
        info: RequestInfo,
        resource: Resource | None,
        status: int,
        seconds: float,
        received: int,
        sent: int,
    ) -> None: ...

class Authenticated:
    def __init__(self, seconds: Distribution, users: dict[str, list[int]]) -> None: ...
    def __call__(self, seconds: float, name: str) -> None: ...

class _Decision(Protocol):
    @property
    def allowed(self) -> bool: ...
    @property
    def denied(self) -> bool: ...

class Authorized:
    def __init__(self, allowed: Distribution, denied: Distribution, no_opinion: Distribution) -> None: ...
    def __call__(self, seconds: float, decision: _Decision) -> None: ...
