"""Metrics of traces. Upstream has none."""

from pilothouse.metrics.instruments import Counter, Group

QUEUE_FULL, NOT_TAKEN = "queue_full", "export_failed"


class TracingMetrics(Group):
    """Counts of the spans by what happened to them."""

    def __init__(self) -> None:
        self.exported = Counter(
            "pilothouse_tracing_exported_spans_total", "[ALPHA] Spans that the collector has taken."
        )
        self.dropped = Counter(
            "pilothouse_tracing_dropped_spans_total",
            "[ALPHA] Spans that were lost, as too many waited for the collector or as it did not take them.",
            ("reason",),
        )
