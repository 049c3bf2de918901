"""Metrics of traces."""

from pilothouse.tracing.metrics import QUEUE_FULL, TracingMetrics


def test_what_is_shown() -> None:
    metrics = TracingMetrics()
    metrics.exported.inc(by=3)
    metrics.dropped.inc(QUEUE_FULL, by=2)
    assert "pilothouse_tracing_exported_spans_total 3" in metrics.exported.text()
    assert 'pilothouse_tracing_dropped_spans_total{reason="queue_full"} 2' in metrics.dropped.text()
