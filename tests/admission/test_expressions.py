"""Expressions of policies: the variables they see, the questions they may ask and the costs they may have."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from harness import CONFIG_MAPS, Rig
from policies import ADMISSION, Judge, config_map, policed, validating


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
def rig(runner: asyncio.Runner, judge: Judge) -> Iterator[Rig]:
    rig = policed(judge)
    runner.run(rig.start())
    yield rig
    runner.run(rig.stop())


REFUSED = "denied request: "
TEN = "[1,2,3,4,5,6,7,8,9,10]"
ENDLESS = (
    f"{TEN}.all(a, {TEN}.all(b, {TEN}.all(c, {TEN}.all(d, {TEN}.all(e, {TEN}.all(f, a + b + c + d + e + f >"
    " 0))))))"
)


async def shown(rig: Rig, expression: Any, body: Any = None, **spec: Any) -> Any:
    """The text that an expression gives, as a message; "none" is an error."""
    await validating(rig, {"expression": "false", "messageExpression": expression, "message": "none"}, **spec)
    message = await rig.fail(422, "POST", CONFIG_MAPS, body or config_map(a="1"))
    return message.partition(REFUSED)[2]


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (
            "request.kind.kind + request.resource.resource + request.requestKind.version",
            "ConfigMapconfigmapsv1",
        ),
        ("request.operation + request.name + request.namespace", "CREATEonedefault"),
        ("request.userInfo.username + request.userInfo.groups[0]", "adminsystem:masters"),
        (
            "string(has(request.subResource)) + string(request.dryRun) + request.options.kind",
            "falsefalseCreateOptions",
        ),
        ("namespaceObject.metadata.name + namespaceObject.status.phase", "defaultActive"),
        ("string(object.kind + object.apiVersion + object.metadata.namespace)", "ConfigMapv1default"),
        ("string(has(object.metadata.uid))", "true"),
    ],
)
async def test_what_is_seen(rig: Rig, expression: Any, text: str) -> None:
    assert await shown(rig, expression) == text


async def test_variables_are_evaluated_when_they_are_read_and_once(rig: Rig, judge: Any) -> None:
    asks = "authorizer.group('').resource('pods').check('get').allowed()"
    variables = [
        {"name": "fails", "expression": "object.data.none"},
        {"name": "asks", "expression": asks},
        {"name": "twice", "expression": "[variables.asks, variables.asks]"},
    ]
    await validating(rig, "variables.twice == [true, true]", variables=variables)
    await rig.ok("POST", CONFIG_MAPS, config_map())
    assert len(judge.asked) == 1
    await rig.ok("DELETE", ADMISSION + "/validatingadmissionpolicybindings/p")
    await validating(rig, "variables.fails == ''", name="q", variables=variables)
    message = await rig.fail(422, "POST", CONFIG_MAPS, config_map("two", a="1"))
    error = 'composited variable "fails" fails to evaluate: no such key: none'
    assert message.endswith(f"expression 'variables.fails == ''' resulted in error: {error}")


@pytest.mark.parametrize("waits", [False, True])
async def test_the_authorizer_is_asked(rig: Rig, judge: Any, waits: Any) -> None:
    judge.waits = waits
    checks = [
        "authorizer.requestResource.check('get').allowed()",
        "authorizer.path('/x').check('get').reason() == 'because'",
        (
            "authorizer.serviceAccount('ns',"
            " 'sa').group('g').resource('r').namespace('n').name('m').check('get').allowed()"
        ),
        "!authorizer.requestResource.check('create').allowed()",
    ]
    await validating(rig, *checks)
    await rig.ok("POST", CONFIG_MAPS, config_map())
    own, path, account, _ = judge.asked
    assert (own.user.name, own.verb, own.resource, own.namespace, own.name) == (
        "admin", "get", "configmaps", "default", "one",
    )  # fmt: skip
    assert (path.is_resource, path.path) == (False, "/x")
    assert account.user.name == "system:serviceaccount:ns:sa"
    assert account.user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns")
    assert (account.group, account.version, account.namespace, account.name) == ("g", "*", "n", "m")


async def test_questions_cost_only_once(rig: Rig) -> None:
    """An expression that waits for an answer is evaluated again, and is not charged for that."""
    asks = [f"authorizer.group('').resource('r{i}').check('get').allowed()" for i in range(2)]
    await validating(rig, *[" && ".join(asks)] * 14)
    await rig.ok("POST", CONFIG_MAPS, config_map())


async def test_an_expression_that_costs_too_much(rig: Rig) -> None:
    await validating(rig, ENDLESS)
    message = await rig.fail(422, "POST", CONFIG_MAPS, config_map())
    assert message.endswith("resulted in error: operation cancelled: actual cost limit exceeded")
    assert rig.offload.running == 0


async def test_a_variable_that_costs_too_much(rig: Rig) -> None:
    await validating(rig, "variables.v", variables=[{"name": "v", "expression": ENDLESS}])
    message = await rig.fail(422, "POST", CONFIG_MAPS, config_map())
    assert message.endswith(
        'composited variable "v" fails to evaluate: operation cancelled: actual cost limit exceeded'
    )


async def test_a_policy_that_costs_too_much(rig: Rig) -> None:
    checks = [f"authorizer.group('').resource('r{i}').check('get').allowed()" for i in range(2)]
    await validating(rig, *[" && ".join(checks)] * 16)
    message = await rig.fail(422, "POST", CONFIG_MAPS, config_map())
    assert message.endswith(
        "denied request: validation failed due to running out of cost budget, no further validation rules"
        " will be run"
    )


async def test_match_conditions_are_counted(rig: Rig) -> None:
    metrics = rig.chain.validators[-1]._metrics  # type: ignore[attr-defined]
    conditions = [{"name": "a", "expression": "object.data.none == ''"}, {"name": "b", "expression": "true"}]
    await validating(rig, "true", matchConditions=conditions, failurePolicy="Ignore")
    await rig.ok("POST", CONFIG_MAPS, config_map(a="2"))
    labels = ("policy", "p", "CREATE", "validate")
    assert metrics.condition_errors.values == {labels: 1}
    assert metrics.condition_seconds.counts() == {labels: 1}


async def test_match_conditions(rig: Rig) -> None:
    conditions = [
        {"name": "a", "expression": "object.data.none == ''"},
        {"name": "b", "expression": "object.data.a == '1'"},
        {"name": "c", "expression": "object.data.nope == ''"},
    ]
    await validating(rig, "false", matchConditions=conditions)
    await rig.ok("POST", CONFIG_MAPS, config_map(a="2"))
    message = await rig.fail(422, "POST", CONFIG_MAPS, config_map("two", a="1"))
    errors = [
        f"expression 'object.data.{n} == ''' resulted in error: no such key: {n}" for n in ("none", "nope")
    ]
    assert message.endswith(f"denied request: [{', '.join(errors)}]")


async def test_match_conditions_that_fail_and_are_ignored(rig: Rig) -> None:
    conditions = [{"name": "a", "expression": "object.data.none == ''"}]
    await validating(rig, "false", matchConditions=conditions, failurePolicy="Ignore")
    await rig.ok("POST", CONFIG_MAPS, config_map())
