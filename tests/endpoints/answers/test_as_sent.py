"""Empty maps and lists of refused objects are shown as they were sent."""

from typing import Any

import orjson
import pytest
from harness import Rig

from pilothouse import errors
from pilothouse.endpoints.answers.as_sent import FEW, MOST, as_sent

LABELS = "spec.template.metadata.labels"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
MERGE = {"Content-Type": "application/merge-patch+json"}


def refused(field: str, text: str = "Invalid value: null: no") -> errors.Invalid:
    other = {"reason": "FieldValueInvalid", "message": "Invalid value: null: no", "field": "metadata.x"}
    cause = {"reason": "FieldValueInvalid", "message": text, "field": field}
    return errors.invalid("apps", "ReplicaSet", "a", [other, cause])


def nested(value: Any) -> Any:
    return {"spec": {"template": {"metadata": {"labels": value}}}}


@pytest.mark.parametrize(
    ("field", "sent", "shown"),
    [
        (LABELS, nested({}), "{}"),
        (LABELS, nested({"a": None}), "{}"),
        (LABELS, nested({"a": "b"}), "null"),
        (LABELS, nested(None), "null"),
        (LABELS, {"spec": []}, "null"),
        ("spec.rules[1].values", {"spec": {"rules": [{}, {"values": []}]}}, "[]"),
        ("spec.rules[2].values", {"spec": {"rules": [{}, {"values": []}]}}, "null"),
        (LABELS, [{"op": "add", "path": "/spec/template", "value": {"metadata": {"labels": {}}}}], "{}"),
        (LABELS, [{"op": "add", "path": "/spec", "value": {}}, {"op": "remove", "path": "/a"}, 1], "null"),
        (LABELS, [{"op": "add", "path": "/spec/template/metadata/labels", "value": []}], "[]"),
        ("metadata.labels[a.b/c]", {"metadata": {"labels": {"a.b/c": {}}}}, "null"),
    ],
)
def test_the_form_of_a_value(field: str, sent: Any, shown: str) -> None:
    found = as_sent(refused(field), orjson.dumps(sent))
    assert found.details is not None
    assert [cause["message"] for cause in found.details["causes"]] == [
        "Invalid value: null: no",
        f"Invalid value: {shown}: no",
    ]
    assert f"{field}: Invalid value: {shown}: no]" in found.message
    assert found.status()["code"] == 422


def test_other_errors_and_bodies_stay() -> None:
    plain = refused(LABELS, "Required value")
    assert as_sent(plain, b"{").message == plain.message
    for body in (b"{", b"a: {}", b"", orjson.dumps({**nested({}), "x": "y" * MOST})):
        err = refused(LABELS)
        assert as_sent(err, body) is err


def test_few_places_are_looked_for() -> None:
    null = {"reason": "FieldValueInvalid", "message": "Invalid value: null: no"}
    causes = [{**null, "field": f"spec.a{i}"} for i in range(1000)]
    sent = [{"op": "add", "path": f"/spec/a{i}", "value": {}} for i in range(1000)]
    found = as_sent(errors.invalid("", "K", "a", causes), orjson.dumps(sent))
    assert found.details is not None
    shown = [cause["message"] == "Invalid value: {}: no" for cause in found.details["causes"]]
    assert shown == [True] * FEW + [False] * (1000 - FEW)


async def test_an_answer_shows_them(rig: Rig) -> None:
    spec = {"selector": {"matchLabels": {"a": "b"}}, **nested({})["spec"]}
    spec["template"]["spec"] = {"containers": [{"name": "c", "image": "i"}]}
    body = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "a"}, "spec": spec}
    answer = await rig.call("POST", SETS, body)
    wanted = "Invalid value: {}: `selector` does not match template `labels`"
    assert [cause["message"] for cause in answer.body["details"]["causes"]] == [wanted]
    spec["template"]["metadata"]["labels"] = {"a": "b"}
    await rig.ok("POST", SETS, body)
    answer = await rig.call("PATCH", f"{SETS}/a", nested({"a": None}), headers=MERGE)
    assert wanted in answer.body["message"]
