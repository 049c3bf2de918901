from hypothesis import given
from hypothesis import strategies as st

from pilothouse.storage.etcd import wire as etcd_wire
from pilothouse.wire import WireError, message, parse


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        etcd_wire.watch_answer(data)
        etcd_wire.txn_answer(data)
    except (WireError, TypeError, AttributeError):
        pass


def test_compare_with_zero_says_so() -> None:
    """A oneof member of value 0 must be on the wire, else etcd compares with nothing."""
    assert list(parse(etcd_wire.mod_is(b"k", 0))) == [(2, etcd_wire.MOD), (3, b"k"), (6, 0)]
    assert list(parse(etcd_wire.version_is(b"k", 0))) == [(3, b"k"), (4, 0)]


def test_answers() -> None:
    header = message((1, 7), (3, 42))
    kv = message((1, b"k"), (2, 40), (3, 41), (4, 2), (5, b"v"), (6, 9))
    found = etcd_wire.range_answer(message((1, header), (2, kv), (3, 1), (4, 10)))
    assert (found.revision, found.more, found.count) == (42, True, 10)
    assert found.pairs == [etcd_wire.Pair(b"k", b"v", 40, 41, 9, 2)]
    told = etcd_wire.watch_answer(
        message((1, header), (7, 1), (11, message((1, 1), (2, kv), (3, kv))), (11, message((2, kv))))
    )
    assert told.fragment and [c.deleted for c in told.changes] == [True, False]
    assert told.changes[0].prev == told.changes[1].kv
