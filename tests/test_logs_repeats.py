"""The lines of a message that repeats: some are written, the others counted."""

import logging

from logged import pairs

from pilothouse.logs import MESSAGES, Repeats


def record(message: str, at: float, v: int = 0, name: str = "log") -> logging.LogRecord:
    return logging.makeLogRecord({"name": name, "msg": message, "created": at, "v": v})


def told(repeats: Repeats, now: float) -> list[tuple[str, int]]:
    return [(pairs(line)["message"], pairs(line)["count"]) for line in repeats.ended(now)]


def test_each_message_has_a_burst_in_each_period() -> None:
    repeats = Repeats(burst=2, period=10)
    assert [repeats.allows(record("a", at)) for at in (1, 2, 3, 4)] == [True, True, False, False]
    assert repeats.allows(record("b", 4)) and repeats.allows(record("a", 4, name="other"))
    assert repeats.waiting
    assert told(repeats, 10.9) == []
    assert told(repeats, 11) == [("a", 2)]
    assert not repeats.waiting and told(repeats, 100) == []
    assert repeats.allows(record("a", 101))


def test_detail_that_is_asked_for_is_never_left_out() -> None:
    repeats = Repeats(burst=1)
    assert all(repeats.allows(record("a", 1, v=6)) for _ in range(5))
    assert told(repeats, float("inf")) == []


def test_the_clock_may_be_set_back() -> None:
    repeats = Repeats(burst=1, period=10)
    repeats.allows(record("a", 1000))
    assert told(repeats, 1001) == [] and not repeats.allows(record("a", 1001))
    assert told(repeats, 5) == [("a", 1)]
    assert repeats.allows(record("a", 5))


def test_messages_are_forgotten_when_there_are_too_many() -> None:
    repeats = Repeats(burst=1, period=1e9)
    repeats.allows(record("a", 1))
    repeats.allows(record("a", 1))
    for number in range(MESSAGES):
        repeats.allows(record(f"message {number}", 1))
    assert told(repeats, 2) == [("a", 1)]
    assert repeats.allows(record("a", 2))
