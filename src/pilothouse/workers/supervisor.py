"""Runs several server processes on one port: starts them, restarts failed ones, stops them together."""

import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from types import FrameType

from pilothouse import pki
from pilothouse.configuration.config import Config
from pilothouse.logs import Logger
from pilothouse.process.hangup import Hangup
from pilothouse.process.notify import Notifier
from pilothouse.workers.metrics import ENVIRONMENT

log = Logger(__name__)

WORKER = ("--workers=1", "--permit-port-sharing=true")
"""The arguments that a worker's command line has beside the supervisor's;
a later flag beats an earlier one."""

QUICK = 5.0
"""A worker that lived for fewer seconds is restarted after a pause only."""

PAUSES = (0.1, 5.0)
"""First and longest pause."""


class Worker:
    """One process, and when it may be started again.
    It is told its path (see workers/metrics.py) in the environment."""

    def __init__(self, command: Sequence[str], path: pathlib.Path) -> None:
        self._command = list(command)
        self._environment = {**os.environ, ENVIRONMENT: str(path)}
        self._failures = 0
        self._started = 0.0
        self.due = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._started = time.monotonic()
        # A process inherits what is blocked: the signal waits until it is handled there.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))
        try:
            self.process = subprocess.Popen(self._command, env=self._environment)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def look(self, now: float) -> None:
        """Start the process when it is due; note when it has died."""
        if self.process is None:
            if now >= self.due:
                self.start()
            return
        status = self.process.poll()
        if status is None:
            return
        lived = now - self._started
        self._failures = self._failures + 1 if lived < QUICK else 0
        first, longest = PAUSES
        self.due = now + (min(first * 2**self._failures, longest) if self._failures else 0.0)
        log.warning("A worker ended, it is started again", pid=self.process.pid, status=status)
        self.process = None

    def reload(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGHUP)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()


class Supervisor:
    """Keeps `count` processes of one command running until stop() or a signal."""

    def __init__(self, command: Sequence[str], count: int, notifier: Notifier | None = None) -> None:
        self._notifier = notifier or Notifier()
        self._directory = tempfile.TemporaryDirectory(prefix="pilothouse-", ignore_cleanup_errors=True)
        directory = pathlib.Path(self._directory.name)
        self.workers = [Worker(command, directory / str(number)) for number in range(count)]
        self._over = threading.Event()

    def run(self) -> int:
        """Return when all workers have ended: 0, or the first status of one that failed.

        A worker that is told to end before it can handle signals dies of the signal, which is no failure.
        None is started once stop() was called.
        """
        if not self._over.is_set():
            for worker in self.workers:
                worker.start()
        alive = 0.0
        while not self._over.wait(0.1):
            now = time.monotonic()
            if self._notifier.watchdog and now >= alive:
                self._notifier.say("WATCHDOG=1")
                alive = now + self._notifier.watchdog
            for worker in self.workers:
                worker.look(now)
        for worker in self.workers:
            worker.end()
        statuses = [w.process.wait() for w in self.workers if w.process is not None]
        self._directory.cleanup()
        return next((abs(status) for status in statuses if status not in (0, -signal.SIGTERM)), 0)

    def reload(self) -> None:
        """Have all workers look at their configuration files at once."""
        for worker in self.workers:
            worker.reload()

    def stop(self) -> None:
        """Ask all workers to end; each drains its connections first."""
        self._over.set()


def run(command: Sequence[str], config: Config) -> int:
    """Serve with --workers processes until SIGTERM or SIGINT, reload at SIGHUP; the process's exit status."""
    supervisor = Supervisor([*command, *WORKER], config.process.workers)

    def ended(number: int, frame: FrameType | None) -> None:
        supervisor.stop()

    hangup = Hangup()

    def reload(number: int, frame: FrameType | None) -> None:
        supervisor.stop() if hangup.gone() else supervisor.reload()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ended)
    signal.signal(signal.SIGHUP, reload)
    pki.prepare(config)  # before there are several processes that would make the files
    log.info("Workers start", count=config.process.workers)
    return supervisor.run()
