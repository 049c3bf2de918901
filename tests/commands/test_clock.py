"""`pilothouse clock` with a server."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from pilothouse import cli
from pilothouse.testing.server import InProcess


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with InProcess(["--test-api"]) as started:
        yield started


def run(server: InProcess, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = cli.main(["clock", *words, f"--data-dir={server.directory}"])
    found = capsys.readouterr()
    return status, found.out + found.err


def test_the_clock_is_told_and_moved(server: InProcess, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = run(server, capsys)
    assert status == 0
    before = datetime.fromisoformat(text.strip())
    after = datetime.fromisoformat(run(server, capsys, "advance", "2h30m")[1].strip())
    assert timedelta(hours=2, minutes=30) <= after - before < timedelta(hours=2, minutes=31)
    first, second = (run(server, capsys, "freeze")[1] for _ in range(2))
    assert first == second and first.endswith(" (frozen)\n")
    assert json.loads(run(server, capsys, "thaw", "-o", "json")[1])["frozen"] is False


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (("advance",), 2, '"pilothouse clock advance" takes one duration, such as 2h'),
        (("thaw", "now"), 2, '"pilothouse clock thaw" takes no arguments'),
        (("stop",), 2, 'unknown command "stop" for "pilothouse clock"'),
        (("advance", "tomorrow"), 1, '"advance": time: invalid duration "tomorrow"'),
    ],
)
def test_what_it_cannot_do(
    server: InProcess, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], status: int, why: str
) -> None:
    found, text = run(server, capsys, *words)
    assert (found, why in text) == (status, True), text


def test_a_server_without_a_clock_that_moves(capsys: pytest.CaptureFixture[str]) -> None:
    with InProcess() as plain:
        status, text = run(plain, capsys, "advance", "1h")
        assert status == 1 and "has no clock that moves: start it with --test-api or --simulate" in text
        with pytest.raises(Exception, match="404"):
            plain.root.call("POST", "/debug/pilothouse/checkpoints")
        assert "/debug/pilothouse/clock" not in plain.root.call("GET", "/")["paths"]
