"""Users cannot grant permissions that they do not have."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse import errors
from pilothouse.api.values.identity import User
from pilothouse.authz.authorizer import UnionAuthorizer, UnionMember
from pilothouse.authz.cover import uncovered
from pilothouse.authz.escalation import (
    Escalation,
    compact,
    describe,
    guard,
    only_garbage_fields,
)
from pilothouse.authz.rbac import RBACAuthorizer

JANE = User("jane", groups=("dev",))
SUBJECT = {"kind": "User", "name": "jane"}


def rule(verbs: Any, resources: Any, groups: Sequence[str] = ("",), **more: Any) -> dict[str, Any]:
    return {"verbs": verbs.split(), "apiGroups": list(groups), "resources": resources.split(), **more}


@pytest.fixture
def check(readers: Any) -> Any:
    rbac = RBACAuthorizer(readers)
    escalation = Escalation(UnionAuthorizer([UnionMember(rbac)]), rbac)

    def run(resource: Any, obj: Any, old: Any = None, name: str = "", user: Any = JANE) -> None:
        namespace = "" if resource.startswith("cluster") else "ns"
        obj.setdefault("metadata", {"name": "x"})
        asyncio.run(escalation.check(user, resource, namespace, name, obj=obj, old=old))

    return run


def hold(readers: Any, *rules: Any, name: str = "held") -> None:
    readers.role(name, *rules)
    readers.bind(name, name, SUBJECT)


def test_a_role_may_hold_what_its_author_holds(readers: Any, check: Any) -> None:
    hold(readers, rule("get", "pods"), rule("*", "secrets"))
    check("roles", {"rules": [rule("get", "pods"), rule("get delete", "secrets")]})
    with pytest.raises(errors.Forbidden) as caught:
        check("roles", {"rules": [rule("get list", "pods services"), rule("get", "x", resourceNames=["n"])]})
    assert caught.value.message == (
        'roles.rbac.authorization.k8s.io "x" is forbidden: user "jane" (groups=["dev"]) is attempting '
        "to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["list"]}\n'
        '{APIGroups:[""], Resources:["services"], Verbs:["get" "list"]}\n'
        '{APIGroups:[""], Resources:["x"], ResourceNames:["n"], Verbs:["get"]}'
    )


def test_superusers_and_escalators_are_free(readers: Any, check: Any) -> None:
    check("roles", {"rules": [rule("*", "*")]}, user=User("x", groups=("system:masters",)))
    hold(readers, rule("escalate", "roles", ["rbac.authorization.k8s.io"], resourceNames=["ok"]))
    check("roles", {"rules": [rule("*", "*")]}, name="ok")
    with pytest.raises(errors.Forbidden):
        check("roles", {"rules": [rule("*", "*")]}, name="")


def test_the_checks_share_the_authorizer_where_there_is_one(readers: Any) -> None:
    rbac = RBACAuthorizer(readers)
    assert guard(UnionAuthorizer([UnionMember(rbac)]), readers).rbac is rbac
    assert guard(UnionAuthorizer([]), readers).rbac is not rbac


def test_unresolved_roles_are_told(readers: Any, check: Any) -> None:
    readers.bind("b", "gone", SUBJECT)
    with pytest.raises(errors.Forbidden) as caught:
        check("clusterroles", {"rules": [rule("get", "pods")]})
    assert caught.value.message.endswith(
        '; resolution errors: [clusterroles.rbac.authorization.k8s.io "gone" not found]'
    )


def test_an_aggregation_rule_needs_everything(readers: Any, check: Any) -> None:
    obj = {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}
    with pytest.raises(
        errors.Forbidden, match="must have cluster-admin privileges to use the aggregationRule"
    ):
        check("clusterroles", obj)
    with pytest.raises(errors.Forbidden, match="cluster-admin"):
        check("clusterroles", {}, old={"metadata": {}, **obj})
    hold(readers, rule("*", "*", ["*"]), {"verbs": ["*"], "nonResourceURLs": ["*"]})
    check("clusterroles", obj)


def binding(name: str = "role", kind: str = "Role") -> dict[str, Any]:
    return {
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
    }


def test_a_binding_needs_the_rights_or_the_bind_verb(readers: Any, check: Any) -> None:
    readers.role("role", rule("get", "pods"), namespace="ns")
    with pytest.raises(errors.Forbidden, match=r'rolebindings.* "b" is forbidden: user "jane"'):
        check("rolebindings", binding())
    with pytest.raises(errors.NotFound, match=r'^rolebindings.rbac.authorization.k8s.io "gone" not found$'):
        check("rolebindings", binding("gone"))
    with pytest.raises(errors.InternalError, match='unsupported role reference kind: "X"'):
        check("rolebindings", binding(kind="X"))
    hold(readers, rule("bind", "roles", ["rbac.authorization.k8s.io"]))
    check("rolebindings", binding())
    check("rolebindings", binding("gone"))
    with pytest.raises(errors.NotFound):
        check("rolebindings", binding("role", "ClusterRole"))


def test_the_garbage_collector_needs_no_rights(check: Any) -> None:
    old = {"metadata": {"name": "x", "finalizers": ["a"], "uid": "1"}, "rules": [rule("*", "*")]}
    new: dict[str, Any] = {
        "metadata": {"name": "x", "uid": "1", "ownerReferences": []},
        "rules": [rule("*", "*")],
    }
    check("roles", new, old)
    assert only_garbage_fields(new, old)
    assert not only_garbage_fields({**new, "rules": []}, old)
    assert not only_garbage_fields({**new, "metadata": {**new["metadata"], "labels": {"a": "b"}}}, old)


@pytest.mark.parametrize(
    ("held", "wanted", "covered"),
    [
        (rule("*", "*", ["*"]), rule("*", "pods/log", ["apps"]), True),
        (rule("get", "*/log"), rule("get", "pods/log"), True),
        (rule("get", "*/log"), rule("get", "pods"), False),
        (rule("get", "pods", resourceNames=["a", "b"]), rule("get", "pods", resourceNames=["a"]), True),
        (rule("get", "pods", resourceNames=["a"]), rule("get", "pods"), False),
        (
            {"verbs": ["get"], "nonResourceURLs": ["/a/*"]},
            {"verbs": ["get"], "nonResourceURLs": ["/a/b"]},
            True,
        ),
        (
            {"verbs": ["get"], "nonResourceURLs": ["/a"]},
            {"verbs": ["get"], "nonResourceURLs": ["/a/*"]},
            False,
        ),
        (rule("*", "*", ["*"]), {"verbs": ["get"], "nonResourceURLs": ["/a"]}, False),
    ],
)
def test_what_covers_what(held: Any, wanted: Any, covered: bool) -> None:
    assert (uncovered([held], [wanted]) == []) is covered


WORDS = st.lists(st.sampled_from(["a", "b", "c/d", "*"]), min_size=1, max_size=3, unique=True)
ANY_RULE = st.fixed_dictionaries(
    {"verbs": WORDS, "apiGroups": WORDS, "resources": WORDS}, optional={"resourceNames": WORDS}
)


@settings(max_examples=25 * SCALE)
@given(st.lists(ANY_RULE, max_size=3), st.lists(ANY_RULE, max_size=3))
def test_rules_cover_themselves_and_adding_never_uncovers(held: Any, wanted: Any) -> None:
    assert uncovered(wanted, wanted) == []
    assert len(uncovered(held + wanted[:1], wanted)) <= len(uncovered(held, wanted))


def test_rules_are_merged_by_verb_for_the_message() -> None:
    atoms = uncovered([], [rule("watch", "pods"), rule("get list", "pods"), rule("get", "pods", ["apps"])])
    assert [describe(r) for r in compact(atoms)] == [
        '{APIGroups:[""], Resources:["pods"], Verbs:["watch" "get" "list"]}',
        '{APIGroups:["apps"], Resources:["pods"], Verbs:["get"]}',
    ]


def test_a_refusal_lists_so_many_rights(readers: Any, check: Any) -> None:
    wide = [str(i) for i in range(150)]
    with pytest.raises(errors.Forbidden) as caught:
        check("roles", {"rules": [{"verbs": wide, "apiGroups": wide, "resources": wide}]})
    assert len(caught.value.message) < 256 * 1024
    assert caught.value.message.endswith("\n... and more")


def test_what_is_too_much_to_compare_is_refused(
    readers: Any, check: Any, ever_new_overlaps: tuple[Any, list[dict[str, Any]]]
) -> None:
    held, wanted = ever_new_overlaps
    hold(readers, *held)
    with pytest.raises(errors.Forbidden, match=r'user "jane" is attempting to grant .* too many to compare'):
        check("roles", {"rules": wanted})
