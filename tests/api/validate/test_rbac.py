"""Validation of roles and bindings."""

from collections.abc import Callable

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import rbac as rules

Causes = list[tuple[str, str]]


def causes(check: Callable[..., None], *objects: Object) -> Causes:
    errs = Errors()
    check(*objects, errs)
    return [(c["field"], c["message"]) for c in errs.causes]


REF = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"}


def test_urls_are_for_cluster_roles() -> None:
    role: Object = {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]}
    assert causes(rules.validate_cluster_role, role) == []
    assert causes(rules.validate_role, role) == [("rules[0].nonResourceURLs", 'Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs')]


@pytest.mark.parametrize(("subject", "fields"), [
    ({"kind": "ServiceAccount", "name": "a", "namespace": "n"}, []),
    ({"kind": "ServiceAccount", "name": "a"}, ["subjects[0].namespace"]),
    ({"kind": "User", "name": "a"}, ["subjects[0].apiGroup"]),
    ({"kind": "Robot"}, ["subjects[0].name", "subjects[0].kind"]),
])  # fmt: skip
def test_subjects(subject: Object, fields: list[str]) -> None:
    assert [f for f, _ in causes(rules.validate_cluster_role_binding, {"roleRef": REF, "subjects": [subject]})] == fields


def test_the_role_of_a_binding_stays() -> None:
    shown = '{"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"s"}'
    found = causes(rules.validate_role_binding_update, {"roleRef": REF | {"name": "s"}}, {"roleRef": REF})
    assert found == [("roleRef", f"Invalid value: {shown}: cannot change roleRef")]
