"""Encodes and decodes protobuf's wire format, for small messages without generated code.

A message is built by `message((number, value), ...)` and read by `parse(data)`, field by field.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

_MASK = (1 << 64) - 1


class WireError(ValueError):
    """The bytes are no protobuf message."""


KNOWN = 4096
"""Below this, numbers are encoded beforehand: most tags and lengths."""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_BYTES = [bytes((value,)) for value in range(256)]
SHORT = _BYTES[:128] + [low + high for high in _BYTES[1 : KNOWN >> 7] for low in _BYTES[128:]]


def varint(value: int) -> bytes:
    """Encode a number as a varint; a negative one as its 64-bit two's complement."""
    return SHORT[value] if 0 <= value < KNOWN else _varint(value & _MASK)


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field: bytes, text or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def message(*fields: tuple[int, int | bytes | None]) -> bytes:
    """Fields in order: numbers as varints (0 is left out), bytes length-delimited (None is left out)."""
    out = []
    for number, value in fields:
        if isinstance(value, int):
            if value:
                out.append(varint(number << 3) + varint(value))
        elif value is not None:
            out.append(field(number, value))
    return b"".join(out)


def parse(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of every field: an unsigned int or bytes; WireError when the message is cut short."""
    at, end = 0, len(data)
    try:
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _long_varint(data, at, tag)
            value = data[at]
            at += 1
            if value > 0x7F:
                value, at = _long_varint(data, at, value)
            wire = tag & 7
            if wire == 0:
                yield tag >> 3, value
            elif wire == 2:
                if at + value > end:
                    raise WireError("message is cut short")
                yield tag >> 3, data[at : at + value]
                at += value
            else:
                raise WireError(f"wire type {wire} is not known here")
    except IndexError:
        raise WireError("message is cut short") from None


def fields(data: bytes, most: int) -> dict[int, Any]:
    """The fields of a message, of repeated ones the last;
    WireError for more than `most`, which would take long to read."""
    found = list(islice(parse(data), most + 1))
    if len(found) > most:
        raise WireError(f"message has more than {most} fields")
    return dict(found)


def _long_varint(data: bytes, at: int, first: int) -> tuple[int, int]:
    value, shift = first & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, at
        shift += 7
        if shift > 63:
            raise WireError("number is too long")
