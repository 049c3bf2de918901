"""The metrics that are left out or limited."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pilothouse.configuration.sections.section import Section, metrics, own
from pilothouse.process.frozen import frozen


@frozen(eq=False)
class MetricsOptions(Section):
    """The metrics that are left out or limited."""

    # fmt: off
    allow_metric_labels: Mapping[str, str] = metrics({}, "stringToString",
        "Values that a label may have, as metric,label=value,value; others are counted as unexpected. "
        "Repeatable.")
    allow_metric_labels_manifest: str = metrics("", "string",
        "File with the same as a YAML mapping; it excludes --allow-metric-labels.")
    disabled_metrics: tuple[str, ...] = metrics((), "strings", "Full names of metrics to leave out.")
    metrics_profile: str = own("full", "string",
        "Which series /metrics shows: full, or small for at most some 3,000 of them, whatever is served "
        "(docs/metrics.md).")
    show_hidden_metrics_for_version: str = metrics("", "string",
        "Show the deprecated metrics that are hidden since the last release; its number, 1.35, is the only "
        "value.")
    # fmt: on

    def faults(self) -> Iterator[str]:
        """Yield the faults: invalid names and labels, and unknown profiles
        (component-base/metrics/api/v1)."""
        if not self.given:
            return
        from pilothouse.configuration.metric_limits import MINOR, wrong_name

        version, before = self.show_hidden_metrics_for_version, f"1.{MINOR - 1}"
        if version not in ("", before):
            yield (
                f"metrics.showHiddenMetricsForVersion: Invalid value: {_json(version)}: must be omitted or"
                f" have the value '{before}'; only the previous minor version is allowed"
            )
        if name := next(filter(wrong_name, self.disabled_metrics), None):
            names = _json(self.disabled_metrics)
            yield f"metrics.disabledMetrics: Invalid value: {names}: {wrong_name(name)}"
        yield from self._labels()
        if self.metrics_profile not in ("full", "small"):
            yield f"--metrics-profile {_json(self.metrics_profile)} must be full or small"

    def _labels(self) -> Iterator[str]:
        """The faults of the values that labels may have."""
        from pilothouse.configuration.metric_limits import ManifestError, read_manifest, wrong_labels

        labels, manifest = self.allow_metric_labels, self.allow_metric_labels_manifest
        if problem := wrong_labels(labels):
            yield f"metrics.allowListMapping: Invalid value: {_json(labels)}: {problem}"
        if manifest:
            try:
                read_manifest(manifest)
            except ManifestError as error:
                yield f"metrics.allowListMappingManifest: Invalid value: {_json(manifest)}: {error}"
        if labels and manifest:
            both = _json({"allowListMapping": labels, "allowListMappingManifest": manifest})
            yield (
                f"metrics: Invalid value: {both}: cannot specify both allowListMapping and"
                " allowListMappingManifest"
            )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
