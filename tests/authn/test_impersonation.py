"""Acting as another user."""

import asyncio
import contextlib
from typing import Any

import pytest

from pilothouse import errors
from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authn.impersonation import Impersonation, wanted_user
from pilothouse.server.request import Request

CALLER = User("boss", groups=("system:authenticated",))


class Judge:
    """Allows what is listed: "verb resource[/sub] name"."""

    def __init__(self, *allowed: Any, reason: str = "") -> None:
        self.allowed = set(allowed)
        self.asked: list[Any] = []

    async def __call__(self, a: Any) -> Any:
        resource = f"{a.resource}/{a.subresource}" if a.subresource else a.resource
        if a.namespace:
            resource = f"{a.namespace}:{resource}"
        asked = f"{a.verb} {resource} {a.name}".strip()
        self.asked.append(asked)
        return type("Decision", (), {"allowed": asked in self.allowed, "reason": ""})


def forbid(attributes: Any, reason: Any) -> Any:
    what = f"{attributes.verb} {attributes.resource} {attributes.name}".strip()
    return errors.Forbidden(f"{what}: {reason}" if reason else what)


def request(user: str = "", *headers: Any) -> Request:
    pairs = [("impersonate-user", user)] if user else []
    pairs += headers
    return Request("GET", "/api", dict(reversed(pairs)), pairs)


def run(judge: Any, user: Any, *headers: Any, caller: Any = CALLER, impersonation: Any = None) -> Any:
    attributes = AuthorizationAttributes(caller, "list", is_resource=True, resource="pods")
    impersonation = impersonation or Impersonation(judge, forbid)
    return asyncio.run(impersonation.effective(request(user, *headers), attributes))[0]


def test_the_old_verb_lets_act_as_any_user() -> None:
    user = run(Judge("impersonate users jane"), "jane")
    assert (user.name, user.groups, user.uid) == ("jane", ("system:authenticated",), "")


@pytest.mark.parametrize(
    ("name", "groups", "expected"),
    [
        ("jane", ["dev"], ("dev", "system:authenticated")),
        ("jane", ["system:unauthenticated"], ("system:unauthenticated",)),
        ("system:anonymous", [], ("system:unauthenticated",)),
    ],
)
def test_groups_tell_whether_the_user_is_authenticated(
    name: str, groups: list[str], expected: tuple[str, ...]
) -> None:
    judge = Judge(f"impersonate users {name}", *[f"impersonate groups {g}" for g in groups])
    assert run(judge, name, *[("impersonate-group", g) for g in groups]).groups == expected


def test_every_part_is_checked() -> None:
    headers = [("impersonate-uid", "u"), ("impersonate-group", "g"), ("impersonate-extra-a%2fb", "x")]
    judge = Judge()
    with pytest.raises(errors.Forbidden, match=r"^impersonate-on:user-info:list pods$"):
        run(judge, "jane", *headers)
    parts = ["users jane", "uids u", "groups g", "userextras/a/b x"]
    for i in range(1, 4):
        impersonation = Impersonation(Judge(*[f"impersonate {p}" for p in parts[:i]]), forbid)
        impersonation._last["boss"] = 4
        with pytest.raises(errors.Forbidden, match=f"^impersonate {parts[i].split()[0].split('/')[0]}"):
            run(None, "jane", *headers, impersonation=impersonation)
    user = run(Judge(*[f"impersonate {p}" for p in parts]), "jane", *headers)
    assert (user.uid, user.groups, user.extra) == ("u", ("g", "system:authenticated"), {"a/b": ["x"]})


def test_service_accounts_get_their_groups() -> None:
    user = run(Judge("impersonate ns:serviceaccounts s"), "system:serviceaccount:ns:s")
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")
    for name in ("system:serviceaccount:bad name:s", "system:serviceaccount:ns"):
        assert run(Judge(f"impersonate users {name}"), name).name == name


def test_a_user_can_be_impersonated_for_one_verb() -> None:
    judge = Judge("impersonate-on:user-info:list pods", "impersonate:user-info users jane")
    assert run(judge, "jane").name == "jane"
    with pytest.raises(errors.Forbidden, match=r"^impersonate:user-info users jim$"):
        run(judge, "jim")
    with pytest.raises(errors.Forbidden, match=r"^impersonate:user-info groups dev$"):
        run(judge, "jane", ("impersonate-group", "dev"))


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ([("impersonate-group", "system:masters")], "the system:masters group is not allowed"),
        ([("impersonate-group", "")], "the empty string group is not allowed"),
        ([("impersonate-extra-x", "y")], "invalid key in extra is not allowed: extra.key: Invalid value"),
        ([("impersonate-extra-a.b/c", "")], "the empty string value in extra is not allowed"),
    ],
)
def test_constrained_impersonation_has_its_limits(headers: list[tuple[str, str]], why: str) -> None:
    judge = Judge("impersonate-on:user-info:list pods", "impersonate:user-info users jane")
    with pytest.raises(errors.Forbidden, match=why):
        run(judge, "jane", *headers)


