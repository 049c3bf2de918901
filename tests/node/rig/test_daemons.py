import pathlib
import sys

import pytest
from node.rig.daemons import Daemon, run


def test_a_daemon_starts_and_ends(tmp_path: pathlib.Path) -> None:
    program = "import signal; print('here', flush=True); signal.pause()"
    daemon = Daemon("one", [sys.executable, "-u", "-c", program], tmp_path)
    daemon.start()
    daemon.wait_for(lambda: "here" in daemon.tail(), "a word")
    daemon.stop()
    daemon.stop()
    assert daemon.tail() == "--- one\nhere"


def test_a_daemon_that_ends_shows_its_log(tmp_path: pathlib.Path) -> None:
    daemon = Daemon("one", [sys.executable, "-c", "raise SystemExit('broken')"], tmp_path)
    daemon.start()
    with pytest.raises(AssertionError, match=r"one has ended\n--- one\nbroken"):
        daemon.wait_for(lambda: False, "nothing")


def test_commands_must_succeed() -> None:
    assert run("echo", "a") == "a\n"
    with pytest.raises(AssertionError, match=r"sh -c .*: why"):
        run("sh", "-c", "echo why >&2; exit 3")
