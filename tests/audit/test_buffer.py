"""The buffer of events: its limits hold until events are done."""

from audit.lines import made

from pilothouse.audit.buffer import Buffer


def test_a_number_of_events() -> None:
    dropped: list[tuple[int, str]] = []
    buffer = Buffer(2, lambda count, why: dropped.append((count, why)))
    assert buffer.put([made(1), made(2)])
    assert not buffer.put([made(3)])
    assert dropped == [(1, "audit buffer queue blocked")]
    events, size = buffer.take(10)
    assert len(events) == 2 and size == 200 == buffer.used
    assert buffer.put([made(4)]) and len(buffer) == 1


def test_bytes_are_in_use_until_they_are_done() -> None:
    dropped: list[tuple[int, str]] = []
    buffer = Buffer(100, lambda count, why: dropped.append((count, why)), budget=250)
    assert not buffer.put([made(1), made(2), made(3, 100)])
    assert buffer.used == 200 and dropped == [(1, "the audit buffer holds its 250 bytes")]
    _, size = buffer.take(100)
    assert not buffer.put([made(5)])
    buffer.done(size)
    assert buffer.used == 0 and buffer.put([made(6)])


def test_a_batch_has_a_number_and_a_size() -> None:
    buffer = Buffer(100, lambda count, why: None)
    buffer.put([made(i) for i in range(5)] + [made(5, 1000)])
    assert [len(buffer.take(2)[0]), len(buffer.take(10, 250)[0])] == [2, 2]
    assert buffer.take(10, 150)[1] == 100
    assert buffer.take(10, 150)[1] == 1000, "one that is larger goes alone"
    assert buffer.take(10) == ([], 0)
