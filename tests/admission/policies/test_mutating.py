"""MutatingAdmissionPolicies change objects."""

from typing import Any

import pytest
from harness import CONFIG_MAPS, PODS, Rig, plug
from policies import RULE, config_map, mutating, validating

from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.admission.metrics import AdmissionMetrics

PODS_RULE = {"resourceRules": [{**RULE, "operations": ["CREATE"], "resources": ["pods"]}]}
POD = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


async def created(rig: Rig, **data: Any) -> Any:
    return await rig.ok("POST", CONFIG_MAPS, config_map(**data))


async def test_an_apply_configuration_is_merged_in(rig: Rig) -> None:
    await mutating(rig, "Object{metadata: Object.metadata{labels: {'new': object.data.a}}, data: {'b': '2'}}")
    found = await rig.ok("POST", CONFIG_MAPS, config_map("one", {"old": "x"}, a="1"))
    assert found["metadata"]["labels"] == {"old": "x", "new": "1"}
    assert found["data"] == {"a": "1", "b": "2"}
    (entry,) = found["metadata"]["managedFields"]
    assert "f:b" not in entry["fieldsV1"]["f:data"], "nobody owns what a policy sets"


async def test_items_of_lists_are_merged_by_their_keys_and_defaulted(rig: Rig) -> None:
    container = "Object.spec.containers{name: object.spec.containers[0].name, imagePullPolicy: 'Never'}"
    probe = "Object.spec.initContainers{name: 'i', image: 'x', restartPolicy: 'Always'}"
    await mutating(
        rig,
        f"Object{{spec: Object.spec{{containers: [{container}], initContainers: [{probe}]}}}}",
        matchConstraints=PODS_RULE,
    )
    spec = (await rig.ok("POST", PODS, POD))["spec"]
    assert spec["containers"][0]["image"] == "i" and spec["containers"][0]["imagePullPolicy"] == "Never"
    assert spec["initContainers"][0]["terminationMessagePath"] == "/dev/termination-log"


async def test_a_json_patch(rig: Rig) -> None:
    key = "jsonpatch.escapeKey('a.b/c')"
    await mutating(
        rig,
        "[JSONPatch{op: 'add', path: '/metadata/labels', value: {'x': 'y'}},"
        f" JSONPatch{{op: 'add', path: '/metadata/labels/' + {key}, value: 'z'}},"
        " JSONPatch{op: 'move', from: '/data/a', path: '/data/b'}]",
    )
    found = await created(rig, a="1")
    assert found["metadata"]["labels"] == {"x": "y", "a.b/c": "z"} and found["data"] == {"b": "1"}


async def test_a_json_patch_whose_test_fails_changes_nothing(rig: Rig) -> None:
    test = "JSONPatch{op: 'test', path: '/data/a', value: '2'}"
    await mutating(rig, f"[JSONPatch{{op: 'remove', path: '/data/a'}}, {test}]")
    assert (await created(rig, a="1"))["data"] == {"a": "1"}


@pytest.mark.parametrize(
    ("mutation", "why"),
    [
        ("Object{data: {'b': object.data.none}}", "resulted in error: no such key: none"),
        (
            "Object{nope: 1}",
            (
                "error applying patch: failed to convert patch object to typed object: .nope: field not"
                " declared in schema"
            ),
        ),
        (
            "Object{data: {'n': 5}}",
            (
                "error applying patch: failed to convert patch object to typed object: .data.n: expected"
                " string, got &value.valueUnstructured{Value:5}"
            ),
        ),
        (
            "Object{metadata: Object.spec{}}",
            (
                'type mismatch: unexpected type name "Object.spec", expected "Object.metadata", which matches'
                " field name path from root Object type"
            ),
        ),
        (
            "[JSONPatch{op: 'remove', path: '/data/none'}]",
            (
                "JSON Patch: error in remove for path: '/data/none': Unable to remove nonexistent key: none:"
                " missing value"
            ),
        ),
    ],
)
async def test_what_cannot_be_carried_out(rig: Rig, mutation: Any, why: Any) -> None:
    await mutating(rig, mutation)
    answer = await rig.call("POST", CONFIG_MAPS, config_map(a="1"))
    assert (answer.status, answer.body["reason"]) == (403, "Invalid")
    assert answer.body["message"].startswith("policy 'p' with binding 'p' denied request: ")
    assert answer.body["message"].endswith(why)
    assert answer.body["details"]["causes"] == [{"message": answer.body["message"]}]
    await rig.ok("DELETE", "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/p")
    await mutating(rig, mutation, name="q", failurePolicy="Ignore")
    assert (await created(rig, a="1"))["data"] == {"a": "1"}


async def test_atomic_lists_may_not_be_set(rig: Rig) -> None:
    container = "Object.spec.containers{name: 'c', args: ['x']}"
    await mutating(
        rig, f"Object{{spec: Object.spec{{containers: [{container}]}}}}", matchConstraints=PODS_RULE
    )
    message = await rig.fail(403, "POST", PODS, POD)
    assert message.endswith(
        "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: "
        ".spec.containers[0].args"
    )


