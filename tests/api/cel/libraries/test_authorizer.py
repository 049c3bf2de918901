"""Authorization checks: what is asked, what is told of the answer."""

import pytest

from pilothouse.api.cel import (
    AUTHORIZER,
    AuthorizerCheck,
    CheckDecision,
    CheckQuestion,
    Environment,
    EvaluationError,
)

KNOWN = Environment({"authorizer": AUTHORIZER})
YES = CheckDecision(True, "because")


def ask(text: str, decision: CheckDecision = YES) -> tuple[object, list[CheckQuestion]]:
    asked: list[CheckQuestion] = []

    def decide(question: CheckQuestion) -> CheckDecision:
        asked.append(question)
        return decision

    return KNOWN.compile(text).evaluate({"authorizer": AuthorizerCheck(decide)}), asked


def test_paths_and_resources() -> None:
    assert ask("authorizer.path('/healthz').check('get').allowed()") == (
        True,
        [CheckQuestion("get", path="/healthz")],
    )
    text = (
        "authorizer.group('apps').resource('deployments').subresource('scale').namespace('ns').name('web')"
        ".fieldSelector('a=b').labelSelector('c').check('update').reason()"
    )
    question = CheckQuestion(
        "update", group="apps", resource="deployments", subresource="scale", namespace="ns", name="web",
        field_selector="a=b", label_selector="c",
    )  # fmt: skip
    assert ask(text) == ("because", [question])


def test_service_accounts() -> None:
    text = "authorizer.serviceAccount('ns', 'default').group('').resource('pods').check('get')"
    found, asked = ask(text + ".errored()", CheckDecision(False, "", "cannot tell"))
    assert found is True and asked[0].service_account == ("ns", "default")
    assert ask(text + ".error()", CheckDecision(False, "", "cannot tell"))[0] == "cannot tell"
    assert ask(text + ".allowed()", CheckDecision(False))[0] is False


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
