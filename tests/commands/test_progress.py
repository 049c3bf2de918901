"""The bar of a command that takes long."""

import io

import pytest

from pilothouse.commands.progress import shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "terminal", "drawn"), [(0.0, True, False), (3.0, False, False), (3.0, True, True)]
)
def test_a_bar_comes_after_two_seconds_on_a_terminal(seconds: float, terminal: bool, drawn: bool) -> None:
    out = Terminal() if terminal else io.StringIO()
    times = iter([0.0, *[seconds] * 10])
    with shown("saving", lambda: next(times), out) as tell:
        tell(50, 100)
        tell(100, 100)
    assert ("saving" in out.getvalue()) == drawn