async def test_a_patch_that_makes_unknown_fields(rig: Rig) -> None:
    await mutating(rig, "[JSONPatch{op: 'add', path: '/nope', value: 1}]")
    message = await rig.fail(500, "POST", CONFIG_MAPS, config_map())
    assert message == 'Internal error occurred: strict decoding error: unknown field "nope"'


async def test_the_next_policy_sees_what_the_first_has_made(rig: Rig) -> None:
    await mutating(rig, "Object{data: {'b': object.data.a + '2'}}", name="p")
    await mutating(
        rig, "Object{data: {'c': object.data.b + '3'}}", "Object{data: {'d': object.data.c + '4'}}", name="q"
    )
    assert (await created(rig, a="1"))["data"] == {"a": "1", "b": "12", "c": "123", "d": "1234"}


@pytest.mark.parametrize(("policy", "wanted"), [("Never", "1"), ("IfNeeded", "2")])
async def test_policies_run_again_when_a_later_one_changes_the_object(
    rig: Rig, policy: Any, wanted: Any
) -> None:
    await mutating(
        rig, "Object{data: {'seen': has(object.data.late) ? '2' : '1'}}", reinvocationPolicy=policy
    )
    await mutating(rig, "Object{data: {'late': 'x'}}", name="q")
    assert (await created(rig, a="1"))["data"]["seen"] == wanted


async def test_plugins_that_change_the_object_have_policies_run_again(rig: Rig) -> Any:
    class Stamp(AdmissionPlugin):
        name = "Stamp"

        def wants(self, a: Any) -> Any:
            return a.resource.plural == "configmaps"

        def mutate(self, a: Any) -> None:
            a.obj["data"]["stamp"] = "x"
            if a.reinvocation is not None:
                a.reinvocation.needed = True

    plug(rig.chain, Stamp())
    text = "Object{data: {'seen': has(object.data.stamp) ? '2' : '1'}}"
    await mutating(rig, text, reinvocationPolicy="IfNeeded")
    assert (await created(rig, a="1"))["data"] == {"a": "1", "seen": "2", "stamp": "x"}


async def test_deletes_are_not_mutated_and_match_conditions_decide(rig: Rig) -> None:
    await mutating(
        rig, "Object{data: {'b': '2'}}", matchConditions=[{"name": "a", "expression": "has(object.data.a)"}]
    )
    assert "b" not in (await created(rig, c="1"))["data"]
    assert (await rig.ok("PUT", CONFIG_MAPS + "/one", config_map(a="1")))["data"]["b"] == "2"
    await rig.ok("DELETE", CONFIG_MAPS + "/one")


async def test_parameters_and_variables(rig: Rig) -> None:
    await rig.ok("POST", CONFIG_MAPS, config_map("param", a="9"))
    await mutating(
        rig,
        "Object{data: {'b': variables.v}}",
        variables=[{"name": "v", "expression": "params.data.a + object.data.a"}],
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        binding={"paramRef": {"name": "param", "parameterNotFoundAction": "Deny"}},
    )
    assert (await created(rig, a="1"))["data"]["b"] == "91"
    await rig.ok("DELETE", CONFIG_MAPS + "/param")
    assert (
        await rig.fail(403, "POST", CONFIG_MAPS, config_map("two", a="1"))
        == "policy 'p' with binding 'p' denied request: failed to configure binding: no params found for"
        " policy binding with `Deny` parameterNotFoundAction"
    )


async def test_another_version_is_changed_and_brought_back(rig: Rig) -> None:
    rule = {
        "apiGroups": ["autoscaling"],
        "apiVersions": ["v2"],
        "operations": ["CREATE"],
        "resources": ["horizontalpodautoscalers"],
    }
    metric = "object.spec.metrics[0].resource.target.averageUtilization"
    await mutating(
        rig,
        f"Object{{spec: Object.spec{{maxReplicas: {metric}}}}}",
        matchConstraints={"resourceRules": [rule], "matchPolicy": "Equivalent"},
    )
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    body = {
        "metadata": {"name": "h"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": target, "targetCPUUtilizationPercentage": 42},
    }
    path = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
    found = await rig.ok("POST", path, body)
    assert found["spec"]["maxReplicas"] == 42 and found["spec"]["targetCPUUtilizationPercentage"] == 42


async def test_validating_policies_see_what_mutating_ones_made(rig: Rig) -> None:
    await mutating(rig, "Object{data: {'b': '2'}}")
    await validating(rig, "object.data.b == '2'")
    await created(rig, a="1")


async def test_checks_are_counted(rig: Rig, metrics: AdmissionMetrics) -> None:
    await mutating(rig, "Object{data: {'b': '2'}}", "Object{data: {'c': object.data.none}}")
    await rig.call("POST", CONFIG_MAPS, config_map())
    name, labels = "apiserver_mutating_admission_policy_check", 'policy="p",policy_binding="p"} 1'
    for error in ("no_error", "invalid_error"):
        assert f'{name}_total{{error_type="{error}",{labels}' in metrics.mutations.text()
        told = metrics.mutation_seconds.text()
        assert f'{name}_duration_seconds_count{{error_type="{error}",{labels}' in told
