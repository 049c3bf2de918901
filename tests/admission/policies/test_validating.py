"""ValidatingAdmissionPolicies refuse, warn and write down."""

import json
from typing import Any

import pytest
from harness import CONFIG_MAPS, Rig
from policies import config_map, validating

from pilothouse.admission.metrics import AdmissionMetrics
from pilothouse.admission.policies.validating import NAME

DENIED = f"{NAME} 'p' with binding 'p' denied request: "


async def refused(rig: Rig, body: Any = None, status: Any = 422) -> Any:
    message = await rig.fail(status, "POST", CONFIG_MAPS, body or config_map(a="1"))
    assert message.startswith('configmaps "one" is forbidden: ' + DENIED)
    return message.partition(DENIED)[2]


async def test_the_answer_of_a_refusal(rig: Rig) -> None:
    await validating(rig, "object.data.a == '2'")
    answer = await rig.call("POST", CONFIG_MAPS, config_map(a="1"))
    text = DENIED + "failed expression: object.data.a == '2'"
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")
    assert answer.body["details"] == {"name": "one", "kind": "configmaps", "causes": [{"message": text}]}
    assert (await rig.call("POST", CONFIG_MAPS, config_map(a="2"))).status == 201


@pytest.mark.parametrize(
    ("validation", "text"),
    [
        ({"message": " told "}, "told"),
        ({"messageExpression": "'a is ' + object.data.a", "message": "not used"}, "a is 1"),
        ({"messageExpression": "string(object.data.none)", "message": "instead"}, "instead"),
        ({"messageExpression": "'  '", "message": "instead"}, "instead"),
        ({"messageExpression": "'two\\nlines'"}, "failed expression: false"),
        ({"messageExpression": "'x'.replace('x', '" + "y" * 5121 + "')"}, "failed expression: false"),
    ],
)
async def test_messages(rig: Rig, validation: Any, text: str) -> None:
    await validating(rig, {"expression": " false ", **validation})
    assert await refused(rig) == text


@pytest.mark.parametrize(
    ("reason", "code"),
    [("Forbidden", 403), ("RequestEntityTooLarge", 413), ("Invalid", 422)],
)
async def test_reasons(rig: Rig, reason: Any, code: Any) -> None:
    await validating(rig, {"expression": "false", "reason": reason})
    answer = await rig.call("POST", CONFIG_MAPS, config_map())
    assert (answer.status, answer.body["reason"], answer.body["code"]) == (code, reason, code)


async def test_the_first_denial_is_answered_in_the_order_of_names(rig: Rig) -> None:
    await validating(rig, "false", name="q")
    await validating(rig, "true", {"expression": "false", "message": "second"}, "false")
    assert await refused(rig) == "second"


async def test_errors_refuse_unless_they_are_ignored(rig: Rig) -> None:
    await validating(rig, "object.data.none == ''")
    await validating(rig, "object.data.none == ''", name="q", failurePolicy="Ignore")
    error = "expression 'object.data.none == ''' resulted in error: no such key: none"
    assert await refused(rig) == error
    await rig.ok("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/p")
    assert (await rig.call("POST", CONFIG_MAPS, config_map())).status == 201


async def test_actions(rig: Rig) -> None:
    await validating(
        rig,
        "true",
        {"expression": "false", "message": "<m>"},
        binding={"validationActions": ["Warn", "Audit"]},
    )
    answer = await rig.call("POST", CONFIG_MAPS, config_map())
    assert answer.status == 201
    assert answer.warnings == [f"Validation failed for {NAME} 'p' with binding 'p': <m>"]
    a = rig.attributes(config_map(), resource=("", "v1", "configmaps"))
    await rig.chain.validate(a)
    text = a.annotations["validation.policy.admission.k8s.io/validation_failure"]
    assert "\\u003cm\\u003e" in text
    assert json.loads(text) == [
        {
            "message": "<m>",
            "policy": "p",
            "binding": "p",
            "expressionIndex": 1,
            "validationActions": ["Warn", "Audit"],
        }
    ]


async def test_audit_annotations(rig: Rig) -> None:
    annotations = [
        {"key": "k", "valueExpression": "' ' + object.data.a + string(size(variables.v))"},
        {"key": "none", "valueExpression": "null"},
        {"key": "empty", "valueExpression": "' '"},
        {
            "key": "long",
            "valueExpression": "['"
            + "y" * 500
            + "'].map(x, x + x + x + x + x + x + x).map(x, x + x + x).join()",
        },
    ]
    await validating(rig, auditAnnotations=annotations, variables=[{"name": "v", "expression": "[1]"}])
    a = rig.attributes(config_map(a="1"), resource=("", "v1", "configmaps"))
    await rig.chain.validate(a)
    assert a.annotations == {"p/k": "11", "p/long": "y" * 10_240}


