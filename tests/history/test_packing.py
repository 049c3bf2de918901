"""Values are compressed and come back."""

import contextlib
import zlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.history._packing import pack, unpack
from pilothouse.history.dictionary import DICTIONARY

SHORT = 32
"""Bytes below which a value stays as it is."""


@given(st.binary(max_size=300))
def test_any_value_comes_back(data: bytes) -> None:
    packed = pack(data)
    assert unpack(packed) == data
    assert len(packed) <= len(data) + 1


@pytest.mark.parametrize("size", [0, SHORT - 1, SHORT, 2048, 2049, 8193, 1 << 20])
def test_values_of_any_size(size: int) -> None:
    data = (b'{"name":"' + b"abc" * size)[:size]
    packed = pack(data)
    assert unpack(packed) == data
    assert size < SHORT or len(packed) < size


def test_the_dictionary_shortens_a_status_change() -> None:
    delta = orjson.dumps(
        [
            ["=", ["metadata", "managedFields", 0, "time"], "2026-11-30T05:00:00Z", "2026-11-30T05:00:09Z"],
            ["+", ["status", "conditions", 0, "lastTransitionTime"], "2026-11-30T05:00:09Z"],
            ["=", ["status", "conditions", 0, "status"], "False", "True"],
        ]
    )
    assert len(pack(delta)) < 0.75 * len(zlib.compress(delta, 6)) and len(pack(delta)) < len(delta) // 2


def test_the_dictionary_stays_as_it_is() -> None:
    """Files that were written with it are read by it."""
    assert (len(DICTIONARY), zlib.crc32(DICTIONARY)) == (2476, 828411332)


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "unknown form"), (b"\2x", "unknown form"), (b"\1x", "damaged")]
)
def test_what_was_not_packed_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unpack(data)


def test_a_value_that_was_cut_is_refused() -> None:
    data = bytes(range(256)) * 10
    with pytest.raises(ValueError, match="damaged"):
        unpack(pack(data)[:-4])


@given(st.binary(max_size=80), st.integers(0, 200))
def test_any_bytes_are_a_value_or_are_refused(data: bytes, length: int) -> None:
    for form in (data, b"\1" + data, bytes((1, length)) + data):
        with contextlib.suppress(ValueError):
            unpack(form)


@given(st.lists(st.sampled_from([b'"status"', b"True", b"x", b'{"a":[', b"0123456789"])), st.data())
def test_a_block_that_was_changed_is_a_value_or_is_refused(parts: list[bytes], draw: st.DataObject) -> None:
    packed = bytearray(pack(b"".join(parts)))
    at = draw.draw(st.integers(0, len(packed) - 1))
    packed[at] = draw.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        unpack(bytes(packed))


@given(st.lists(st.sampled_from([b'"status":', b"True", b"x" * 300, bytes(range(256)), b"0123456789"])))
def test_values_that_repeat_themselves(parts: list[bytes]) -> None:
    data = b"".join(parts)
    assert unpack(pack(data)) == data
