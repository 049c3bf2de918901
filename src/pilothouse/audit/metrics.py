"""The metrics of auditing (apiserver pkg/audit/metrics.go), and the log line that tells of lost events."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping

from pilothouse.audit.policy import LEVELS
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.metrics.instruments import Counter, Gauge, Group, Labels

log = Logger(__name__)

EVERY = 60.0
"""Seconds between two log lines about lost events."""
TURN = 5.0
"""Seconds between two looks whether there is something to tell."""


class AuditMetrics(Group):
    """Counts of events, and of those that were lost."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.event_counts = [0]
        """PERF: the number is in a list, so that the compiled module can count."""
        self.level_counts = [0] * len(LEVELS)
        self.losses = Losses(clock)
        self.buffers: dict[str, Callable[[], int]] = {}
        """The bytes of the events that wait, by the name of their back end."""
        self.events = Counter(
            "apiserver_audit_event_total",
            "[ALPHA] Counter of audit events generated and sent to the audit backend.",
            (),
            lambda: {(): self.event_counts[0]},
        )
        self.errors = Counter(
            "apiserver_audit_error_total",
            "[ALPHA] Counter of audit events that failed to be audited properly. Plugin identifies the plugin"
            " affected by the error.",
            ("plugin",),
            self.losses.totals,
        )
        self.levels = Counter(
            "apiserver_audit_level_total",
            "[ALPHA] Counter of policy levels for audit events (1 per request).",
            ("level",),
            lambda: {(LEVELS[i],): count for i, count in enumerate(self.level_counts) if count},
        )
        self.rejected = Counter(
            "apiserver_audit_requests_rejected_total",
            "[ALPHA] Counter of apiserver requests rejected due to an error in audit logging backend.",
        )
        self.buffered = Gauge(
            "pilothouse_audit_buffered_bytes",
            "[ALPHA] Bytes of audit events that wait for their back end.",
            ("backend",),
            lambda: {(name,): size() for name, size in self.buffers.items()},
        )

    def reset(self) -> None:
        self.event_counts[0] = 0
        self.level_counts[:] = [0] * len(LEVELS)
        self.losses.reset()
        super().reset()


class Losses:
    """Counts the events that did not reach their back end, and tells of them in at most one line a minute.

    Back ends may call it on threads of their own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._totals: dict[str, int] = {}
        self._untold: dict[str, tuple[int, str]] = {}
        self._due = float("-inf")

    def totals(self) -> Mapping[Labels, float]:
        """The lost events by what lost them."""
        with self._lock:
            return {(plugin,): count for plugin, count in self._totals.items()}

    def add(self, plugin: str, count: int, why: str) -> None:
        """Count events that `plugin` has lost."""
        with self._lock:
            self._totals[plugin] = self._totals.get(plugin, 0) + count
            self._untold[plugin] = (self._untold.get(plugin, (0, ""))[0] + count, why)
        self.tell()

    def tell(self, *, last: bool = False) -> None:
        """Log what was lost since the last line, unless that was less than a minute ago;
        `last`: in any case."""
        with self._lock:
            now = self._clock()
            if not self._untold or (now < self._due and not last):
                return
            self._due = now + EVERY
            untold, self._untold = self._untold, {}
        for plugin, (count, why) in untold.items():
            log.error("Audit events were lost", plugin=plugin, events=count, err=why)

    def reset(self) -> None:
        """Reset the counts to zero."""
        with self._lock:
            self._totals.clear()


class Telling(BackgroundTask):
    """Logs, at intervals, the losses that no line has told of yet."""

    def __init__(self, losses: Losses, interval: float = TURN) -> None:
        self._losses = losses
        self._interval = interval

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            self._losses.tell()
