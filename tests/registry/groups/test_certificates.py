"""Hooks of certificates: requesting user, approval, status."""

import base64
from types import SimpleNamespace
from typing import Any

from certificates import certificate, new_key
from coroutines import at_once
from cryptography import x509
from metric_samples import samples

from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.registry.groups import certificates
from pilothouse.registry.object_metrics import ObjectMetrics
from pilothouse.registry.strategy import WriteContext

NOW = "2026-01-01T00:00:00Z"
USER = User("alice", uid="1", groups=("dev",), extra={"scopes": ["x"]})
CONTEXT = WriteContext(USER, "create", certificates.RESOURCES[0], now=NOW)


def test_the_request_says_who_makes_it() -> None:
    request: Object = {"metadata": {"name": "r"}, "spec": {"username": "root", "groups": ["system:masters"]}}
    assert certificates.REQUEST.prepare_create is not None
    certificates.REQUEST.prepare_create(CONTEXT, request)
    assert request["spec"] == {"username": "alice", "uid": "1", "groups": ["dev"], "extra": {"scopes": ["x"]}}


def test_status_keeps_the_approval_and_sets_times() -> None:
    approved = {
        "type": "Approved",
        "status": "True",
        "reason": "a",
        "lastUpdateTime": NOW,
        "lastTransitionTime": NOW,
    }
    old: Object = {"metadata": {}, "status": {"conditions": [approved]}}
    new: Object = {
        "metadata": {},
        "status": {"conditions": [{**approved, "reason": "b"}, {"type": "Failed", "status": "True"}]},
    }
    assert certificates.REQUEST_STATUS.prepare_update is not None
    certificates.REQUEST_STATUS.prepare_update(CONTEXT, new, old)
    first, second = new["status"]["conditions"]
    assert first == approved
    assert second["lastUpdateTime"] == second["lastTransitionTime"] == NOW


def test_approval_changes_conditions_only() -> None:
    old: Object = {"metadata": {}, "status": {"certificate": "AAAA"}}
    new: Object = {"metadata": {}, "status": {"certificate": "BBBB", "conditions": [{"type": "Approved"}]}}
    assert certificates.REQUEST_APPROVAL.prepare_update is not None
    certificates.REQUEST_APPROVAL.prepare_update(CONTEXT, new, old)
    assert new["status"]["certificate"] == "AAAA" and new["status"]["conditions"][0]["type"] == "Approved"


def test_durations_of_certificates_are_counted() -> None:
    metrics = ObjectMetrics()
    services: Any = SimpleNamespace(metrics=metrics)
    context = WriteContext(USER, "update", certificates.RESOURCES[0], now=NOW, services=services)
    pem = certificate(new_key())
    issued = x509.load_pem_x509_certificates(pem)[0]
    lifetime = int((issued.not_valid_after_utc - issued.not_valid_before_utc).total_seconds())
    signed = {"status": {"certificate": base64.b64encode(pem).decode()}}

    def settle(new: Object | None, signer: str, seconds: int | None, **before: Any) -> None:
        spec = {"signerName": signer} | ({"expirationSeconds": seconds} if seconds else {})
        hook: Any = certificates.REQUEST.settle
        at_once(hook(context, new, {"spec": spec, **before}))

    kubelet = "kubernetes.io/kubelet-serving"
    settle(signed, kubelet, lifetime)
    settle(signed, "example.com/mine", 10 * lifetime)
    settle(signed, kubelet, None)
    settle(signed, kubelet, lifetime, **signed)
    settle({"status": {}}, kubelet, lifetime)
    settle(None, kubelet, lifetime)
    name = "apiserver_certificates_registry_csr"
    assert {key: value for key, value in samples(metrics).items() if key.startswith(name)} == {
        f'{name}_requested_duration_total{{signerName="{kubelet}"}}': "1",
        f'{name}_requested_duration_total{{signerName="other"}}': "1",
        f'{name}_honored_duration_total{{signerName="{kubelet}"}}': "1",
    }
