"""The stages of a request, and when they were."""

from types import SimpleNamespace
from typing import Any

from pilothouse.endpoints.journal.intervals import intervals


def stages(
    of: Any, waited: float = 0.0, *marks: tuple[str, float], ended: float, refused: bool = False
) -> Any:
    return list(intervals(of, waited, marks, ended, refused=refused))


def moments(**members: Any) -> Any:
    return SimpleNamespace(
        **{"started": 1.0, "recognised": 0.0, "decided": 0.0, "answered": 0.0, "acting": None, **members}
    )


def test_a_write() -> None:
    of = moments(recognised=2.0, acting=("", 1.0), decided=5.0, answered=9.0)
    assert stages(of, 1.5, ("body", 6.0), ("commit", 8.0), ended=10.0) == [
        ("authentication", 1.0, 2.0),
        ("impersonation", 2.0, 3.0),
        ("queue", 3.0, 4.5),
        ("authorization", 4.5, 5.0),
        ("body", 5.0, 6.0),
        ("commit", 6.0, 8.0),
        ("answer", 8.0, 9.0),
        ("sending", 9.0, 10.0),
    ]


def test_requests_that_do_not_come_far() -> None:
    assert stages(moments(answered=2.0), ended=3.0) == [("authentication", 1.0, 2.0), ("sending", 2.0, 3.0)]
    assert stages(moments(recognised=2.0), ended=3.0, refused=True) == [
        ("authentication", 1.0, 2.0),
        ("refusal", 2.0, 3.0),
    ]
