"""Keys of `pilothouse top`, on a terminal of its own."""

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time

import pytest

from pilothouse.commands.api import Api
from pilothouse.commands.top_screen import TopView
from pilothouse.testing.server import InProcess

SECONDS = 60.0


class Terminal:
    """A terminal in which a command runs."""

    def __init__(self, *words: str) -> None:
        self.fd, inner = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pilothouse", *words],
            stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "50"},
        )  # fmt: skip
        os.close(inner)

    def shows(self, pattern: str) -> str:
        """Read until the pattern comes; returns what has come."""
        deadline, text = time.monotonic() + SECONDS, ""
        while not re.search(pattern, text):
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], text[-2000:]
            text += os.read(self.fd, 65536).decode(errors="replace")
        return text

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())


def test_keys_change_what_is_shown() -> None:
    view = TopView(rows=2)
    orders = []
    for _ in range(3):
        assert not view.press("s")
        orders.append(view.order)
    assert orders == ["p50Seconds", "p99Seconds", "perSecond"]
    for key in "---+w ":
        assert not view.press(key)
    assert (view.rows, view.wide, view.paused) == (2, True, True)
    assert not view.press("") and not view.press("\x1b") and view.press("q")


@pytest.mark.slow
def test_a_key_counts_at_once_and_q_ends_the_command() -> None:
    """It does not wait for the next reading, and the terminal is afterwards as it was before."""
    with InProcess() as server:
        api = Api(server.kubeconfig)
        for _ in range(3):
            api.call("GET", "/api/v1/nodes")
        terminal = Terminal("top", "--interval=5s", f"--kubeconfig={server.kubeconfig}")
        before = termios.tcgetattr(terminal.fd)
        terminal.shows(r"REQUESTS/S\*")
        assert termios.tcgetattr(terminal.fd) != before
        began = time.monotonic()
        terminal.type("s")
        terminal.shows(r"P50\*")
        assert time.monotonic() - began < 5
        terminal.type(" ")
        terminal.shows("paused")
        terminal.type("q")
        assert terminal.process.wait(SECONDS) == 0
        assert termios.tcgetattr(terminal.fd) == before
        os.close(terminal.fd)
