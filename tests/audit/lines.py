"""Events of a given size, and files that fail as they are told."""

import errno

from pilothouse.audit._audit import Event
from pilothouse.audit.event import HEAD

END = b"}\n"


def made(number: int = 0, size: int = 100, level: int = 1) -> Event:
    """An event of `size` bytes that can be told by its number."""
    head = HEAD + b'"level":"Metadata","auditID":"%d","x":"' % number
    return Event(level, head + b"x" * (size - len(head) - 3) + b'"' + END, END)


def numbers(data: bytes) -> list[int]:
    """The numbers of the events in lines."""
    return [int(line.partition(b'"auditID":"')[2].partition(b'"')[0]) for line in data.splitlines() if line]


class Lines:
    """A file in memory. While `full`, it takes no line."""

    def __init__(self) -> None:
        self.data = b""
        self.writes = 0
        self.full = False
        self.closed = False

    def write(self, data: bytes) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.data += data
        self.writes += 1

    def close(self) -> None:
        self.closed = True


class Lost:
    """Is told of lost events."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, str]] = []

    def __call__(self, plugin: str, count: int, why: str) -> None:
        self.told.append((plugin, count, why))

    def total(self, plugin: str) -> int:
        return sum(count for name, count, _ in self.told if name == plugin)
