"""The transcripts of docs/troubleshooting.md are what the commands print."""

import pytest
from transcripts import PAGE, commands, played, settled

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_the_page_shows_what_its_commands_print() -> None:
    """`make transcripts` writes the page anew."""
    _, told = played(PAGE.read_text())
    assert len(told) > 30
    for command, said, printed in told:
        assert settled(printed) == settled(said), command


def test_commands_and_what_they_print() -> None:
    assert commands("$ a b\nx\n  y\n$ c\n") == [("a b", "x\n  y\n"), ("c", "")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("answer 200 after 12us", "answer   200 after 1.50s"),
        ("process 7 of apiserver-abc", "process 8 of apiserver-xyz"),
        (
            "took 1.002 s, most of it (1.001 s) in the stage",
            "took 1.102 s, most of it (0.999 s) in the stage",
        ),
    ],
)
def test_what_differs_from_one_run_to_the_next(one: str, other: str) -> None:
    assert settled(one) == settled(other)
    assert settled("403 Forbidden") != settled("401 Unauthorized")
