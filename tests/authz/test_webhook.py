"""Decisions of a remote service."""

import asyncio
from typing import Any

import pytest
from clocks import Clock

from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authz.authorizer import Decision, UnionAuthorizer, UnionMember
from pilothouse.authz.conditions import Conditions
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.authz.webhook import WebhookAuthorizer, review_spec
from pilothouse.caches import CacheBudget
from pilothouse.outbound.http import Unanswered

JANE = User("jane", "1", ("dev",), {"k": ["v"]})
ASK = AuthorizationAttributes(
    JANE,
    "list",
    is_resource=True,
    version="v1",
    resource="pods",
    namespace="ns",
    field_selector="spec.nodeName=n,status.phase!=Failed",
    label_selector="a=b,c in (d,e),!f,g>1",
)


class Service:
    def __init__(self, **status: Any) -> None:
        self.status = status
        self.asked: list[Any] = []

    async def __call__(self, review: Any) -> dict[str, Any]:
        self.asked.append(review)
        return {"status": self.status}


def ask(authorizer: Any, attributes: Any = ASK) -> Any:
    return asyncio.run(authorizer.authorize(attributes))


@pytest.mark.parametrize(
    ("status", "decision"),
    [
        ({"allowed": True}, Decision(True)),
        ({"allowed": False, "reason": "no"}, Decision(False, reason="no")),
        ({"denied": True}, Decision(False, denied=True)),
    ],
)
def test_the_service_decides_and_is_asked_once(status: dict[str, Any], decision: Any) -> None:
    service = Service(**status)
    authorizer = WebhookAuthorizer(service)
    assert ask(authorizer) == decision and ask(authorizer) == decision
    assert len(service.asked) == 1


def test_it_is_told_all_there_is_to_know() -> None:
    spec = review_spec(ASK, "v1")
    assert (spec["user"], spec["uid"], spec["groups"], spec["extra"]) == ("jane", "1", ["dev"], {"k": ["v"]})
    assert spec["resourceAttributes"] == {
        "verb": "list",
        "version": "v1",
        "resource": "pods",
        "namespace": "ns",
        "fieldSelector": {
            "requirements": [
                {"key": "spec.nodeName", "operator": "In", "values": ["n"]},
                {"key": "status.phase", "operator": "NotIn", "values": ["Failed"]},
            ]
        },
        "labelSelector": {
            "requirements": [
                {"key": "a", "operator": "In", "values": ["b"]},
                {"key": "c", "operator": "In", "values": ["d", "e"]},
                {"key": "f", "operator": "DoesNotExist"},
            ]
        },
    }
    path = review_spec(AuthorizationAttributes(User("x"), "get", path="/x"), "v1beta1")
    assert path == {"user": "x", "nonResourceAttributes": {"path": "/x", "verb": "get"}}
    assert "group" in review_spec(ASK, "v1beta1")


def test_without_an_answer_it_has_no_opinion() -> None:
    async def broken(review: Any) -> None:
        raise OSError("refused")

    assert ask(WebhookAuthorizer(broken)) == Decision(False, error="refused")
    assert WebhookAuthorizer(broken).rules_for(JANE, "ns").incomplete
    with pytest.raises(ValueError, match="v3"):
        WebhookAuthorizer(broken, "v3")


@pytest.mark.parametrize(
    ("allowed", "passed", "asked"), [(True, 299.9, 1), (True, 300, 2), (False, 29.9, 1), (False, 30, 2)]
)
def test_a_decision_counts_for_so_long(allowed: bool, passed: float, asked: int) -> None:
    clock, service = Clock(), Service(allowed=allowed)
    authorizer = WebhookAuthorizer(service, clock=clock)
    ask(authorizer)
    clock.now += passed
    ask(authorizer)
    assert len(service.asked) == asked


