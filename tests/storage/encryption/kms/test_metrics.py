import re

from pilothouse.metrics.instruments import digest
from pilothouse.storage.encryption.kms.metrics import REMEMBERED, EnvelopeMetrics
from pilothouse.storage.encryption.metrics import TO_STORAGE


def text(metrics: EnvelopeMetrics) -> str:
    return "".join(metric.text() for metric in metrics.metrics())


def test_key_ids_are_shown_as_hashes() -> None:
    assert digest("") == ""
    assert digest("1") == "sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"


def test_what_is_told() -> None:
    metrics = EnvelopeMetrics()
    metrics.server_id = "1"
    for _ in range(3):
        metrics.used(TO_STORAGE, "one", "sha256:x")
    metrics.named("one", "sha256:x")
    metrics.invalid_key_ids.inc("empty", "one")
    metrics.calls.observe(0.1, "OK", "/v2.KeyManagementService/Status", "one")
    shown = text(metrics)
    labels = (
        f'apiserver_id_hash="{digest("1")}",key_id_hash="sha256:x",provider_name="one",'
        'transformation_type="to_storage"'
    )
    prefix = "apiserver_envelope_encryption_"
    assert f"\n{prefix}key_id_hash_total{{{labels}}} 3\n" in shown
    assert re.search(
        rf"\n{prefix}key_id_hash_last_timestamp_seconds{{{re.escape(labels)}}} 1\.\d+e\+09\n", shown
    )
    assert f"\n{prefix}key_id_hash_status_last_timestamp_seconds{{" in shown
    assert f'\n{prefix}invalid_key_id_from_status_total{{error="empty",provider_name="one"}} 1\n' in shown
    assert f"\n{prefix}kms_operations_latency_seconds_count" in shown
    assert "\napiserver_storage_envelope_transformation_cache_misses_total 0\n" in shown
    metrics.reset()
    assert "key_id_hash_total{" not in text(metrics)


def test_no_more_key_ids_than_can_be_told_of() -> None:
    metrics = EnvelopeMetrics()
    for n in range(REMEMBERED + 10):
        metrics.used(TO_STORAGE, "one", f"sha256:{n}")
        metrics.named("one", f"sha256:{n}")
    shown = text(metrics)
    assert shown.count("_key_id_hash_total{") == REMEMBERED
    assert shown.count("_status_last_timestamp_seconds{") == REMEMBERED
    assert '"sha256:0"' not in shown and f'"sha256:{REMEMBERED + 9}"' in shown
