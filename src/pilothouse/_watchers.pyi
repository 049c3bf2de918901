from collections.abc import Callable
from typing import Any, Protocol, type_check_only

from pilothouse._entry import Entry
from pilothouse._selectors import Selector
from pilothouse.server.request import Stream

@type_check_only
class Encoder(Protocol):
    # Makes the bytes of a watch's events; encoders with equal keys make equal bytes.
    @property
    def key(self) -> object: ...
    def encode(self, kind: str, value: bytes, entry: Any) -> bytes: ...
    def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> bytes: ...

@type_check_only
class _Watchers: ...

class Watcher:
    scope: str
    name: str
    since: int
    revision: int
    stopped: bool
    slot: int
    def __init__(
        self,
        watchers: _Watchers,
        scope: str,
        name: str | None,
        selector: Selector | None,
        since: int,
        encoder: Encoder,
        sink: Stream,
    ) -> None: ...
    def initial(self, entries: list[Entry], sent: Callable[[], object] | None = None) -> None: ...
    def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> None: ...
    def send(self, data: bytes) -> None: ...
    def resume(self) -> None: ...
    def recheck(self) -> None: ...
    def stop(self) -> None: ...
    def end(self) -> None: ...
