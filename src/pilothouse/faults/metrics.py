"""Metrics of faults."""

from pilothouse.metrics.instruments import Counter, Group


class FaultMetrics(Group):
    """How many requests were struck, and how."""

    def __init__(self) -> None:
        self.struck = Counter(
            "pilothouse_faults_total",
            "[ALPHA] Requests that a fault has struck (--faults), by what became of them.",
            ("effect",),
        )
