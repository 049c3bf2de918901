"""The metrics of group commit: how many writes one commit carries, and how long it takes."""

from pilothouse.metrics.instruments import Group, Histogram

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
WRITES = tuple(2**n for n in range(10))


class CommitMetrics(Group):
    """The commits of an embedded store."""

    def __init__(self) -> None:
        self._seconds = Histogram(
            "pilothouse_storage_commit_duration_seconds",
            "[ALPHA] Seconds from a commit's begin on the writer's thread until the event loop has its"
            " outcome.",
            (),
            SECONDS,
        )
        self._writes = Histogram(
            "pilothouse_storage_commit_writes", "[ALPHA] Writes that one commit carries.", (), WRITES
        )
        self.seconds, self.writes = self._seconds.series(), self._writes.series()
