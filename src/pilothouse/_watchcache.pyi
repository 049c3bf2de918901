from collections.abc import Callable

from pilothouse._entry import Entry
from pilothouse._instruments import Distribution
from pilothouse._objects import Objects
from pilothouse._selectors import Selector
from pilothouse._watchers import Encoder, Watcher
from pilothouse.server.request import Stream

CAPACITY: int

class ResourceCache(Objects):
    received: int
    @property
    def initial_events(self) -> int: ...
    @property
    def terminated(self) -> int: ...
    @property
    def watchers(self) -> int: ...
    def move(self, prefix: str, other: ResourceCache) -> None: ...
    def forget_history(self, revision: int) -> None: ...
    def apply(self, key: str, cur: Entry | None, rev: int) -> None: ...
    def subscribe(self, listener: Callable[[Entry | None, Entry | None], None]) -> Callable[[], None]: ...
    def interested(self, prefix: str, name: str) -> int: ...
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
        sizes: Distribution | None = None,
        namespaces: frozenset[str] | None = None,
    ) -> Watcher: ...
