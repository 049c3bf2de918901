"""The bar of a command that takes long."""

import io

from eventually import eventually

from pilothouse.commands.progress import shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_shows_that_a_command_goes_on_and_how_far_it_has_come() -> None:
    out = Terminal()
    with shown("saving", 0.0, out) as tell:
        eventually(lambda: "saving" in out.getvalue(), "a bar")
        tell(50, 100)
        eventually(lambda: "50%" in out.getvalue(), "how far it has come")


def test_what_is_done_soon_has_no_bar() -> None:
    out = Terminal()
    with shown("saving", 60.0, out) as tell:
        tell(100, 100)
    assert out.getvalue() == ""


def test_there_is_no_bar_but_on_a_terminal() -> None:
    out = io.StringIO()
    with shown("saving", 0.0, out) as tell:
        tell(50, 100)
    assert out.getvalue() == ""
