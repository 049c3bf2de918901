"""Rules over long lists take linear time; nothing equals what is empty."""

from typing import Any

import pytest
from complexity import assert_linear

from pilothouse.api.validate import admissionregistration, certificates, dra, node, policies, quota, rbac, storage
from pilothouse.api.validate.common import equal
from pilothouse.api.values.fields import Errors

pytestmark = pytest.mark.slow

OLD: dict[str, Any] = {"metadata": {}}


def hook(i: Any, **more: Any) -> dict[str, Any]:
    return {"name": f"h{i}.example.com", "matchConditions": [{"name": f"c{i}", "expression": "true"}], **more}


def driver(i: Any) -> dict[str, Any]:
    return {"name": f"d{i}.example.com", "nodeID": "n", "topologyKeys": ["example.com/zone"]}


def expressions(n: Any) -> Any:
    return [{"scopeName": "BestEffort", "operator": "Exists"}] * n


RULES: dict[str, tuple[Any, Any]] = {
    "review versions": (admissionregistration.validate_validating_webhooks, lambda n: {"webhooks": [hook(0, admissionReviewVersions=[f"v{i}" for i in range(n)])]}),
    "match conditions": (lambda obj, errs: admissionregistration.validate_validating_webhooks(obj, errs, obj), lambda n: {"webhooks": [hook(i) for i in range(n)]}),
    "actions": (policies.validate_validating_binding, lambda n: {"spec": {"policyName": "p", "validationActions": ["Deny"] + ["Audit"] * n}}),
    "usages": (certificates.validate_request, lambda n: {"spec": {"usages": [f"u{i}" for i in range(n)], "signerName": "example.com/s"}}),
    "binding conditions": (
        lambda obj, errs: dra.validate_binding(obj, "x", errs),
        lambda n: {"bindingConditions": [f"a{i}" for i in range(n)], "bindingFailureConditions": [f"b{i}" for i in range(n)]},
    ),
    "scopes": (quota.validate_quota, lambda n: {"spec": {"hard": {f"example.com/r{i}": "1" for i in range(n)}, "scopes": ["Terminating"] * n}}),
    "scope selectors": (quota.validate_quota, lambda n: {"spec": {"hard": {f"example.com/r{i}": "1" for i in range(n)}, "scopeSelector": {"matchExpressions": expressions(n)}}}),
    "topologies": (
        storage.validate_storage_class,
        lambda n: {"provisioner": "example.com/p", "volumeBindingMode": "Immediate", "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": [f"z{i}"]}]} for i in range(n)]},
    ),
    "topology values": (
        storage.validate_storage_class,
        lambda n: {"provisioner": "example.com/p", "volumeBindingMode": "Immediate", "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": [f"z{i}" for i in range(n)]}]}]},
    ),
    "drivers": (lambda obj, errs: storage.validate_csi_node_update(obj, obj, errs), lambda n: {"spec": {"drivers": [driver(i) for i in range(n)]}}),
    "tolerations": (node.validate_runtime_class, lambda n: {"handler": "h", "scheduling": {"tolerations": [{"key": f"k{i}", "operator": "Exists"} for i in range(n)]}}),
    "roles": (rbac.validate_role, lambda n: {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": [f"r{i}"]} for i in range(n)]}),
}


@pytest.mark.parametrize("name", RULES)
def test_long_lists_take_linear_time(name: Any) -> None:
    check, make = RULES[name]
    assert_linear(lambda obj: check(obj, Errors()), make, 200, 40.0)  # names that are right are remembered, some thousands of them


PARTS = [
    b"-----BEGIN CERTIFICATE REQUEST-----",
    b"-----BEGIN CERTIFICATE REQUEST-----\n",
    b"-----BEGIN X-----\n-----END Y-----\n",
    b"-----BEGIN ",
    b"-----BEGIN A-----   ",
    b"-----BEGIN X-----\nA:b\n\n",
    b"-",
]


@pytest.mark.parametrize("part", PARTS)
def test_blocks_of_requests_take_linear_time(part: Any) -> None:
    assert_linear(lambda data: list(certificates._blocks(data)), lambda n: part * n, 500)


def test_a_scope_is_weighed_against_each_resource() -> None:
    errs = Errors()
    hard = {"pods": "1", "cpu": "1", "services": "1", "example.com/a": "1"}
    quota.validate_quota({"spec": {"hard": hard, "scopes": ["BestEffort", "BestEffort"]}}, errs)
    assert [c["message"] for c in errs.causes] == ['Invalid value: ["BestEffort","BestEffort"]: unsupported scope applied to resource'] * 4


def test_nothing_equals_empty() -> None:
    assert equal({"a": []}, {})
    assert equal({"a": {"b": None}}, {"a": {}})
    assert not equal({"a": 1}, {"a": 2})
