"""Metrics of the history."""

from pilothouse.metrics.instruments import Counter, Gauge, Group


class HistoryMetrics(Group):
    """How many changes are kept, how late that is, and how much they take."""

    def __init__(self) -> None:
        self.kept = Counter("pilothouse_history_changes_total", "[ALPHA] Changes that were kept.")
        self.left_out = Counter(
            "pilothouse_history_changes_left_out_total",
            "[ALPHA] Changes that were not kept: the policy leaves them out,"
            " or another one of the same minute followed.",
        )
        self.failures = Counter(
            "pilothouse_history_write_failures_total", "[ALPHA] Failures to write the history file."
        )
        self.lag = Gauge(
            "pilothouse_history_lag_seconds",
            "[ALPHA] Seconds by which the history is behind; a minute does not count.",
        )
        self.size = Gauge("pilothouse_history_bytes", "[ALPHA] Bytes that the kept changes take.")
