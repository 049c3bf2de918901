import asyncio
import pathlib

import pytest

from pilothouse.configuration.metric_limits import ManifestError, MetricLimits, read_manifest
from pilothouse.metrics.instruments import Counter, Gauge, Group, Histogram, MetricsRegistry

CUSTOM = "widgets"


class Some(Group):
    def __init__(self) -> None:
        self.requests = Counter("requests_total", "[STABLE] Requests.", ("group", "resource", "version"))
        self.objects = Gauge("objects", "[ALPHA] Objects.", ("resource",))
        self.seconds = Histogram("seconds", "[ALPHA] Time.", ("resource", "verb"), range(20))
        self.old = Counter("old_total", "[ALPHA] Old.", (), deprecated="1.30.0")
        self.stable = Counter("stable_total", "[STABLE] Old, too.", (), deprecated="1.34.0")
        self.capacity = Gauge("watch_cache_capacity", "[ALPHA] Constant.", ("group", "resource"))
        self.requests.inc("apps", "deployments", "v1")
        self.requests.inc("apps", "deployments", "v2", by=2)
        for group in range(3):
            self.requests.inc(f"{group}.example.com", CUSTOM, "v1")
            self.objects.set(1, f"{CUSTOM}.{group}.example.com")
            self.seconds.observe(1.5, CUSTOM, "get")
        self.objects.set(0, "pods")
        self.objects.set(7, "secrets")
        self.capacity.set(100, "", "pods")


def shown(limits: MetricLimits) -> dict[str, str]:
    """Sample -> value."""
    registry = MetricsRegistry(limits)
    registry.add(limits)
    registry.add(Some())
    text = asyncio.run(registry.expose()).decode()
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


UNEXPECTED = "cardinality_enforcement_unexpected_categorizations_total"


def test_without_limits_everything_is_shown_but_what_has_been_deprecated_too_long() -> None:
    found = shown(MetricLimits())
    assert found['requests_total{group="apps",resource="deployments",version="v2"}'] == "2"
    assert found['objects{resource="pods"}'] == "0"
    assert found["stable_total"] == "0" and "old_total" not in found
    assert found[UNEXPECTED] == "0"


def test_hidden_metrics_are_shown_on_request_unless_they_are_disabled() -> None:
    assert "old_total" in shown(MetricLimits(show_hidden=True))
    assert "old_total" not in shown(MetricLimits(("old_total",), show_hidden=True))


def test_the_help_of_a_deprecated_metric_says_so() -> None:
    text = Some().stable.text()
    assert "# HELP stable_total [STABLE] (Deprecated since 1.34.0) Old, too.\n" in text


def test_disabled_metrics_are_left_out() -> None:
    found = shown(MetricLimits(("requests_total", "seconds")))
    assert not any(name.startswith(("requests_total", "seconds")) for name in found)
    assert 'objects{resource="secrets"}' in found


def test_values_that_are_not_allowed_are_counted_together() -> None:
    found = shown(MetricLimits(allowed={"requests_total,version": "v1", "seconds,resource": "a,b"}))
    assert found['requests_total{group="apps",resource="deployments",version="unexpected"}'] == "2"
    assert found['requests_total{group="0.example.com",resource="widgets",version="v1"}'] == "1"
    assert found['seconds_count{resource="unexpected",verb="get"}'] == "3"
    assert found[UNEXPECTED] == "5"


def test_the_small_profile_tells_custom_resources_together() -> None:
    found = shown(MetricLimits(small=True, groups=("", "apps")))
    assert found['requests_total{group="apps",resource="deployments",version=""}'] == "3"
    assert found['requests_total{group="custom",resource="custom",version=""}'] == "3"
    assert found['objects{resource="custom"}'] == "3" and found['objects{resource="secrets"}'] == "7"
    assert found['seconds_count{resource="",verb="get"}'] == "3"
    assert len([name for name in found if name.startswith("seconds_bucket")]) == 7
    assert not any("pods" in name for name in found), "an idle resource has no series"


def test_a_label_whose_values_a_flag_names_keeps_them_in_the_small_profile() -> None:
    found = shown(MetricLimits(allowed={"seconds,resource": CUSTOM}, small=True))
    assert found[f'seconds_count{{resource="{CUSTOM}",verb="get"}}'] == "3"


@pytest.fixture
def manifest(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "labels.yaml"


def test_a_manifest(manifest: pathlib.Path) -> None:
    manifest.write_text('"requests_total,version": "v1,v2"\n')
    assert read_manifest(str(manifest)) == {"requests_total,version": "v1,v2"}
    manifest.write_text("")
    assert read_manifest(str(manifest)) == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a\n- b: {", "failed to parse allow list manifest: yaml: "),
        ("allowListMapping:\n  a,b: c\n", "failed to parse allow list manifest: "),
        ("- a", "failed to parse allow list manifest: "),
        ("nope: a", 'Invalid value: {"nope":"a"}: must have keys with format'),
    ],
)
def test_manifests_that_cannot_be_used(manifest: pathlib.Path, text: str, problem: str) -> None:
    manifest.write_text(text)
    with pytest.raises(ManifestError) as caught:
        read_manifest(str(manifest))
    assert problem in str(caught.value)


def test_a_manifest_that_is_missing(manifest: pathlib.Path) -> None:
    with pytest.raises(ManifestError) as caught:
        read_manifest(str(manifest))
    expected = f"failed to read allow list manifest: open {manifest}: no such file or directory"
    assert str(caught.value) == expected
