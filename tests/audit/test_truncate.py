"""Events that are too large for a back end."""

from audit.lines import Lost, made

from pilothouse.audit.event import HEAD, ObjectEvent
from pilothouse.audit.truncate import Truncation


def with_objects(size: int, level: int = 3) -> ObjectEvent:
    parts = [b'{"a":"', b"x" * (size - 8), b'"}']
    return ObjectEvent(level, (HEAD + b'"level":"RequestResponse"', b',"t":1'), b"}\n", b"", parts, size)


def test_large_events_lose_their_objects() -> None:
    lost = Lost()
    truncation = Truncation(1000, 5000, lost)
    small = with_objects(500)
    assert truncation.fit(small) is small
    cut = truncation.fit(with_objects(2000))
    assert cut is not None and b"responseObject" not in cut.line
    assert b'"annotations":{"audit.k8s.io/truncated":"true"}' in cut.line
    assert lost.told == []


def test_escapes_count() -> None:
    lost = Lost()
    event = ObjectEvent(3, (HEAD + b'"a":1', b',"t":1'), b"}\n", b"", [b'"', b"<" * 300, b'"'], 302)
    cut = Truncation(1000, 5000, lost).fit(event)
    assert cut is not None and b"\\u003c" not in cut.line


def test_what_is_still_too_large_is_lost() -> None:
    lost = Lost()
    truncation = Truncation(150, 5000, lost)
    assert truncation.fit(made(1, 200, level=1)) is None
    assert truncation.fit(made(1, 200, level=2)) is None
    assert lost.told == [("truncate", 1, "event is too large even after truncating")] * 2
    assert truncation.fit(made(1, 150)) is not None
