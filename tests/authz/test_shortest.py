"""The shortest role that would have allowed a request."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authz.rbac import rules_allow
from pilothouse.authz.shortest import role_for, rule_for, yaml_for

JANE = User("jane", groups=("dev",))
WORDS = st.sampled_from(("a", "b", "pods"))
ATTRIBUTES = st.builds(
    AuthorizationAttributes,
    user=st.just(JANE),
    verb=st.sampled_from(("get", "create", "impersonate-on:user-info:list")),
    path=st.sampled_from(("/version", "/debug/requests/x")),
    is_resource=st.booleans(),
    group=st.sampled_from(("", "apps")),
    version=st.just("v1"),
    resource=WORDS,
    subresource=st.sampled_from(("", "status")),
    namespace=st.sampled_from(("", "default")),
    name=st.sampled_from(("", "one", "two")),
)


def attributes(**members: Any) -> AuthorizationAttributes:
    asked = {"user": JANE, "verb": "get", "is_resource": True, "resource": "pods", "version": "v1"}
    return AuthorizationAttributes(**{**asked, **members})


@given(ATTRIBUTES, ATTRIBUTES)
def test_a_rule_allows_its_request_and_no_other(
    a: AuthorizationAttributes, b: AuthorizationAttributes
) -> None:
    def shown(one: AuthorizationAttributes) -> tuple[Any, ...]:
        if not one.is_resource:
            return (one.verb, one.path)
        return (one.verb, one.group, one.resource, one.subresource, one.name)

    rule = rule_for(a)
    assert rules_allow(a, [rule]).allowed
    wider = a.is_resource and b.is_resource and not a.name and shown(a)[:4] == shown(b)[:4]
    assert rules_allow(b, [rule]).allowed == (shown(a) == shown(b) or wider)


@pytest.mark.parametrize(
    ("given", "kind", "name", "binding"),
    [
        ({"namespace": "default", "name": "web"}, "Role", "get-pods", "get-pods-jane"),
        ({"resource": "nodes"}, "ClusterRole", "get-nodes", "get-nodes-jane"),
        ({"namespace": "n", "subresource": "log"}, "Role", "get-pods-log", "get-pods-log-jane"),
        ({"is_resource": False, "resource": "", "path": "/debug/x"}, "ClusterRole", "get-debug-x",
         "get-debug-x-jane"),
        ({"user": User("Ürsel@x")}, "ClusterRole", "get-pods", "get-pods-rsel-x"),
    ],
)  # fmt: skip
def test_names_of_roles(given: dict[str, Any], kind: str, name: str, binding: str) -> None:
    role, bound = role_for(attributes(**given))
    assert (role["kind"], role["metadata"]["name"]) == (kind, name)
    assert (bound["kind"], bound["metadata"]["name"]) == (f"{kind}Binding", binding)
    assert bound["roleRef"]["name"] == name and bound["roleRef"]["kind"] == kind
    assert role["metadata"].get("namespace") == bound["metadata"].get("namespace")


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("jane", {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}),
        ("system:serviceaccount:ci:bot", {"kind": "ServiceAccount", "name": "bot", "namespace": "ci"}),
        ("system:serviceaccount:x", {"apiGroup": "rbac.authorization.k8s.io", "kind": "User"}),
    ],
)
def test_subjects(user: str, subject: dict[str, str]) -> None:
    (found,) = role_for(attributes(user=User(user)))[1]["subjects"]
    assert found == {"name": user, **subject}


def test_the_text_is_two_documents() -> None:
    a = attributes(namespace="default", name="web")
    assert list(yaml.safe_load_all(yaml_for(a))) == role_for(a)
