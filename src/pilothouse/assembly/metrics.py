"""The limits that the flags set to the metrics."""

from pilothouse.configuration.metric_limits import MetricLimits, read_manifest
from pilothouse.configuration.sections.metrics import MetricsOptions
from pilothouse.registry.catalog import built_in


def limits_of(options: MetricsOptions) -> MetricLimits:
    """The limits that the flags set. Raises ManifestError."""
    manifest = options.allow_metric_labels_manifest
    small = options.metrics_profile == "small"
    return MetricLimits(
        options.disabled_metrics,
        read_manifest(manifest) if manifest else options.allow_metric_labels,
        show_hidden=bool(options.show_hidden_metrics_for_version),
        small=small,
        groups={resource.group for resource in built_in()} if small else (),
    )
