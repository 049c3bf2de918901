"""Access, rules, token and self reviews."""

import asyncio
from typing import Any

import pytest

from pilothouse import errors
from pilothouse.api.values.identity import User
from pilothouse.authn.authenticator import UnionAuthenticator
from pilothouse.authn.tokens import TokenFile
from pilothouse.authz.authorizer import Decision, SubjectRules
from pilothouse.endpoints.actions import reviews
from pilothouse.registry.groups import authentication, authorization

JANE = User("jane", "1", ("dev",), {"k": ["v"]})
ACTIONS = {record.kind: record.action for record in (*authentication.RESOURCES, *authorization.RESOURCES)}
AUTHZ, AUTHN = "authorization.k8s.io/v1", "authentication.k8s.io/v1"


class Judge:
    """Allows to get; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: Any = None

    async def authorize(self, attributes: Any) -> Decision:
        self.asked = attributes
        return Decision(attributes.verb == "get", denied=attributes.verb == "drop", reason="because")

    async def list_rules(self, user: Any, namespace: str, work: Any) -> SubjectRules:
        return SubjectRules([{"verbs": ["get"]}], [], True, ["a", "b"])


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
def answer(judge: Judge) -> Any:
    authenticator = UnionAuthenticator(tokens=[TokenFile("t,jim,7,ops", ["api"])], audiences=["api"])
    judges = reviews.Judges(judge, authenticator)

    def run(kind: str, spec: Any = None, metadata: Any = None, user: Any = JANE) -> Any:
        version = AUTHN if kind in ("TokenReview", "SelfSubjectReview") else AUTHZ
        obj = {"apiVersion": version, "kind": kind, "metadata": metadata or {}}
        if spec is not None:
            obj["spec"] = spec
        return asyncio.run(reviews.answer(ACTIONS[kind], obj, user, judges))

    return run


GET_PODS = {"verb": "get", "resource": "pods"}


def causes(caught: Any) -> list[str]:
    return [f"{c['field']}: {c['message']}" for c in caught.value.details["causes"]]


def test_a_subject_is_judged_as_it_is_described(answer: Any, judge: Judge) -> None:
    spec = {"user": "u", "uid": "x", "groups": ["g"], "extra": {"e": ["1"]}, "resourceAttributes": GET_PODS}
    assert answer("SubjectAccessReview", spec)["status"] == {"allowed": True, "reason": "because"}
    asked = judge.asked
    assert asked.user == User("u", "x", ("g",), {"e": ["1"]})
    assert (asked.verb, asked.resource, asked.version, asked.is_resource) == ("get", "pods", "*", True)
    spec = {"user": "u", "nonResourceAttributes": {"path": "/x", "verb": "drop"}}
    status = answer("SubjectAccessReview", spec)["status"]
    assert status == {"allowed": False, "denied": True, "reason": "because"}
    assert (judge.asked.path, judge.asked.is_resource) == ("/x", False)


def test_the_caller_is_judged_in_self_reviews(answer: Any, judge: Judge) -> None:
    assert answer("SelfSubjectAccessReview", {"resourceAttributes": GET_PODS})["status"]["allowed"]
    assert judge.asked.user is JANE


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            None,
            [
                "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or "
                "resourceAttributes must be specified",
                'spec.user: Invalid value: "": at least one of user or group must be specified',
            ],
        ),
        (
            {"user": "u", "resourceAttributes": GET_PODS, "nonResourceAttributes": {"path": "/"}},
            [
                'spec.nonResourceAttributes: Invalid value: {"Path":"/","Verb":""}: cannot be specified in '
                "combination with resourceAttributes"
            ],
        ),
        (
            {"user": "u", "resourceAttributes": {"fieldSelector": {}, "labelSelector": {"requirements": []}}},
            [
                f"spec.resourceAttributes.{s}.requirements: Required value: when "
                f"spec.resourceAttributes.{s} is specified, requirements or rawSelector is required"
                for s in ("fieldSelector", "labelSelector")
            ],
        ),
        (
            {
                "user": "u",
                "resourceAttributes": {
                    "labelSelector": {
                        "requirements": [
                            {"key": "a", "operator": "Exists", "values": ["b"]},
                            {"key": "a", "operator": "In"},
                            {"key": "a", "operator": "Odd"},
                        ]
                    }
                },
            },
            [
                "spec.resourceAttributes.labelSelector.requirements[0].values: Forbidden: may not be "
                "specified when `operator` is 'Exists' or 'DoesNotExist'",
                "spec.resourceAttributes.labelSelector.requirements[1].values: Required value: must be "
                "specified when `operator` is 'In' or 'NotIn'",
            ],
        ),
        (
            {
                "user": "u",
                "resourceAttributes": {
                    "fieldSelector": {"rawSelector": "a=b", "requirements": [{"key": "a"}]}
                },
            },
            [
                'spec.resourceAttributes.fieldSelector.rawSelector: Invalid value: "a=b": may not specified '
                "at the same time as requirements"
            ],
        ),
    ],
)
def test_what_an_access_review_must_say(
    answer: Any, spec: dict[str, Any] | None, expected: list[str]
) -> None:
    with pytest.raises(errors.Invalid) as caught:
        answer("SubjectAccessReview", spec)
    assert causes(caught) == expected
    assert caught.value.message.startswith('.authorization.k8s.io "" is invalid: ')


def test_an_access_review_has_no_metadata(answer: Any) -> None:
    metadata = {"labels": {"a": "b"}, "name": "n", "managedFields": [{"manager": "m"}]}
    with pytest.raises(errors.Invalid) as caught:
        answer("SelfSubjectAccessReview", {"resourceAttributes": GET_PODS}, metadata)
    shown = '{"name":"n","labels":{"a":"b"},"managedFields":[{"manager":"m"}]}'
    assert causes(caught) == [f"metadata: Invalid value: {shown}: must be empty"]
    answer("SelfSubjectAccessReview", {"resourceAttributes": GET_PODS}, {"managedFields": [{}], "labels": {}})


def test_a_local_review_stays_in_its_namespace(answer: Any) -> None:
    spec = {"user": "u", "resourceAttributes": {**GET_PODS, "namespace": "ns"}}
    assert answer("LocalSubjectAccessReview", spec, {"namespace": "ns"})["status"]["allowed"]
    with pytest.raises(errors.Invalid, match=r"must match metadata\.namespace"):
        answer("LocalSubjectAccessReview", spec, {"namespace": "other"})
    with pytest.raises(errors.Invalid, match="disallowed on this kind of request"):
        answer("LocalSubjectAccessReview", {"user": "u", "nonResourceAttributes": {}}, {"namespace": "ns"})


@pytest.mark.parametrize(
    "case",
    [
        ("fieldSelector", {"rawSelector": "a=b,c!=d"}, "a=b,c!=d", ""),
        ("fieldSelector", {"rawSelector": "a"}, "", "ignored"),
        ("labelSelector", {"rawSelector": "&&&"}, "", "ignored"),
        (
            "fieldSelector",
            {
                "requirements": [
                    {"key": "a", "operator": "In", "values": ["b"]},
                    {"key": "c", "operator": "NotIn", "values": ["x,y"]},
                    {"key": "d", "operator": "Exists"},
                ]
            },
            "a=b,c!=x\\,y",
            "partially ignored",
        ),
        ("labelSelector", {"requirements": [{"key": "a", "operator": "Odd"}]}, "", "ignored"),
        (
            "labelSelector",
            {"requirements": [{"key": "a", "operator": "In", "values": ["b", "c"]}]},
            "a in (b,c)",
            "",
        ),
    ],
)
def test_selectors_reach_the_authorizer(
    answer: Any, judge: Judge, case: tuple[str, dict[str, Any], str, str]
) -> None:
    member, selector, text, fault = case
    status = answer("SelfSubjectAccessReview", {"resourceAttributes": {**GET_PODS, member: selector}})[
        "status"
    ]
    asked = judge.asked
    assert {"fieldSelector": asked.field_selector, "labelSelector": asked.label_selector}[member] == text
    error = f"spec.resourceAttributes.{member} {fault} due to parse error" if fault else None
    assert status.get("evaluationError") == error


def test_rules_are_listed_with_what_could_not_be_evaluated(answer: Any) -> None:
    out = answer("SelfSubjectRulesReview", {"namespace": "ns"}, {"name": "x"})
    assert (out["metadata"], out["spec"]) == ({}, {})
    assert out["status"] == {
        "resourceRules": [{"verbs": ["get"]}],
        "nonResourceRules": [],
        "incomplete": True,
        "evaluationError": "[a, b]",
    }
    with pytest.raises(errors.BadRequest, match="no namespace on request"):
        answer("SelfSubjectRulesReview", {})


def test_a_token_is_reviewed(answer: Any) -> None:
    assert answer("TokenReview", {"token": "t"})["status"] == {
        "authenticated": True,
        "audiences": ["api"],
        "user": {"username": "jim", "uid": "7", "groups": ["ops", "system:authenticated"]},
    }
    failed = {"user": {}, "error": "invalid bearer token"}
    assert answer("TokenReview", {"token": "x"})["status"] == failed
    assert answer("TokenReview", {"token": "t", "audiences": ["other"]})["status"] == failed
    with pytest.raises(errors.BadRequest, match="token is required"):
        answer("TokenReview", {})


def test_a_caller_may_ask_who_it_is(answer: Any) -> None:
    out = answer("SelfSubjectReview", None, {"name": "x", "labels": {"a": "b"}})
    assert set(out["metadata"]) == {"creationTimestamp"}
    user = {"username": "jane", "uid": "1", "groups": ["dev"], "extra": {"k": ["v"]}}
    assert out["status"] == {"userInfo": user}
