"""Validation of flow schemas and priority levels."""

from collections.abc import Callable

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import flowcontrol as rules

Causes = list[tuple[str, str]]


def causes(check: Callable[..., None], *objects: Object) -> Causes:
    errs = Errors()
    check(*objects, errs)
    return [(c["field"], c["message"]) for c in errs.causes]


RULES = [{"subjects": [{"kind": "User", "user": {"name": "u"}}], "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}]


def schema(name: str = "s", **spec: object) -> Object:
    return {"metadata": {"name": name}, "spec": {"priorityLevelConfiguration": {"name": "p"}, "matchingPrecedence": 5, "rules": RULES, **spec}}


def level(name: str = "l", **limited: object) -> Object:
    given = {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}, **limited}
    return {"metadata": {"name": name}, "spec": {"type": "Limited", "limited": given}}


def test_what_is_mandatory_is_valid() -> None:
    for name, spec in rules.MANDATORY_SCHEMAS.items():
        assert causes(rules.validate_flow_schema, {"metadata": {"name": name}, "spec": spec}) == []
    for name, spec in rules.MANDATORY_LEVELS.items():
        assert causes(rules.validate_priority_level, {"metadata": {"name": name}, "spec": spec}) == []


@pytest.mark.parametrize(("spec", "fields"), [
    ({}, []),
    ({"matchingPrecedence": 0}, ["spec.matchingPrecedence"]),
    ({"matchingPrecedence": 1}, ["spec.matchingPrecedence"]),
    ({"distinguisherMethod": {"type": "X"}}, ["spec.distinguisherMethod.type"]),
    ({"rules": [{}]}, ["spec.rules[0].subjects", "spec.rules[0]"]),
])  # fmt: skip
def test_schemas(spec: Object, fields: list[str]) -> None:
    assert [f for f, _ in causes(rules.validate_flow_schema, schema(**spec))] == fields


def test_fixed_levels() -> None:
    changed = level("catch-all", nominalConcurrencyShares=99)
    assert [f for f, _ in causes(rules.validate_priority_level, changed)] == ["spec"]
    exempt: Object = {"metadata": {"name": "exempt"}, "spec": {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 7}}}
    assert causes(rules.validate_priority_level, exempt) == []


@pytest.mark.parametrize(
    ("queues", "hand", "message"),
    [(4, 8, "Invalid value: 8: should not be greater than queues (4)"), (1024, 10, "Invalid value: 10: required entropy bits of deckSize 1024 and handSize 10 should not be greater than 60")],
)
def test_hands(queues: int, hand: int, message: str) -> None:
    response = {"type": "Queue", "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": 5}}
    assert causes(rules.validate_priority_level, level(limitResponse=response)) == [("spec.limited.limitResponse.queuing.handSize", message)]
