"""Tells a SIGHUP that somebody sends, so that files are read again,
from that of a terminal that is closed."""

import os
import signal


class Hangup:
    """To be made before SIGHUP is handled: then it is known whether the process is to end with its terminal.

    It is not where SIGHUP is ignored (nohup), nor where it is blocked: a supervisor then decides.
    """

    def __init__(self) -> None:
        blocked = signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._bound = not (blocked or ignored) and _has_terminal()

    def gone(self) -> bool:
        """Whether the terminal was closed with which the process ends."""
        return self._bound and not _has_terminal()


def _has_terminal() -> bool:
    """Whether the process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
