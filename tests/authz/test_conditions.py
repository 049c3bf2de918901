"""Match conditions of authorization webhooks."""

from typing import Any

import pytest

from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authz.conditions import ConditionError, Conditions, compiled
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.authz.webhook import review_spec

PODS = review_spec(
    AuthorizationAttributes(
        User("jane", "7", ("dev",), {"k": ["v"]}),
        "list",
        is_resource=True,
        resource="pods",
        namespace="ns",
        field_selector="spec.nodeName=n",
        label_selector="a in (b)",
    ),
    "v1",
)
PATH = review_spec(AuthorizationAttributes(User("jane"), "get", path="/x"), "v1")


@pytest.mark.parametrize(
    "text",
    [
        (
            "request.user == 'jane' && request.uid == '7' && 'dev' in request.groups && request.extra['k'] =="
            " ['v']"
        ),
        "has(request.resourceAttributes) && request.resourceAttributes.resource == 'pods'",
        "request.resourceAttributes.name == '' && request.resourceAttributes.group == ''",
        "request.resourceAttributes.fieldSelector.requirements.exists(r, r.key == 'spec.nodeName')",
        "request.resourceAttributes.labelSelector.requirements[0].values == ['b']",
        "!has(request.nonResourceAttributes)",
    ],
)
def test_expressions_see_the_review(text: str) -> None:
    metrics = AuthorizationMetrics()
    assert Conditions([text], "mine", metrics).match(PODS)
    assert not Conditions([f"!({text})"], "mine", metrics).match(PODS)
    assert metrics.conditions_excluded.values == {("mine", "Webhook"): 1}
    assert metrics.conditions_seconds.counts() == {("mine", "Webhook"): 2}


def test_requests_of_paths() -> None:
    metrics = AuthorizationMetrics()
    assert Conditions(
        ["request.nonResourceAttributes.path == '/x' && !has(request.resourceAttributes)"], "m", metrics
    ).match(PATH)


def test_one_that_is_false_outweighs_one_without_answer() -> None:
    metrics = AuthorizationMetrics()
    broken = "request.extra['missing'] == []"
    assert not Conditions([broken, "request.user == 'joe'"], "m", metrics).match(PODS)
    with pytest.raises(ConditionError) as err:
        Conditions([broken, "true"], "m", metrics).match(PODS)
    assert str(err.value) == (
        f"cel evaluation error: expression '{broken}' resulted in error: no such key: missing"
    )
    assert metrics.conditions_failed.values == {("m", "Webhook"): 1}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("request.user", "must evaluate to bool but got string"),
        ("request.nope == 1", "compilation failed: ERROR: <input>:1:8: undefined field 'nope'"),
        ("object == 1", "compilation failed: ERROR: <input>:1:1: undeclared reference to 'object'"),
    ],
)
def test_expressions_are_checked(text: str, why: Any) -> None:
    with pytest.raises(ConditionError) as err:
        compiled(text)
    assert str(err.value).startswith(why)
