"""Ten kinds of damage that a file suffers between the day it is written and the day it is needed."""

from collections.abc import Callable

PAGE = 4096
HASH = 32


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def shorter(data: bytes) -> bytes:
    return data[:-1]


def without_hash(data: bytes) -> bytes:
    return data[:-HASH]


def longer(data: bytes) -> bytes:
    return data + b"x"


def empty(data: bytes) -> bytes:
    return b""


def flipped(data: bytes) -> bytes:
    at = len(data) // 3
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def other_head(data: bytes) -> bytes:
    return bytes(100) + data[100:]


def zeroed(data: bytes) -> bytes:
    return data[: 2 * PAGE] + bytes(PAGE) + data[3 * PAGE :]


def swapped(data: bytes) -> bytes:
    return data[:PAGE] + data[2 * PAGE : 3 * PAGE] + data[PAGE : 2 * PAGE] + data[3 * PAGE :]


def other_hash(data: bytes) -> bytes:
    return data[:-HASH] + bytes(HASH)


KINDS: tuple[Callable[[bytes], bytes], ...] = (
    cut,
    shorter,
    without_hash,
    longer,
    empty,
    flipped,
    other_head,
    zeroed,
    swapped,
    other_hash,
)
