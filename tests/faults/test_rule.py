"""Which requests a rule is for."""

from typing import Any

import pytest

from pilothouse.faults.rule import Rule
from pilothouse.faults.subject import Subject

STATUS = Subject(
    user="jane",
    groups=("dev", "system:authenticated"),
    user_agent="controller/v1 (linux)",
    verb="update",
    path="/apis/apps/v1/namespaces/shop/deployments/web/status",
    api_group="apps",
    resource="deployments",
    subresource="status",
    namespace="shop",
    name="web",
    audit_id="1",
    query={},
)
WEB = STATUS._replace(subresource="", path="/apis/apps/v1/namespaces/shop/deployments/web")
LIST = WEB._replace(verb="list", name="")


def matches(one: Subject, **members: Any) -> bool:
    return Rule(code=500, **members).matches(one)


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({}, True),
        ({"user": ("jane",), "group": ("dev",), "verb": ("get", "update")}, True),
        ({"user": ("ja*",), "user_agent": ("controller/*",), "namespace": ("shop",), "name": ("w*",)}, True),
        ({"user": ("joe",)}, False),
        ({"group": ("admins",)}, False),
        ({"user_agent": ("kubectl/*",)}, False),
        ({"verb": ("get",)}, False),
        ({"namespace": ("default",)}, False),
        ({"name": ("db",)}, False),
        ({"path": ("/apis/apps/*",)}, True),
        ({"path": ("/apis/apps",)}, False),
    ],
)
def test_members(members: dict[str, Any], found: bool) -> None:
    assert matches(WEB, **members) is found


@pytest.mark.parametrize(
    ("resource", "plain", "status"),
    [
        ("deployments", True, False),
        ("deployments.apps", True, False),
        ("deployments.batch", False, False),
        ("deployments/status", False, True),
        ("deployments.apps/*", True, True),
        ("*", True, False),
        ("*/status", False, True),
        ("pods", False, False),
    ],
)
def test_resources(resource: str, plain: bool, status: bool) -> None:
    assert matches(WEB, resource=(resource,)) is plain
    assert matches(STATUS, resource=(resource,)) is status


def test_only_resources_unless_a_path_is_named() -> None:
    version = WEB._replace(path="/version", resource="", api_group="", name="", namespace="", verb="get")
    assert not matches(version)
    assert matches(version, path=("/version",))


def test_who_is_left_alone() -> None:
    assert not matches(WEB._replace(path="/readyz/ping"), path=("*",))
    own = WEB._replace(user="system:apiserver")
    assert not matches(own) and matches(own, user=("system:apiserver",))
    helper = WEB._replace(user_agent="pilothouse-testing")
    assert not matches(helper) and matches(helper, user=("jane",))
    assert matches(helper, user_agent=("pilothouse-testing",))


def test_what_the_api_allows() -> None:
    expired = Rule(code=410)
    assert not expired.matches(WEB) and not expired.matches(LIST)
    assert not expired.matches(LIST._replace(query={"resourceVersion": ["0"]}))
    assert expired.matches(LIST._replace(query={"continue": ["t"]}))
    assert expired.matches(LIST._replace(verb="watch", query={"resourceVersion": ["7"]}))
    stale = Rule(stale=True)
    assert stale.matches(LIST._replace(query={"resourceVersion": ["0"]}))
    assert not stale.matches(LIST) and not stale.matches(LIST._replace(query={"resourceVersion": ["7"]}))
    webhook = Rule(webhook="w", code=403)
    assert webhook.matches(WEB) and not webhook.matches(LIST)


def test_it_is_shown_without_defaults() -> None:
    rule = Rule(verb=("get",), code=503, retry_after=2)
    assert rule.shown() == {"verb": ["get"], "code": 503, "retryAfter": 2}
