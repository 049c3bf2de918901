"""The parts that all engines of the decoders' fuzzer share.
An engine makes good inputs, and checks what it is given.

Everything hangs on the bytes of an input, also where it is cut,
so that a file of these bytes repeats a finding.
"""

import ctypes
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

LONGEST = 1 << 20
"""Bytes of the longest input."""

_EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x3FFF, 0x4000, 0x4001, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0xFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)  # fmt: skip
NUMBERS = tuple(
    number.to_bytes(width) for width in (1, 2, 3, 4, 8) for number in _EDGES if number >> 8 * width == 0
)
"""Numbers at the ends of what fields of some bytes hold."""

BYTES = b'\x00\x01\x1f\x20"\\/{}[]:;,.=!()<>%&+-09aAeE\x7f\x80\xbf\xc0\xed\xf0\xf4\xff\r\n\t'
"""Bytes that mean something to one engine or another."""


@dataclass(frozen=True)
class Engine:
    """`make` gives the parts of a good input (frames, tokens);
    `check` raises whatever an input shows to be wrong."""

    name: str
    make: Callable[[random.Random], list[bytes]]
    check: Callable[[bytes], None]

    def input(self, chance: random.Random) -> bytes:
        """A good input one time in four, else one that was changed in some places."""
        parts = self.make(chance)
        if chance.random() >= 0.25:
            parts = garbled(chance, parts, self.make)
        return b"".join(parts)[:LONGEST]


def garbled(
    chance: random.Random, parts: list[bytes], make: Callable[[random.Random], list[bytes]]
) -> list[bytes]:
    """The parts with some of them dropped, repeated, exchanged,
    mixed with those of another input, or changed inside."""
    out = list(parts) or [b""]
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at, other = chance.randrange(len(out)), chance.randrange(len(out))
        match chance.randrange(9):
            case 0 if len(out) > 1:
                del out[at]
            case 1:
                out[at:at] = [out[other]] * chance.choice((1, 1, 2, 50))
            case 2:
                out[at], out[other] = out[other], out[at]
            case 3:
                del out[at + 1 :]
                out[at] = out[at][: chance.randint(0, len(out[at]))]
            case 4:
                found = make(chance)
                out[at:at] = found[chance.randrange(len(found) + 1) :]
            case _:
                out[at] = _changed(chance, out[at])
    return out


def _changed(chance: random.Random, part: bytes) -> bytes:
    """A part with some bytes changed, dropped, inserted or repeated."""
    at = chance.randint(0, len(part))
    end = min(len(part), at + chance.choice((1, 1, 1, 2, 4, 8, 100)))
    match chance.randrange(6):
        case 0 if at < len(part):
            return part[:at] + bytes((part[at] ^ 1 << chance.randrange(8),)) + part[at + 1 :]
        case 1:
            return part[:at] + part[end:]
        case 2:
            return part[:at] + part[at:end] * chance.choice((2, 3, 100)) + part[end:]
        case 3:
            number = chance.choice(NUMBERS)
            return part[:at] + number + part[at + len(number) :]
        case 4:
            return part[:at] + chance.choice(NUMBERS) + part[at:]
        case _:
            return part[:at] + bytes(chance.choices(BYTES, k=chance.choice((1, 1, 2, 5)))) + part[end:]


def chance_of(data: bytes) -> random.Random:
    """Random numbers that hang on an input alone."""
    return random.Random(zlib.crc32(data))


def cut(data: bytes) -> list[bytes]:
    """An input in pieces, as reads may bring it: cut at a few places, or into single bytes."""
    chance = chance_of(data)
    if len(data) < 2000 and chance.random() < 0.2:
        return [data[at : at + 1] for at in range(len(data))]
    places = sorted(chance.randint(0, len(data)) for _ in range(chance.choice((1, 2, 5, 20))))
    return [data[start:end] for start, end in pairwise((0, *places, len(data)))]


def same(what: str, one: object, other: object) -> None:
    """Fail unless both are the same."""
    if one != other:
        raise AssertionError(f"{what}:\n{_short(one)}\nis not\n{_short(other)}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 4000 else f"{text[:4000]}..."


try:
    _poison = ctypes.CDLL(None).__asan_poison_memory_region
    _unpoison = ctypes.CDLL(None).__asan_unpoison_memory_region
except AttributeError:  # not under AddressSanitizer
    _poison = _unpoison = None
_HEAD = bytes.__basicsize__ - 1


@contextmanager
def tight(data: bytes) -> Iterator[bytes]:
    """A copy of bytes behind which nothing may be read:
    Python keeps a NUL there, which hides a read of one too many."""
    copy = bytes(bytearray(data))
    if _poison is None or len(copy) < 2:  # short ones are shared by all
        yield copy
        return
    end, one = ctypes.c_void_p(id(copy) + _HEAD + len(copy)), ctypes.c_size_t(1)
    _poison(end, one)
    try:
        yield copy
    finally:
        _unpoison(end, one)


def word(number: int) -> bytes:
    """A number of 32 bits."""
    return struct.pack(">I", number & 0xFFFFFFFF)


def text(chance: random.Random, most: int = 12) -> str:
    """A text with characters of every length."""
    return "".join(
        chance.choices('abcxyz0159-._/ "\\\n\x00\x7féß中日\U0001f600\U0010ffff', k=chance.randint(0, most))
    )


def content(chance: random.Random) -> bytes:
    """Bytes of a payload, now and then many."""
    size = chance.choice((0, 1, 2, 5, 5, 20, 125, 126, 127, 1023, 1024, 1025, 5000, 70000))
    return chance.randbytes(size if chance.random() < 0.3 else min(size, 127))