async def test_an_audit_annotation_that_fails_denies(rig: Rig) -> None:
    annotations = [{"key": "k", "valueExpression": "string(object.data.none)"}]
    await validating(rig, auditAnnotations=annotations, binding={"validationActions": ["Warn"]})
    assert await refused(rig) == "expression 'string(object.data.none)' resulted in error: no such key: none"


async def test_every_operation(rig: Rig) -> None:
    texts = [
        "object == null || oldObject == null ? true : object.data.a != oldObject.data.a",
        "request.operation != 'DELETE' || (object == null && oldObject.data.a == 'gone')",
    ]
    await validating(rig, *texts)
    await rig.ok("POST", CONFIG_MAPS, config_map(a="1"))
    assert "failed expression: object ==" in await rig.fail(
        422, "PUT", CONFIG_MAPS + "/one", config_map(a="1")
    )
    await rig.ok("PUT", CONFIG_MAPS + "/one", config_map(a="2"))
    assert "failed expression: request.operation" in await rig.fail(422, "DELETE", CONFIG_MAPS + "/one")
    message = await rig.fail(422, "DELETE", CONFIG_MAPS)
    assert message.startswith('configmaps "Unknown" is forbidden'), "a collection names no object"
    await rig.ok("PUT", CONFIG_MAPS + "/one", config_map(a="gone"))
    await rig.ok("DELETE", CONFIG_MAPS + "/one")


async def test_policies_are_evaluated_for_no_policy(rig: Rig) -> None:
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
    await validating(rig, "false", matchConstraints={"resourceRules": [rule]})
    await refused(rig)
    await rig.ok("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/p")


async def test_an_object_that_is_large(rig: Rig) -> None:
    await validating(
        rig, "size(object.data.a) < 10", {"expression": "authorizer.path('/').check('get').allowed()"}
    )
    assert "size(object" in await refused(rig, config_map(a="x" * 20_000))


@pytest.mark.parametrize(
    ("expression", "spec", "actions", "counted"),
    [
        ("true", {}, ["Deny"], []),
        ("false", {}, ["Deny"], [("deny", "invalid_error")]),
        ("false", {}, ["Warn", "Audit"], [("audit", "invalid_error"), ("warn", "invalid_error")]),
        ("object.data.none == ''", {}, ["Deny"], [("deny", "invalid_error")]),
        ("object.data.none == ''", {"failurePolicy": "Ignore"}, ["Deny"], [("allow", "invalid_error")]),
        (
            "true",
            {"auditAnnotations": [{"key": "k", "valueExpression": "string(object.data.none)"}]},
            ["Warn"],
            [("deny", "invalid_error")],
        ),
        (
            "true",
            {
                "auditAnnotations": [{"key": "k", "valueExpression": "string(object.data.none)"}],
                "failurePolicy": "Ignore",
            },
            ["Warn"],
            [],
        ),
    ],
)
async def test_checks_are_counted(
    rig: Rig, metrics: AdmissionMetrics, expression: str, spec: Any, actions: Any, counted: Any
) -> None:
    await validating(rig, expression, binding={"validationActions": actions}, **spec)
    await rig.call("POST", CONFIG_MAPS, config_map())
    name = "apiserver_validating_admission_policy_check"
    labels = [
        f'{{enforcement_action="{action}",error_type="{error}",policy="p",policy_binding="p"}} 1'
        for action, error in counted
    ]
    told = metrics.validations.text().splitlines()[2:]
    assert sorted(told) == [f"{name}_total{one}" for one in labels]
    timed = metrics.validation_seconds.text()
    assert all(f"{name}_duration_seconds_count{one}" in timed for one in labels)


@pytest.mark.parametrize(
    ("condition", "failed", "timed"),
    [("true", False, True), ("false", False, True), ("object.data.none == ''", True, True)],
)
async def test_match_conditions_are_counted(
    rig: Rig, metrics: AdmissionMetrics, condition: str, failed: bool, timed: bool
) -> None:
    await validating(rig, "true", matchConditions=[{"name": "c", "expression": condition}])
    await rig.call("POST", CONFIG_MAPS, config_map())
    labels = '{kind="policy",name="p",operation="CREATE",type="validate"} 1'
    assert (labels in metrics.condition_errors.text()) is failed
    assert (f"_count{labels}" in metrics.condition_seconds.text()) is timed
    assert 'kind="policy"' not in metrics.condition_exclusions.text(), "upstream counts it for webhooks only"
