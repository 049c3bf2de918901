from collections.abc import Callable

from pilothouse._entry import Entry
from pilothouse._objects import Objects
from pilothouse._selectors import Selector
from pilothouse._watchers import Encoder, Watcher
from pilothouse.server.request import Stream

class ResourceCache(Objects):
    @property
    def watchers(self) -> int: ...
    def move(self, prefix: str, other: ResourceCache) -> None: ...
    def forget_history(self, revision: int) -> None: ...
    def apply(self, key: str, cur: Entry | None, rev: int) -> None: ...
    def subscribe(self, listener: Callable[[Entry | None, Entry | None], None]) -> Callable[[], None]: ...
    def check(self, since: int) -> None: ...
    def end_watches(self) -> None: ...
    def watch(
        self,
        prefix_key: str,
        name: str,
        selector: Selector | None,
        since: int | None,
        encoder: Encoder,
        sink: Stream,
        *,
        bookmarks: bool = False,
    ) -> Watcher: ...