class Failing:
    """Fails with the given errors, one after another, then allows."""

    def __init__(self, *failures: OSError) -> None:
        self.failures = list(failures)
        self.asked = 0

    async def __call__(self, review: Any) -> dict[str, Any]:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return {"status": {"allowed": True}}


def failing(service: Failing, *, deny: bool, waits: list[float]) -> tuple[WebhookAuthorizer, Any]:
    metrics = AuthorizationMetrics()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    return WebhookAuthorizer(service, "v1", name="w", deny=deny, sleep=sleep, metrics=metrics), metrics


@pytest.mark.parametrize("deny", [True, False])
def test_a_failure_is_what_the_policy_says(deny: bool) -> None:
    authorizer, metrics = failing(Failing(OSError("no route")), deny=deny, waits=[])
    assert ask(authorizer) == Decision(False, denied=deny, error="no route")
    assert ask(authorizer).allowed
    assert metrics.webhook_calls.values == {("w", "error"): 1, ("w", "success"): 1}
    assert metrics.webhook_seconds.counts() == metrics.webhook_calls.values
    assert metrics.webhook_failed_open.values == ({} if deny else {("w", "error"): 1})


def test_a_service_that_is_busy_is_asked_again() -> None:
    waits: list[float] = []
    service = Failing(Unanswered("x", 429), Unanswered("x", 500), Unanswered("connection reset by peer"))
    authorizer, _ = failing(service, deny=True, waits=waits)
    assert ask(authorizer).allowed and service.asked == 4 and waits == [0.5, 0.75, 1.125]
    for failures, asked in (([Unanswered("x", 504)] * 9, 5), ([Unanswered("x", 403)], 1)):
        service = Failing(*failures)
        authorizer, metrics = failing(service, deny=True, waits=waits)
        assert ask(authorizer).denied and service.asked == asked
    assert metrics.webhook_calls.values == {("w", "error"): 1}


def test_it_is_asked_when_its_conditions_hold() -> None:
    service, metrics = Service(allowed=True), AuthorizationMetrics()

    def of(*texts: str, deny: bool = False) -> WebhookAuthorizer:
        return WebhookAuthorizer(service, "v1", deny=deny, conditions=Conditions(texts, "w", metrics))

    assert ask(of("request.user == 'joe'")) == Decision(False) and not service.asked
    error = ask(of("request.extra['x'] == []", deny=True))
    assert error.denied and "no such key: x" in error.error and not service.asked
    assert ask(of("request.user == 'jane'")).allowed and len(service.asked) == 1


def test_yes_and_no_is_no() -> None:
    decision = ask(WebhookAuthorizer(Service(denied=True, allowed=True, reason="r"), "v1"))
    assert decision.denied and not decision.allowed
    assert decision.error == "webhook subject access review returned both allow and deny response"


def test_another_service_is_asked_at_once() -> None:
    """The answer of the former service is not remembered, also where it is not there yet."""

    async def run() -> None:
        asked, go = asyncio.Event(), asyncio.Event()

        async def slow(review: Any) -> dict[str, Any]:
            asked.set()
            await go.wait()
            return {"status": {"allowed": True}}

        authorizer = WebhookAuthorizer(slow)
        waiting = asyncio.create_task(authorizer.authorize(ASK))
        await asked.wait()
        union = UnionAuthorizer([UnionMember(authorizer)])
        before = union.epoch
        authorizer.use(Service(allowed=False))
        assert union.epoch == before + 1
        go.set()
        assert (await waiting).allowed
        assert not (await authorizer.authorize(ASK)).allowed

    asyncio.run(run())


def test_one_that_is_no_longer_asked_takes_no_memory() -> None:
    budget = CacheBudget()
    authorizer, other = (WebhookAuthorizer(Service(allowed=True), budget=budget) for _ in range(2))
    assert ask(authorizer).allowed and budget.used > 0
    authorizer.close()
    assert budget.used == 0 and len(budget.caches) == 1
    assert ask(other).allowed and budget.used > 0
