"""How many warnings are looked for."""

from collections.abc import Iterator

from pilothouse.api.warned import WARNING_LIMIT, WARNINGS_LIMIT, enough
from pilothouse.endpoints.response import sendable


def test_few_are_kept_once_in_their_order() -> None:
    assert enough(["b", "a", "b", "c\n"]) == ["b", "a"]


def test_no_more_are_asked_for_than_can_be_sent() -> None:
    asked = 0

    def endless() -> Iterator[str]:
        nonlocal asked
        while True:
            asked += 1
            yield f"{asked} {'x' * WARNING_LIMIT}"

    found = enough(endless())
    assert asked <= WARNINGS_LIMIT // WARNING_LIMIT + 1
    assert sendable(found) == sendable([*found, "one more"])
