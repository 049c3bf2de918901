"""The status of validating admission policies."""

import asyncio
from typing import Any

from harness import Rig
from policies import ADMISSION, RULE, validating

from pilothouse.controllers.policies import MANAGER, PolicyStatus
from pilothouse.controllers.policy_types import warnings_of

DEPLOYMENTS = {
    "apiGroups": ["apps"],
    "apiVersions": ["v1"],
    "operations": ["*"],
    "resources": ["deployments"],
}


async def observed(rig: Any, generation: int) -> Any:
    """Wait for a status; the policy."""
    for _ in range(1000):
        policy = await rig.ok("GET", f"{ADMISSION}/validatingadmissionpolicies/p")
        if (policy.get("status") or {}).get("observedGeneration") == generation:
            return policy
        await asyncio.sleep(0.01)
    raise AssertionError(policy)


async def test_each_generation_is_checked(rig: Rig) -> None:
    controller = PolicyStatus(rig.client(MANAGER))
    controller.start()
    try:
        await validating(rig, "object.spec.replicas > 1", matchConstraints={"resourceRules": [DEPLOYMENTS]})
        policy = await observed(rig, 1)
        assert policy["status"]["typeChecking"] == {}
        entry = next(e for e in policy["metadata"]["managedFields"] if e["manager"] == MANAGER)
        assert (entry["operation"], entry["subresource"]) == ("Apply", "status")
        change = [
            {"op": "replace", "path": "/spec/validations/0/expression", "value": "object.spec.replicas > '1'"}
        ]
        headers = {"Content-Type": "application/json-patch+json"}
        await rig.ok("PATCH", f"{ADMISSION}/validatingadmissionpolicies/p", change, headers=headers)
        policy = await observed(rig, 2)
        (warning,) = policy["status"]["typeChecking"]["expressionWarnings"]
        assert warning["fieldRef"] == "spec.validations[0].expression"
        assert warning["warning"] == (
            "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_>_' applied to "
            "'(int, string)'\n | object.spec.replicas > '1'\n | .....................^\n"
        )
    finally:
        await controller.close()


def found(rig: Any, *expressions: str, rules: Any = (DEPLOYMENTS,), **spec: Any) -> list[str]:
    """The warnings of validations."""
    validations = [{"expression": one} for one in expressions]
    whole = {"matchConstraints": {"resourceRules": list(rules)}, "validations": validations, **spec}
    return [one["warning"] for one in warnings_of(whole, rig.catalog)]


async def test_what_is_checked(rig: Rig) -> None:
    assert found(rig, "object.spec.template.spec.containers.all(c, c.image.contains(':'))") == []
    (unknown,) = found(rig, "object.spec.nope == 1")
    assert "undefined field 'nope'" in unknown
    (both,) = found(rig, "object.data.a == 'b'", rules=(DEPLOYMENTS, RULE))
    assert both.startswith("apps/v1, Kind=Deployment: ") and "/v1, Kind=ConfigMap" not in both
    variables = [{"name": "v", "expression": "object.spec.replicas"}]
    assert found(rig, "variables.v == 1", variables=variables) == []
    assert len(found(rig, "variables.v == 'a'", variables=variables)) == 1
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    assert found(rig, "params.data['a'] == 'b' && request.name != ''", paramKind=kind) == []
    assert len(found(rig, "params.data['a'] == 1", paramKind=kind)) == 1
    assert found(rig, "params.x == 1", paramKind={"apiVersion": "a.b/v1", "kind": "C"}) == []


async def test_wildcards_are_not_checked(rig: Rig) -> None:
    for change in ({"apiGroups": ["*"]}, {"apiVersions": ["*"]}, {"resources": ["*", "deployments/scale"]}):
        assert found(rig, "object.nope == 1", rules=({**DEPLOYMENTS, **change},)) == []
