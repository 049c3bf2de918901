"""The metrics of envelope encryption,
under upstream's names (apiserver storage/value/encrypt/envelope/metrics)."""

import time

from pilothouse.metrics.instruments import Counter, Gauge, Group, Histogram, Labels, digest

SECONDS = tuple(0.0001 * 2**n for n in range(20))
KEY_SECONDS = tuple(0.000005 * 2**n for n in range(14))
REMEMBERED = 100
"""The most key IDs that are shown; the oldest ones are dropped."""


class EnvelopeMetrics(Group):
    """The metrics of all KMS providers. `server_id` is the name of this API server's lease."""

    def __init__(self) -> None:
        self.server_id = ""
        prefix = "apiserver_envelope_encryption_"
        self.calls = Histogram(
            f"{prefix}kms_operations_latency_seconds",
            "[ALPHA] Time of calls to KMS plugins.",
            ("grpc_status_code", "method_name", "provider_name"),
            SECONDS,
        )
        self.invalid_key_ids = Counter(
            f"{prefix}invalid_key_id_from_status_total",
            "[ALPHA] Key IDs in a plugin's status that can not be used.",
            ("error", "provider_name"),
        )
        self.misses = Counter(
            "apiserver_storage_envelope_transformation_cache_misses_total",
            "[ALPHA] Keys that a plugin had to decrypt.",
            (),
        )
        keys = "apiserver_storage_data_key_generation"
        self.key_seconds = Histogram(
            f"{keys}_duration_seconds",
            "[ALPHA] Seconds to make a seed of data keys.",
            (),
            KEY_SECONDS,
        )
        self.key_failures = Counter(
            f"{keys}_failures_total", "[ALPHA] Seeds of data keys that could not be made."
        )
        self.sources = Gauge(
            f"{prefix}dek_source_cache_size",
            "[ALPHA] Known seeds and keys, with which the server reads values without the plugin.",
            ("provider_name",),
            joined=max,
        )
        used = ("apiserver_id_hash", "key_id_hash", "provider_name", "transformation_type")
        self._total = Counter(
            f"{prefix}key_id_hash_total", "[ALPHA] Uses of each key ID.", used, lambda: self._used(0)
        )
        self._last = Gauge(
            f"{prefix}key_id_hash_last_timestamp_seconds",
            "[ALPHA] Last use of each key ID.",
            used,
            lambda: self._used(1),
        )
        self._status = Gauge(
            f"{prefix}key_id_hash_status_last_timestamp_seconds",
            "[ALPHA] Last time that a plugin named a key ID as its own.",
            used[:-1],
            self._last_named,
        )
        self._uses: dict[Labels, list[float]] = {}
        self._named: dict[Labels, float] = {}

    def used(self, way: str, provider: str, key_id: str) -> None:
        """Count a value that was written (TO_STORAGE) or read (FROM_STORAGE); `key_id` is a hash."""
        row = self._uses.get((key_id, provider, way))
        if row is None:
            _make_room(self._uses)
            row = self._uses[key_id, provider, way] = [0, 0]
        row[0] += 1
        row[1] = time.time()

    def named(self, provider: str, key_id: str) -> None:
        """Note the time at which a plugin's status named a key ID; `key_id` is a hash."""
        if (key_id, provider) not in self._named:
            _make_room(self._named)
        self._named[key_id, provider] = time.time()

    def _used(self, field: int) -> dict[Labels, float]:
        server = digest(self.server_id)
        return {(server, *labels): row[field] for labels, row in self._uses.items()}

    def _last_named(self) -> dict[Labels, float]:
        server = digest(self.server_id)
        return {(server, *labels): at for labels, at in self._named.items()}

    def reset(self) -> None:
        self._uses.clear()
        super().reset()


def _make_room(known: dict[Labels, list[float]] | dict[Labels, float]) -> None:
    if len(known) >= REMEMBERED:
        del known[next(iter(known))]