def test_many_groups_are_asked_for_at_once() -> None:
    judge = Judge(
        "impersonate-on:user-info:list pods",
        "impersonate:user-info users jane",
        "impersonate:user-info groups *",
    )
    user = run(judge, "jane", *[("impersonate-group", g) for g in "abcd"])
    assert user.groups == ("a", "b", "c", "d", "system:authenticated")
    assert len(judge.asked) == 3


def test_nodes_and_accounts_have_modes_of_their_own() -> None:
    node = "system:node:n"
    judge = Judge("impersonate-on:arbitrary-node:list pods", "impersonate:arbitrary-node nodes n")
    assert run(judge, node).groups == ("system:nodes", "system:authenticated")
    judge = Judge(
        "impersonate-on:serviceaccount:list pods", "impersonate:serviceaccount ns:serviceaccounts s"
    )
    assert run(judge, "system:serviceaccount:ns:s").name == "system:serviceaccount:ns:s"
    extra = {"authentication.kubernetes.io/node-name": ["n"]}
    agent = User("system:serviceaccount:ns:agent", extra=extra)
    judge = Judge("impersonate-on:associated-node:list pods", "impersonate:associated-node nodes *")
    assert run(judge, node, caller=agent).name == node
    with pytest.raises(errors.Forbidden, match="arbitrary-node"):
        run(judge, "system:node:other", caller=agent)


def test_the_mode_that_worked_last_is_tried_first() -> None:
    judge = Judge("impersonate users jane")
    impersonation = Impersonation(judge, forbid)
    run(judge, "jane", impersonation=impersonation)
    judge.asked.clear()
    run(judge, "jane", impersonation=impersonation)
    assert judge.asked == ["impersonate users jane"]
    with pytest.raises(errors.Forbidden, match=r"^impersonate users jim$"):
        run(judge, "jim", impersonation=impersonation)


def test_a_judge_may_take_its_time() -> None:
    judge = Judge("impersonate users jane")

    async def slow(attributes: Any) -> Any:
        await asyncio.sleep(0)
        return await judge(attributes)

    assert run(slow, "jane").name == "jane"
    with pytest.raises(errors.Forbidden):
        run(slow, "jim")


def test_a_user_must_be_named() -> None:
    assert not Impersonation.wanted(request())
    assert not Impersonation.wanted(request("", ("x-impersonate-user", "u"), ("impersonate", "u"), ("i", "")))
    assert run(Judge(), "") is CALLER
    for headers, shown in [
        ([("impersonate-group", "g")], 'UID:"", Groups:[]string{"g"}, Extra:map[string][]string(nil)'),
        (
            [("impersonate-uid", "u"), ("impersonate-extra-b", "y"), ("impersonate-extra-a", "x")],
            'UID:"u", Groups:[]string(nil), Extra:map[string][]string{"a":[]string{"x"}, "b":[]string{"y"}}',
        ),
    ]:
        asked = request("", *headers)
        assert Impersonation.wanted(asked)
        with pytest.raises(errors.BadRequest) as caught:
            wanted_user(asked)
        assert caught.value.message == (
            f'requested &user.DefaultInfo{{Name:"", {shown}}} without impersonating a user name'
        )


def test_the_metrics_tell_modes_and_decisions() -> None:
    judge = Judge(
        "impersonate users jane", "impersonate:user-info users kim", "impersonate-on:user-info:list pods"
    )
    impersonation = Impersonation(judge, forbid)
    for name in ("jane", "kim", "eve"):
        with contextlib.suppress(errors.Forbidden):
            run(judge, name, impersonation=impersonation)
    metrics = impersonation.metrics
    assert metrics.attempts.counts() == {
        ("allowed", "legacy"): 1,
        ("allowed", "user-info"): 1,
        ("denied", ""): 1,
    }
    lines = metrics.attempts_total.text()
    assert 'apiserver_impersonation_attempts_total{decision="allowed",mode="user-info"} 1' in lines
    asked = metrics.asked.counts()
    assert sum(asked.values()) == len(judge.asked)
    assert asked["denied", "legacy"] == 2 and asked["allowed", "user-info"] == 4
    assert 'authorization_attempts_total{decision="denied",mode="legacy"} 2' in metrics.asked_total.text()
