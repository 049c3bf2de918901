"""Structured logging: klog's text form or one JSON object a line,
written by a thread so that no caller waits.

A module makes `log = Logger(__name__)`. Every message is a constant, what varies goes into pairs:
`log.info("listening", port=6443)`. Keys are written as upstream writes them (auditID, resourceVersion).
Detail has a level as in klog: `log.verbose(4, "watch opened", kind="pods")` is written when --v, or --vmodule
for the file, is at least 4.

Lines that any module writes while a request is served tell its audit ID. Lines that repeat are limited
(`Repeats`).
"""

import fnmatch
import functools
import json
import logging
import logging.handlers
import os
import queue
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextvars import Context, ContextVar, copy_context
from typing import Any, TextIO

from pilothouse.gotext import QUOTED, short

_LETTERS = {
    logging.DEBUG: "I",
    logging.INFO: "I",
    logging.WARNING: "W",
    logging.ERROR: "E",
    logging.CRITICAL: "F",
}
audit_id: ContextVar[str] = ContextVar("audit_id", default="")
"""The audit ID of the request that a task serves, "" in other tasks."""

LONGEST = 4 * QUOTED
"""Characters of a value that a line tells; a path, for one, may be as long as a request's head."""
LONGEST_AUDIT_ID = 64
"""Characters of an audit ID that are told (apiserver audit.GetAuditIDTruncated)."""

_level = 0
_modules: tuple[tuple[str, int], ...] = ()


class Serving:
    """The audit ID of the request whose first steps a thread runs, before it has a task (`waiting.py`);
    "" between requests.

    PERF: setting a context variable takes ten times as long, and most requests never have a task.
    """

    __slots__ = ("audit_id",)

    def __init__(self) -> None:
        self.audit_id = ""


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.serving = Serving()


_of_thread = _OfThread()


def serving() -> Serving:
    """The place where the calling thread notes which request it serves."""
    return _of_thread.serving


def served() -> str:
    """The audit ID of the request that the calling code serves, "" outside of requests."""
    return _of_thread.serving.audit_id or audit_id.get()


def context() -> Context:
    """A copy of the context, for code that serves the same request on another thread."""
    copied = copy_context()
    if _of_thread.serving.audit_id:
        copied.run(audit_id.set, _of_thread.serving.audit_id)
    return copied


class Logger:
    """The log of one module. Pairs are keywords; `err` is the error that the line is about and comes first.

    `source` names the file of a compiled module:
    its functions have no frames from which a line could be told.
    """

    __slots__ = ("_log", "_source")

    def __init__(self, name: str, source: str = "") -> None:
        self._log = logging.getLogger(name)
        self._source = source

    def info(self, message: str, /, **pairs: Any) -> None:
        """Log what an administrator wants to know when all is well."""
        self._write(logging.INFO, message, pairs)

    def warning(self, message: str, /, **pairs: Any) -> None:
        """Log what went wrong and recovers by itself, or may need a look."""
        self._write(logging.WARNING, message, pairs)

    def error(self, message: str, /, **pairs: Any) -> None:
        """Log what failed, without a traceback."""
        self._write(logging.ERROR, message, pairs)

    def exception(self, message: str, /, *, err: BaseException | None = None, **pairs: Any) -> None:
        """Log what failed and should not have:
        the traceback of `err`, or of the exception that is being handled."""
        self._write(logging.ERROR, message, pairs, err or sys.exc_info()[1])

    def verbose(self, level: int, message: str, /, **pairs: Any) -> None:
        """Detail of a level, written when the caller's file is asked for that much."""
        if not _modules and level > _level:
            return
        if level <= _allowed(self._source or sys._getframe(1).f_code.co_filename):
            self._write(logging.INFO, message, pairs, v=level)

    def verbose_text(self, level: int, text: str) -> None:
        """A text of several lines, written as it is whatever the level (klog.Info); ask `enabled` first."""
        self._write(logging.INFO, text, {}, v=level, plain=True)

    def enabled(self, level: int) -> bool:
        """Whether detail of a level is written for the caller's file."""
        return level <= _allowed(self._source or sys._getframe(1).f_code.co_filename)

    def _write(
        self,
        level: int,
        message: str,
        pairs: dict[str, Any],
        error: BaseException | None = None,
        v: int = 0,
        *,
        plain: bool = False,
    ) -> None:
        extra = {"kv": pairs, "v": v, "source": self._source, "plain": plain}
        self._log.log(level, message, exc_info=error, extra=extra, stacklevel=3)


def _caller(record: logging.LogRecord) -> str:
    return getattr(record, "source", "") or f"{record.filename}:{record.lineno}"


