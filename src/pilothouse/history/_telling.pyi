from collections.abc import Callable

from pilothouse.history.file import RecordedChange
from pilothouse.storage.sqlite.changes import StoredChange

def told(
    change: StoredChange,
    stored: bytes | None,
    share: float,
    to_json: Callable[[str, bytes], bytes],
    clock: Callable[[], float],
) -> RecordedChange: ...
