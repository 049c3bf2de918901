"""Limits log lines that repeat: of each message so many are written in a period, and how many more there were is told."""

import logging
from collections.abc import Iterator

BURST = 100
"""Lines of one message that are written in a period."""
PERIOD = 10.0
"""Seconds of a period; it begins with the first line of a message."""
MESSAGES = 1024
"""Messages that are counted at a time. Messages of this project are constants; those of libraries may be anything."""

Key = tuple[str, str]
"""The name of a logger and a message, without what varies."""


class _Count:
    """begun: Unix seconds. last: the latest line that was left out."""

    __slots__ = ("begun", "last", "left_out", "written")

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.written = 1
        self.left_out = 0
        self.last: logging.LogRecord | None = None


class Repeats:
    """Counts lines by their message. It belongs to the thread that writes the log, so nothing is locked."""

    def __init__(self, burst: int = BURST, period: float = PERIOD) -> None:
        self.burst = burst
        self.period = period
        self._counts: dict[Key, _Count] = {}
        self._looked, self._ends = 0.0, 0.0

    @property
    def waiting(self) -> bool:
        """Whether a line was left out and that is not told yet."""
        return any(count.left_out for count in self._counts.values())

    def allows(self, record: logging.LogRecord) -> bool:
        """Whether a line is to be written. Detail that --v or --vmodule asks for always is."""
        if getattr(record, "v", 0):
            return True
        key = record.name, str(record.msg)
        count = self._counts.get(key)
        if count is None:
            self._counts[key] = _Count(record.created)
            return True
        if count.written < self.burst:
            count.written += 1
            return True
        count.left_out += 1
        count.last = record
        return False

    def ended(self, now: float) -> Iterator[logging.LogRecord]:
        """Forget the periods that have ended at `now`; a line for each message of which lines were left out."""
        crowded = len(self._counts) > MESSAGES
        if self._looked <= now < self._ends and not crowded:
            return
        self._looked = now  # the clock may be set back: then all periods have ended
        for key, count in list(self._counts.items()):
            if crowded or not 0 <= now - count.begun < self.period:
                del self._counts[key]
                if count.last is not None:
                    yield _told(count.last, count.left_out)
        self._ends = min((one.begun for one in self._counts.values()), default=now) + self.period


def _told(last: logging.LogRecord, left_out: int) -> logging.LogRecord:
    """The line that says how many lines were left out, with the level and the place of the latest one."""
    told = logging.makeLogRecord(last.__dict__)
    told.msg, told.args, told.exc_info = "Lines with the same message were left out", None, None
    told.kv = {"message": last.getMessage(), "count": left_out}
    told.audit_id = ""
    return told
