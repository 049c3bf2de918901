"""The parameters of bindings."""

from typing import Any

import pytest
from harness import CONFIG_MAPS, Rig
from policies import config_map, validating

KIND = {"apiVersion": "v1", "kind": "ConfigMap"}
NOT_PARAMS = [{"name": "n", "expression": "!object.metadata.name.startsWith('param')"}]


async def bound(
    rig: Rig, ref: Any, expression: Any = "object.data.a == params.data.a", kind: Any = KIND, **spec: Any
) -> None:
    binding = {"paramRef": ref} if ref else {}
    await validating(rig, expression, binding=binding, paramKind=kind, matchConditions=NOT_PARAMS, **spec)


async def test_by_name(rig: Rig) -> None:
    elsewhere = CONFIG_MAPS.replace("default", "kube-system")
    await rig.ok("POST", CONFIG_MAPS, config_map("param", a="1"))
    await rig.ok("POST", elsewhere, config_map("param", a="3"))
    await bound(rig, {"name": "param", "parameterNotFoundAction": "Deny"})
    await rig.ok("POST", CONFIG_MAPS, config_map("one", a="1"))
    assert "params.data.a" in await rig.fail(422, "POST", CONFIG_MAPS, config_map("two", a="2"))
    await rig.ok("POST", elsewhere, config_map("one", a="3"))


async def test_in_a_namespace_of_their_own(rig: Rig) -> None:
    await rig.ok("POST", CONFIG_MAPS.replace("default", "kube-system"), config_map("param", a="1"))
    await bound(rig, {"name": "param", "namespace": "kube-system", "parameterNotFoundAction": "Deny"})
    await rig.ok("POST", CONFIG_MAPS, config_map("one", a="1"))


async def test_by_selector_all_must_hold(rig: Rig) -> None:
    for name in ("1", "2"):
        body = config_map("param" + name, {"p": "q"}, **{"not": name})
        await rig.ok("POST", CONFIG_MAPS, body)
    ref = {"selector": {"matchLabels": {"p": "q"}}, "parameterNotFoundAction": "Deny"}
    await bound(rig, ref, "object.data.a != params.data['not']")
    await rig.ok("POST", CONFIG_MAPS, config_map("one", a="3"))
    for value in ("1", "2"):
        await rig.fail(422, "POST", CONFIG_MAPS, config_map("two", a=value))


@pytest.mark.parametrize(("action", "status"), [("Allow", 201), ("Deny", 422)])
async def test_parameters_that_are_missing(rig: Rig, action: Any, status: Any) -> None:
    await bound(rig, {"name": "param", "parameterNotFoundAction": action}, "false")
    answer = await rig.call("POST", CONFIG_MAPS, config_map())
    assert answer.status == status
    if status == 422:
        assert answer.body["message"].endswith(
            "denied request: failed to configure binding: no params found for policy binding with `Deny` "
            "parameterNotFoundAction"
        )


async def test_a_binding_without_any(rig: Rig) -> None:
    await bound(rig, None, "params == null")
    await rig.ok("POST", CONFIG_MAPS, config_map())


@pytest.mark.parametrize(("failure", "status"), [("Fail", 422), ("Ignore", 201)])
async def test_a_kind_that_is_not_served(rig: Rig, failure: Any, status: Any) -> None:
    kind = {"apiVersion": "a.b/v1", "kind": "C"}
    await bound(rig, {"name": "x", "parameterNotFoundAction": "Allow"}, "true", kind, failurePolicy=failure)
    answer = await rig.call("POST", CONFIG_MAPS, config_map())
    assert answer.status == status
    if status == 422:
        assert answer.body["message"].endswith(
            "ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: failed to find"
            " resource referenced by paramKind: 'a.b/v1, Kind=C'"
        )


async def test_namespaces_where_they_are_not_to_be_had(rig: Rig) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["nodes"]}
    match: Any = {"matchConstraints": {"resourceRules": [rule]}}
    await bound(rig, {"name": "x", "parameterNotFoundAction": "Allow"}, "true", **match)
    message = await rig.fail(422, "POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
    assert message.endswith(
        "failed to configure binding: cannot use namespaced paramRef in policy binding that matches"
        " cluster-scoped resources"
    )
    ref = {"name": "x", "namespace": "default", "parameterNotFoundAction": "Allow"}
    kind = {"apiVersion": "v1", "kind": "Node"}
    await validating(rig, "true", name="a", binding={"paramRef": ref}, paramKind=kind, **match)
    message = await rig.fail(422, "POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
    assert message.endswith(
        "failed to configure binding: paramRef.namespace must not be provided for a cluster-scoped"
        " `paramKind`"
    )
