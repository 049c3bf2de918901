"""Authorization checks: what is asked, what is told of the answer."""

import pytest

from pilothouse.api.cel.environment import Environment, EvaluationError
from pilothouse.api.cel.libraries.authorizer import AUTHORIZER, Authorizer, Decision, Question

KNOWN = Environment({"authorizer": AUTHORIZER})
YES = Decision(True, "because")


def ask(text: str, decision: Decision = YES) -> tuple[object, list[Question]]:
    asked: list[Question] = []

    def decide(question: Question) -> Decision:
        asked.append(question)
        return decision

    return KNOWN.compile(text).evaluate({"authorizer": Authorizer(decide)}), asked


def test_paths_and_resources() -> None:
    assert ask("authorizer.path('/healthz').check('get').allowed()") == (
        True,
        [Question("get", path="/healthz")],
    )
    text = (
        "authorizer.group('apps').resource('deployments').subresource('scale').namespace('ns').name('web')"
        ".fieldSelector('a=b').labelSelector('c').check('update').reason()"
    )
    question = Question(
        "update", group="apps", resource="deployments", subresource="scale", namespace="ns", name="web",
        field_selector="a=b", label_selector="c",
    )  # fmt: skip
    assert ask(text) == ("because", [question])


def test_service_accounts() -> None:
    text = "authorizer.serviceAccount('ns', 'default').group('').resource('pods').check('get')"
    found, asked = ask(text + ".errored()", Decision(False, "", "cannot tell"))
    assert found is True and asked[0].service_account == ("ns", "default")
    assert ask(text + ".error()", Decision(False, "", "cannot tell"))[0] == "cannot tell"
    assert ask(text + ".allowed()", Decision(False))[0] is False


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("authorizer.path(' ').check('get').allowed()", "path must not be empty"),
        ("authorizer.group('').resource('').check('get').allowed()", "resource must not be empty"),
        (
            "authorizer.serviceAccount('ns', 'A').path('/').check('get').allowed()",
            "Invalid service account name",
        ),
        (
            "authorizer.serviceAccount('a.b', 'a').path('/').check('get').allowed()",
            "Invalid service account namespace",
        ),
    ],
)
def test_errors(text: str, wanted: str) -> None:
    with pytest.raises(EvaluationError) as found:
        ask(text)
    assert str(found.value) == wanted


def test_two_checks_are_as_many_as_a_call_may_make() -> None:
    check = "authorizer.path('/').check('get').allowed()"
    assert ask(f"{check} && {check}")[0] is True
    with pytest.raises(EvaluationError, match="actual cost limit exceeded"):
        ask(f"{check} && {check} && {check}")
