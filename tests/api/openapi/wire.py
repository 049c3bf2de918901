"""Reads protobuf as a plain reader of the wire format sees it."""

import struct
from typing import Any


def fields(data: Any) -> Any:
    """Field number -> the values, as a plain reader of the wire format sees them."""
    out: dict[int, list[Any]] = {}
    at = 0

    def varint() -> Any:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            out.setdefault(key >> 3, []).append(varint())
        elif key & 7 == 1:
            out.setdefault(key >> 3, []).append(struct.unpack_from("<d", data, at)[0])
            at += 8
        else:
            assert key & 7 == 2
            size = varint()
            out.setdefault(key >> 3, []).append(data[at : at + size])
            at += size
    assert list(out) == sorted(out)
    return out


def path(data: Any, *numbers: Any) -> Any:
    for number in numbers:
        data = fields(data)[number][0]
    return data
