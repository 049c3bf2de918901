"""The metrics of what runs in the server's process: its work queues, and the requests that it makes of itself
(client-go util/workqueue, component-base prometheus/workqueue, apiserver endpoints/metrics)."""

import itertools
import time
from collections.abc import Callable

from pilothouse.metrics.instruments import Counter, Gauge, Group, Histogram, Labels

SECONDS = tuple(itertools.accumulate(range(9), lambda bound, _: bound * 10, initial=1e-8))


class QueueCounts:
    """The counts of one work queue. A key that is added again before it is handled counts once,
    as upstream's does."""

    def __init__(self, name: str, metrics: "ClientMetrics", clock: Callable[[], float]) -> None:
        self._labels = (name,)
        self._clock = clock
        self._adds, self._retries = metrics.adds, metrics.retries
        self._queued, self._worked = metrics.queued, metrics.worked
        self.waiting: dict[str, float] = {}
        """Key -> when it was added; the keys that wait to be handled."""
        self.running: dict[str, float] = {}
        """Key -> when it began; the keys that are being handled."""
        self.later: dict[str, float] = {}
        """Key -> when it is to be added again."""

    def added(self, key: str) -> None:
        """A key waits to be handled."""
        self.later.pop(key, None)
        if key not in self.waiting:
            self.waiting[key] = self._clock()
            self._adds.inc(*self._labels)

    def begun(self, key: str) -> None:
        """A key is being handled from now on."""
        now = self.running[key] = self._clock()
        self._queued.observe(now - self.waiting.pop(key, now), *self._labels)

    def ended(self, key: str) -> None:
        """A key has been handled, or its handling was given up."""
        now = self._clock()
        self._worked.observe(now - self.running.pop(key, now), *self._labels)

    def retried(self, key: str, seconds: float) -> None:
        """A key will be added again after a time."""
        self.later[key] = self._clock() + seconds
        self._retries.inc(*self._labels)

    def ages(self) -> list[float]:
        """Seconds since each key that is being handled was begun."""
        now = self._clock()
        return [now - began for began in self.running.values()]


class ClientMetrics(Group):
    """The metrics of those who read and write by a registry.client.Client."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._queues: dict[str, QueueCounts] = {}
        name = ("name",)
        self.selfrequests = Counter(
            "apiserver_selfrequest_total",
            "[ALPHA] Requests that the server has made of itself.",
            ("group", "resource", "subresource", "verb"),
        )
        self.adds = Counter("workqueue_adds_total", "[BETA] Keys that were added to a work queue.", name)
        self.depth = Gauge(
            "workqueue_depth",
            "[BETA] Keys that wait in a work queue.",
            name,
            lambda: self._each(lambda queue: len(queue.waiting)),
        )
        self.longest = Gauge(
            "workqueue_longest_running_processor_seconds",
            "[BETA] Seconds that the longest running key has been handled.",
            name,
            lambda: self._each(lambda queue: max(queue.ages(), default=0)),
        )
        self.queued = Histogram(
            "workqueue_queue_duration_seconds",
            "[BETA] Seconds that a key waits in a work queue before it is handled.",
            name,
            SECONDS,
        )
        self.retries = Counter(
            "workqueue_retries_total", "[BETA] Keys that were to be added again later.", name
        )
        self.unfinished = Gauge(
            "workqueue_unfinished_work_seconds",
            "[BETA] Seconds that all running keys have been handled, added up.",
            name,
            lambda: self._each(lambda queue: sum(queue.ages())),
        )
        self.worked = Histogram(
            "workqueue_work_duration_seconds", "[BETA] Seconds in which a key is handled.", name, SECONDS
        )

    def queue(self, name: str) -> QueueCounts:
        """The counts of the work queue of that name."""
        counts = self._queues[name] = QueueCounts(name, self, self._clock)
        return counts

    def is_busy(self, patience: float, soon: float) -> bool:
        """Whether a key is being handled or waits, for less than `patience` seconds, or will be added in less
        than `soon` seconds."""
        now = self._clock()
        return any(
            any(now - since < patience for since in (*queue.running.values(), *queue.waiting.values()))
            or any(abs(due - now) < soon for due in queue.later.values())
            for queue in self._queues.values()
        )

    def _each(self, value: Callable[[QueueCounts], float]) -> dict[Labels, float]:
        return {(name,): value(queue) for name, queue in self._queues.items()}
