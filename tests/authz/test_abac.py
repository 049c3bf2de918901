"""Policies of --authorization-policy-file."""

from pathlib import Path
from typing import Any

import pytest
from coroutines import at_once
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authz.abac import ABACAuthorizer, ABACPolicy, ABACPolicyError, load
from pilothouse.authz.authorizer import UnionAuthorizer, UnionMember

VERSIONED = '{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":%s}'


def ask(user: str = "jane", verb: str = "get", groups: Any = ("system:authenticated",), **more: Any) -> Any:
    resource = "path" not in more
    return AuthorizationAttributes(User(user, groups=groups), verb, is_resource=resource, **more)


def policies(tmp_path: Path, *lines: str) -> list[ABACPolicy]:
    file = tmp_path / "policies"
    file.write_text("\n".join(lines))
    return load(str(file))


def allowed(found: list[ABACPolicy], attributes: AuthorizationAttributes) -> bool:
    return at_once(ABACAuthorizer(found).authorize(attributes)).allowed


def test_who_may_do_what(tmp_path: Path) -> None:
    found = policies(
        tmp_path,
        "# the kubelet reads pods",
        "",
        VERSIONED % '{"user":"kubelet","namespace":"*","resource":"pods","readonly":true}',
        VERSIONED % '{"group":"dev","namespace":"ns","resource":"*","apiGroup":"apps"}',
        VERSIONED % '{"user":"*","nonResourcePath":"/healthz*","readonly":true}',
    )
    kubelet = {"user": "kubelet", "resource": "pods", "namespace": "x"}
    assert allowed(found, ask(**kubelet)) and allowed(found, ask(verb="watch", **kubelet))
    assert not allowed(found, ask(verb="create", **kubelet))
    assert not allowed(found, ask(user="kubelet", resource="secrets", namespace="x"))
    dev: Any = {"groups": ("dev",), "resource": "deployments", "namespace": "ns"}
    assert allowed(found, ask(verb="delete", group="apps", **dev))
    assert not allowed(found, ask(group="batch", **dev))
    assert not allowed(found, ask(group="apps", **{**dev, "namespace": "other"}))
    assert allowed(found, ask(path="/healthz/etcd"))
    assert not allowed(found, ask(path="/healthz/etcd", groups=("system:unauthenticated",)))
    assert not allowed(found, ask(path="/metrics")) and not allowed(found, ask(path="/healthz", verb="post"))


def test_policies_without_a_version_match_what_they_do_not_name(tmp_path: Path) -> None:
    found = policies(tmp_path, '{"user":"admin"}', '{"resource":"pods","readonly":true}')
    assert allowed(found, ask("admin", "delete", resource="x", namespace="y", group="z"))
    assert allowed(found, ask("admin", "delete", path="/any"))
    assert allowed(found, ask(resource="pods", namespace="n")) and not allowed(found, ask(path="/any"))
    assert not allowed(found, ask(resource="pods", groups=("system:unauthenticated",)))


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"user":1}',
        '{"readonly":"yes"}',
        VERSIONED % '"x"',
        '{"apiVersion":"abac.authorization.kubernetes.io/v9","kind":"Policy"}',
        '{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Other"}',
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(ABACPolicyError, match=r"error reading policy file .*policies, line 2: "):
        policies(tmp_path, "# one", line)


def test_rules_are_listed(tmp_path: Path) -> None:
    found = policies(
        tmp_path,
        VERSIONED % '{"user":"jane","namespace":"ns","resource":"pods","readonly":true}',
        VERSIONED % '{"user":"jane","namespace":"*","nonResourcePath":"/x"}',
        VERSIONED % '{"user":"joe","namespace":"*","resource":"*"}',
    )
    rules = ABACAuthorizer(found).rules_for(User("jane"), "ns")
    assert rules.resource == [{"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["pods"]}]
    assert rules.non_resource == [{"verbs": ["*"], "nonResourceURLs": ["/x"]}] and not rules.incomplete
    assert not ABACAuthorizer(found).rules_for(User("jane"), "other").resource


TEXT = st.sampled_from(["", "*", "a", "b"])


@given(TEXT, TEXT, st.booleans(), TEXT, TEXT, TEXT, st.sampled_from(["get", "create"]))
def test_a_policy_never_allows_more_than_its_members(
    user: str, group: str, readonly: bool, api_group: str, resource: str, namespace: str, verb: str
) -> None:
    policy = ABACPolicy(user, group, readonly, api_group, resource, namespace)
    a = ask("a", verb, ("b",), group="a", resource="b", namespace="a")
    fits = [
        (user, "a", True),
        (group, "b", True),
        (api_group, "a", False),
        (resource, "b", False),
        (namespace, "a", False),
    ]
    expected = all(has in ("*", wanted) or (not has and free) for has, wanted, free in fits)
    assert policy.matches(a) == (expected and bool(user or group) and (verb == "get" or not readonly))


def test_other_policies_decide_at_once() -> None:
    authorizer = ABACAuthorizer([])
    question = AuthorizationAttributes(User("jane"), "get", path="/x")
    assert not at_once(authorizer.authorize(question)).allowed
    union = UnionAuthorizer([UnionMember(authorizer)])
    before = union.epoch
    authorizer.use([ABACPolicy(user="jane", path="*")])
    assert union.epoch == before + 1
    assert at_once(authorizer.authorize(question)).allowed


def test_namespaces_that_policies_name(tmp_path: Path) -> None:
    found = policies(
        tmp_path,
        VERSIONED % '{"user":"jane","namespace":"a","resource":"pods"}',
        VERSIONED % '{"group":"dev","namespace":"b","resource":"*"}',
        VERSIONED % '{"user":"jane","namespace":"*","resource":"secrets"}',
        VERSIONED % '{"user":"joe","namespace":"c","resource":"*"}',
        VERSIONED % '{"user":"jane","nonResourcePath":"/x"}',
    )
    authorizer = ABACAuthorizer(found)
    assert authorizer.namespaces_for(User("jane")) == {"a"}
    assert authorizer.namespaces_for(User("jane", groups=("dev",))) == {"a", "b"}