def _pairs(record: logging.LogRecord) -> dict[str, Any]:
    """The key/value pairs of a record, its error first and the audit ID of its request last."""
    pairs: dict[str, Any] = getattr(record, "kv", {})
    request = getattr(record, "audit_id", "")
    if request and "auditID" not in pairs and "audit-ID" not in pairs:
        pairs = {**pairs, "auditID": request[:LONGEST_AUDIT_ID]}
    error = pairs.get("err")
    if error is None and record.exc_info and record.exc_info[1] is not None:
        error = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
    if error is not None:
        pairs = {"err": str(error), **{k: v for k, v in pairs.items() if k != "err"}}
    return {
        key: short(value, LONGEST, QUOTED) if isinstance(value, str) else value
        for key, value in pairs.items()
    }


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(str(value), ensure_ascii=False)


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""


class TextFormatter(logging.Formatter):
    """klog's form: `I1125 14:05:06.123456    4242 file.py:12] "message" key="value"`."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.localtime(record.created)
        micros = int(record.created % 1 * 1e6)
        head = (
            f"{_LETTERS.get(record.levelno, 'I')}{at.tm_mon:02}{at.tm_mday:02} {at.tm_hour:02}:{at.tm_min:02}"
            f":{at.tm_sec:02}.{micros:06} {record.process:>7} {_caller(record)}]"
        )
        if getattr(record, "plain", False):
            return f"{head} {record.getMessage()}"
        pairs = "".join(f" {key}={_shown(value)}" for key, value in _pairs(record).items())
        line = f"{head} {json.dumps(record.getMessage(), ensure_ascii=False)}{pairs}"
        trace = _trace(self, record)
        return f"{line}\n{trace}" if trace else line


class JSONFormatter(logging.Formatter):
    """One object a line: ts (ms since the epoch), caller, msg, v of information, err, then the pairs."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": round(record.created * 1000, 3),
            "caller": _caller(record),
            "msg": record.getMessage(),
        }
        if record.levelno < logging.WARNING:
            line["v"] = getattr(record, "v", 0)
        line.update(_pairs(record))
        trace = _trace(self, record)
        if trace:
            line["stacktrace"] = trace
        return json.dumps(line, ensure_ascii=False, default=str)


BURST = 100
"""Lines of one message that are written in a period."""

PERIOD = 10.0
"""Seconds of a period; it begins with the first line of a message."""

MESSAGES = 1024
"""Messages that are counted at a time.
Messages of this project are constants; those of libraries may be anything."""

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
        """Whether lines were left out that no log line has reported yet."""
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
        """Forget the periods that have ended at `now`;
        a line for each message of which lines were left out."""
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


class _Queue(logging.handlers.QueueHandler):
    """Hands the record itself over: it stays in this process, so it is formatted on the writer's thread."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        if record.args:
            record.msg, record.args = record.getMessage(), None
        record.audit_id = served()
        return record


class _Writer(logging.handlers.QueueListener):
    """Writes the lines on its thread, and leaves out those that repeat too often."""

    def __init__(
        self,
        lines: "queue.SimpleQueue[logging.LogRecord]",
        handler: logging.Handler,
        repeats: Repeats | None = None,
    ) -> None:
        super().__init__(lines, handler)
        self._lines = lines
        self._repeats = repeats or Repeats()

    def dequeue(self, block: bool) -> logging.LogRecord:
        """The next line. While it waits for one, it tells of lines that were left out."""
        while block and self._repeats.waiting:
            try:
                return self._lines.get(timeout=1.0)
            except queue.Empty:
                self._tell(time.time())
        return super().dequeue(block)

    def handle(self, record: logging.LogRecord) -> None:
        self._tell(record.created)
        if self._repeats.allows(record):
            super().handle(record)

    def _tell(self, now: float) -> None:
        for told in self._repeats.ended(now):
            super().handle(told)

    def stop(self) -> None:
        super().stop()
        self._tell(float("inf"))


def setup(
    form: str = "text",
    level: int = 0,
    modules: Iterable[tuple[str, int]] = (),
    stream: TextIO | None = None,
) -> logging.handlers.QueueListener:
    """Send all logging to `stream` (standard error) in `form`; `flush` the result at the end."""
    global _level, _modules
    _level, _modules = level, tuple(modules)
    _allowed.cache_clear()
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JSONFormatter() if form == "json" else TextFormatter())
    lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(_Queue(lines))
    root.setLevel(logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.INFO if level >= 6 else logging.WARNING)
    listener = _Writer(lines, handler)
    listener.start()
    return listener


@functools.cache
def _allowed(filename: str) -> int:
    """The verbosity of one source file: that of the first --vmodule pattern that fits its name, else --v."""
    name = os.path.splitext(os.path.basename(filename))[0]
    for pattern, level in _modules:
        if fnmatch.fnmatchcase(name, pattern):
            return level
    return _level


def flush(listener: logging.handlers.QueueListener) -> None:
    """Write what is queued and stop the writer; for the end of the process, where it must not hang."""
    thread = threading.Thread(target=listener.stop, daemon=True)
    thread.start()
    thread.join(2)
