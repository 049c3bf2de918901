import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.wire import WireError, fields, message, parse

NUMBERS = st.integers(1, 2**63 - 1)


@given(st.lists(st.tuples(st.integers(1, 300), NUMBERS | st.binary(max_size=300))))
def test_what_is_written_is_read(fields: list[tuple[int, int | bytes]]) -> None:
    assert list(parse(message(*fields))) == fields


def test_zero_and_none_are_left_out_but_not_the_empty() -> None:
    assert list(parse(message((1, 0), (2, None), (3, b"")))) == [(3, b"")]


def test_negative_numbers_are_their_64_bits() -> None:
    assert list(parse(message((1, -1)))) == [(1, 2**64 - 1)]


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05ab", b"\x80", b"\x08" + b"\xff" * 11, b"\x0d\x00\x00"])
def test_cut_and_strange_messages(data: bytes) -> None:
    with pytest.raises(WireError):
        list(parse(data))


def test_few_fields_are_read_and_many_refused() -> None:
    data = message((1, 5), (2, b"a"), (1, 7))
    assert fields(data, 3) == {1: 7, 2: b"a"}
    with pytest.raises(WireError, match="more than 2 fields"):
        fields(data, 2)
