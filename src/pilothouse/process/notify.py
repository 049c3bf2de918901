"""Tells systemd how the process is: ready, stopping, alive (sd_notify(3), Type=notify)."""

import asyncio
import os
import socket
from collections.abc import Mapping

from pilothouse.lifecycle import BackgroundTask


class Notifier:
    """Sends datagrams to the socket that the service manager names in NOTIFY_SOCKET; without one, nothing."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self.watchdog = _period(environment)
        """Seconds between two signs of life, 0 when none are asked of this process."""

    def say(self, *lines: str) -> None:
        """Send assignments such as READY=1. A service manager that is gone is no error."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            try:
                sock.sendto("\n".join(lines).encode(), socket.MSG_DONTWAIT, self._address)
            except OSError:
                pass


class Watchdog(BackgroundTask):
    """Gives the signs of life from the event loop: a loop that is stuck has the process started anew."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    async def _run(self) -> None:
        while self._notifier.watchdog:
            self._notifier.say("WATCHDOG=1")
            await asyncio.sleep(self._notifier.watchdog)


def _period(environment: Mapping[str, str]) -> float:
    """Half of WATCHDOG_USEC, as sd_watchdog_enabled(3) advises."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return int(environment.get("WATCHDOG_USEC", "0")) / 2e6
    except ValueError:
        return 0.0
