from collections.abc import Callable
from typing import Any

from pilothouse.server.request import Pieces, Stream
from pilothouse.server.upgrade import Duplex

class Request:
    protocol: str
    method: str
    target: str
    path: str
    query: str
    headers: dict[str, str]
    all_headers: list[tuple[str, str]]
    body: bytes
    peer: tuple[str, int]
    peer_certificates: tuple[bytes, ...]
    keep_alive: bool
    caller: str
    warnings: tuple[str, ...]
    annotations: tuple[tuple[str, str], ...]
    recognition: Any
    cluster: str | None
    prefix: str
    def __init__(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        all_headers: list[tuple[str, str]],
        body: bytes = b"",
        peer: tuple[str, int] = ...,
        peer_certificates: tuple[bytes, ...] = ...,
        keep_alive: bool = True,
    ) -> None: ...

class Response:
    status: int
    body: bytes | list[bytes] | Pieces
    content_type: str
    headers: list[tuple[str, str]]
    start: Callable[[Stream], None] | None
    upgrade: Callable[[Duplex], None] | None
    on_done: Callable[[int, BaseException | None], None] | None
    def __init__(
        self,
        status: int,
        body: bytes | list[bytes] | Pieces = b"",
        content_type: str = "application/json",
        headers: list[tuple[str, str]] | None = None,
        start: Callable[[Stream], None] | None = None,
        upgrade: Callable[[Duplex], None] | None = None,
    ) -> None: ...
