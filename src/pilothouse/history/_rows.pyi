from collections.abc import Callable, Iterable
from typing import Any

from pilothouse.history._recent import RecentChange
from pilothouse.history.file import RecordedChange

def rows_of(
    changes: Iterable[RecordedChange],
    objects: dict[str, int],
    authors: dict[bytes, int],
    add_object: Callable[[str], int],
    add_author: Callable[[bytes], int],
    seal: Callable[[str, bytes], bytes] | None,
) -> tuple[list[Any], dict[int, int], list[RecentChange]]: ...
