import asyncio
import ssl
from collections.abc import Callable, Iterable

from pilothouse.server._budgets import Bodies, Unfinished
from pilothouse.server._pump import Stream
from pilothouse.server._turns import Line
from pilothouse.server.request import Handler, Judge, Response
from pilothouse.server.unauthenticated import UnauthenticatedConnection

class Refused(Exception): ...

class Service:
    bodies: Bodies
    unfinished: Unfinished
    line: Line
    draining: bool
    on_change: Callable[[], None] | None
    on_freed: Callable[[], None] | None
    connections: set[Endpoint]
    leaving: set[Endpoint]
    accepted: int
    requests: int
    bytes_in: int
    refused_connections: int
    upgraded: int
    wide: int
    def __init__(
        self,
        handler: Handler,
        loop: asyncio.AbstractEventLoop,
        *,
        too_large: Response,
        compress: Callable[[Stream, Iterable[bytes]], None],
        peer_chain: Callable[[ssl.SSLObject], tuple[bytes, ...]],
        max_header_bytes: int,
        max_body_bytes: int,
        body_budget: int,
        header_timeout: float,
        body_timeout: float,
        idle_timeout: float,
        gzip_above: int,
        unfinished_budget: int,
        admit: Judge | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None: ...
    @property
    def bytes_out(self) -> int: ...
    @property
    def open(self) -> int: ...
    def sweep(self, at: float = 0.0) -> None: ...
    def drain(self) -> None: ...
    def abort(self) -> None: ...

class Endpoint:
    unauthenticated: UnauthenticatedConnection | None
    @property
    def units(self) -> int: ...
    def take_turn(self) -> None: ...

class Answers(Endpoint):
    def __init__(self, service: Service) -> None: ...
