"""Metrics of the process and of the build."""

from metric_samples import samples

from pilothouse.endpoints.documents.nonresource import version_info
from pilothouse.metrics.instruments import Counter, Group, MetricsRegistry
from pilothouse.process.metrics import BuildInfo, ProcessMetrics, RegisteredMetrics


def test_the_process_and_the_build_are_shown() -> None:
    found = samples(ProcessMetrics()) | samples(BuildInfo(version_info()))
    assert float(found["process_virtual_memory_max_bytes"]) > float(found["process_virtual_memory_bytes"])
    for way in ("receive", "transmit"):
        assert float(found[f"process_network_{way}_bytes_total"]) >= 0
    assert found['version_info{binary="1.36.0",component="kube",emulation="1.36",min_compat="1.35"}'] == "1"


def test_declared_metrics_are_counted_by_stability() -> None:
    registry = MetricsRegistry()
    old = Group()
    old.one = Counter("one", "[STABLE] One.", deprecated="1.30.0")  # type: ignore[attr-defined]
    hidden = {"one", "hidden_metrics_total"}
    shown = registry.add(RegisteredMetrics(registry, lambda metric: metric.name in hidden))
    registry.add(old)
    assert samples(shown) == {
        'registered_metrics_total{deprecated_version="",stability_level="BETA"}': "3",
        'registered_metrics_total{deprecated_version="1.30.0",stability_level="STABLE"}': "1",
        "hidden_metrics_total": "1",
        "disabled_metrics_total": "1",
    }
