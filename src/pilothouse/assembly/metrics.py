"""The limits that the flags set to the metrics."""

from pilothouse.configuration.config import Config
from pilothouse.configuration.metric_limits import MetricLimits, read_manifest
from pilothouse.registry.catalog import built_in


def limits_of(config: Config) -> MetricLimits:
    """The limits that the flags set. Raises ManifestError."""
    manifest = config.allow_metric_labels_manifest
    small = config.metrics_profile == "small"
    return MetricLimits(
        config.disabled_metrics,
        read_manifest(manifest) if manifest else config.allow_metric_labels,
        show_hidden=bool(config.show_hidden_metrics_for_version),
        small=small,
        groups={resource.group for resource in built_in()} if small else (),
    )
