"""The metrics of consistent reads and of conversion webhooks."""

from pilothouse.metrics.instruments import Counter, Group, Histogram

WAIT_SECONDS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3)


class ConsistentReadMetrics(Group):
    """How reads of the newest state ended (apiserver storage/cacher/metrics)."""

    def __init__(self) -> None:
        self.reads = Counter(
            "apiserver_watch_cache_consistent_read_total",
            "[ALPHA] Reads that had to be as new as the store.",
            ("fallback", "group", "resource", "success"),
        )
        self.waits = Histogram(
            "apiserver_watch_cache_read_wait_seconds",
            "[ALPHA] Seconds that reads have waited for a cache to be as new as the store.",
            ("group", "resource"),
            WAIT_SECONDS,
        )


WEBHOOK_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 45, 60)


class ConversionMetrics(Group):
    """How conversions by webhook ended,
    and how long they took (apiextensions-apiserver apiserver/conversion)."""

    def __init__(self) -> None:
        labels = ("failure_type", "result")
        self.requests = Counter(
            "apiserver_conversion_webhook_request_total",
            "[ALPHA] Counter for conversion webhook requests with success/failure and failure error type",
            labels,
        )
        self.seconds = Histogram(
            "apiserver_conversion_webhook_duration_seconds",
            "[ALPHA] Conversion webhook request latency",
            labels,
            WEBHOOK_SECONDS,
        )
        self.definitions = Histogram(
            "apiserver_crd_conversion_webhook_duration_seconds",
            "[ALPHA] CRD webhook conversion duration in seconds",
            ("crd_name", "from_version", "succeeded", "to_version"),
            [0.001 * 2**n for n in range(15)],
        )

    def succeeded(self, definition: str, version: str, to: str, seconds: float) -> None:
        """Count a batch of a definition's objects that was converted from `version` to `to`."""
        self._ended("", "success", seconds)
        self.definitions.observe(seconds, definition, version, "true", to)

    def failed(self, definition: str, version: str, to: str, failure: str, seconds: float) -> None:
        """Count a conversion that failed; `failure` is its failure_type."""
        self._ended(failure, "failure", seconds)
        self.refused(definition, version, to, seconds)

    def refused(self, definition: str, version: str, to: str, seconds: float) -> None:
        """Count a conversion that failed before the webhook was asked."""
        self.definitions.observe(seconds, definition, version, "false", to)

    def _ended(self, failure: str, result: str, seconds: float) -> None:
        self.requests.inc(failure, result)
        self.seconds.observe(seconds, failure, result)
