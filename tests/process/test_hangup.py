"""SIGHUP means that a terminal is closed, or that somebody wants files to be read again."""

import os
import pathlib
import pty
import signal
import subprocess
import sys

import pytest
from eventually import eventually

import pilothouse

CHILD = """
import fcntl, os, pathlib, signal, sys, termios
out = pathlib.Path(sys.argv[1])
exec(sys.argv[2])
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from pilothouse.process.hangup import Hangup
hangup = Hangup()
told = out / "told"
signal.signal(signal.SIGHUP, lambda *_: told.write_text(f"{told.read_text()}{hangup.gone()} "))
signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
(out / "told").write_text("")
(out / "ready").touch()
while True:
    signal.pause()
"""
PLAIN = "signal.signal(signal.SIGHUP, signal.SIG_DFL)"  # the shell that runs the tests may ignore it
IGNORED = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"
BLOCKED = "signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))"


@pytest.mark.parametrize(
    ("before", "ends"),
    [(PLAIN, "True"), (IGNORED, "False"), (BLOCKED, "False")],
    ids=["shell", "nohup", "worker"],
)
def test_a_terminal_is_closed(tmp_path: pathlib.Path, before: str, ends: str) -> None:
    master, slave = pty.openpty()
    source = str(pathlib.Path(pilothouse.__file__).parents[1])
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path), before],
        stdin=slave,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    os.close(slave)
    try:
        told = tmp_path / "told"
        eventually((tmp_path / "ready").exists, "the child")
        child.send_signal(signal.SIGHUP)
        eventually(lambda: told.read_text() == "False ", "the first signal")
        os.close(master)
        eventually(lambda: told.read_text().endswith(f" {ends} "), "the end of the terminal")
    finally:
        child.kill()
        child.wait()
