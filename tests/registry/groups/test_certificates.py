"""Hooks of certificates: requesting user, approval, status."""

from pilothouse.api.fields import Object
from pilothouse.api.identity import User
from pilothouse.registry.groups import certificates
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
