from typing import Protocol

from pilothouse.api.values.identity import RequestInfo
from pilothouse.metrics._instruments import Distribution
from pilothouse.metrics.instruments import Histogram
from pilothouse.registry.resource import Resource

DURATION: tuple[float, ...]
RESPONSE_SIZES: tuple[float, ...]
FILTER_DURATION: tuple[float, ...]
CONNECTED: frozenset[str]

def sort_of(verb: str, headers: dict[str, str]) -> str: ...
def system_client_of(headers: dict[str, str]) -> str: ...

class Cell:
    seconds: Distribution
    sli: Distribution | None
    sizes: Distribution | None
    deprecated: bool
    def __init__(self, deprecated: bool, verb: str, dry_run: bool, log: bool = ...) -> None: ...

class Cells:
    cells: dict[tuple[str, str, str, str, str, str, str, str, int], Cell]
    def __init__(self, body_sizes: Histogram, validated: Histogram) -> None: ...
    def observe(
        self,
        info: RequestInfo,
        resource: Resource | None,
        status: int,
        seconds: float,
        received: int,
        sent: int,
        headers: dict[str, str],
        query: dict[str, list[str]],
        waited: float,
    ) -> None: ...

class Authenticated:
    filter: Distribution | None
    def __init__(self, seconds: Distribution, users: dict[str, list[int]]) -> None: ...
    def __call__(self, seconds: float, name: str) -> None: ...

class _Decision(Protocol):
    @property
    def allowed(self) -> bool: ...
    @property
    def denied(self) -> bool: ...

class Authorized:
    filter: Distribution | None
    def __init__(self, allowed: Distribution, denied: Distribution, no_opinion: Distribution) -> None: ...
    def __call__(self, seconds: float, decision: _Decision) -> None: ...
