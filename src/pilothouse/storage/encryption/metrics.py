"""The metrics of the configuration of encryption (apiserver options/encryptionconfig/metrics)."""

from pilothouse.metrics.instruments import Counter, Group, Histogram
from pilothouse.reload import ReloadMetrics

SECONDS = tuple(0.000005 * 2**n for n in range(25))


FROM_STORAGE, TO_STORAGE = "from_storage", "to_storage"


class EncryptionMetrics(ReloadMetrics, Group):
    """Reloads of --encryption-provider-config, and which one is in force."""

    def __init__(self) -> None:
        super().__init__("encryption", "ALPHA")
        name = "apiserver_storage_transformation"
        self.transformations = Counter(
            f"{name}_operations_total",
            "[ALPHA] Values that were encrypted or decrypted, or could not be.",
            ("resource", "status", "transformation_type", "transformer_prefix"),
        )
        self.transformation_seconds = Histogram(
            f"{name}_duration_seconds",
            "[ALPHA] Seconds to encrypt or decrypt a value.",
            ("transformation_type", "transformer_prefix"),
            SECONDS,
        )

    def transformed(self, way: str, resource: str, prefix: str, seconds: float, failed: bool = False) -> None:
        """Count a value that was read (FROM_STORAGE) or written
        (TO_STORAGE) by the provider with a prefix."""
        self.transformations.inc(resource, "Unknown" if failed else "OK", way, prefix)
        if not failed:
            self.transformation_seconds.observe(seconds, way, prefix)
