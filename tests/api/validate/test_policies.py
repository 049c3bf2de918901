"""Validation of admission policies and their bindings."""

from collections.abc import Callable

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import policies as rules


def causes(check: Callable[..., None], *objects: Object) -> list[tuple[str, str]]:
    errs = Errors()
    check(*objects, errs)
    return [(c["field"], c["message"]) for c in errs.causes]


RULE = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}
MATCH = {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": [RULE]}


def policy(**spec: object) -> Object:
    given = {"failurePolicy": "Fail", "matchConstraints": MATCH, "validations": [{"expression": "true"}], **spec}
    return {"metadata": {"name": "p"}, "spec": given}


@pytest.mark.parametrize(("spec", "members"), [
    ({}, []),
    ({"validations": []}, ["validations", "auditAnnotations"]),
    ({"matchConstraints": None}, ["matchConstraints"]),
    ({"paramKind": {"apiVersion": "a/b/c"}}, ["paramKind.apiVersion", "paramKind.kind"]),
    ({"variables": [{"name": "in", "expression": "1"}]}, ["variables[0].name"]),
    ({"matchConditions": [{}]}, ["matchConditions[0].expression", "matchConditions[0].name"]),
    ({"validations": [{"expression": "true", "reason": "Teapot"}]}, ["validations[0].reason"]),
])  # fmt: skip
def test_validating_policies(spec: Object, members: list[str]) -> None:
    found = causes(rules.validate_validating_policy, policy(**spec))
    assert [f for f, _ in found] == [f"spec.{m}" for m in members]


def test_mutating_policies_have_no_deletes() -> None:
    constraints = {**MATCH, "resourceRules": [{**RULE, "operations": ["DELETE"]}]}
    obj = policy(matchConstraints=constraints, mutations=[{"patchType": "JSONPatch"}], reinvocationPolicy="Never")
    assert [f for f, _ in causes(rules.validate_mutating_policy, obj)] == ["spec.matchConstraints.resourceRules.operations", "spec.mutations[0].jsonPatch"]


@pytest.mark.parametrize(
    ("spec", "members"),
    [({"policyName": "p", "validationActions": ["Deny"]}, []), ({}, ["policyName", "validationActions"]), ({"policyName": "p", "validationActions": ["Deny", "Warn"]}, ["validationActions"])],
)
def test_bindings(spec: Object, members: list[str]) -> None:
    found = causes(rules.validate_validating_binding, {"spec": spec})
    assert [f for f, _ in found] == [f"spec.{m}" for m in members]
