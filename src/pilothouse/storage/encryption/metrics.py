"""The metrics of the configuration of encryption (apiserver options/encryptionconfig/metrics)."""

from pilothouse.instruments import Group
from pilothouse.reload import ReloadMetrics


class EncryptionMetrics(ReloadMetrics, Group):
    """Reloads of --encryption-provider-config, and which one is in force."""

    def __init__(self) -> None:
        super().__init__("encryption", "ALPHA")
