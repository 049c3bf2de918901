"""Tokens that a remote service judges."""

import asyncio
from typing import Any

import pytest
from clocks import Clock

from pilothouse import errors
from pilothouse.api.values.identity import User
from pilothouse.authn.authenticator import TokenIdentity
from pilothouse.authn.webhook import WebhookTokens


class Service:
    def __init__(self, **status: Any) -> None:
        self.status = status
        self.reviews: list[Any] = []

    async def __call__(self, review: Any) -> dict[str, Any]:
        self.reviews.append(review)
        return {"status": self.status}


JANE = {"username": "jane", "uid": "1", "groups": ["a"], "extra": {"k": ["v"]}}


def ask(tokens: Any, *audiences: Any) -> Any:
    return asyncio.run(tokens.authenticate_token("t", audiences))


def test_the_service_names_the_user_and_is_asked_once() -> None:
    service = Service(authenticated=True, user=JANE)
    tokens = WebhookTokens(service, ["api"], "v1")
    for _ in range(2):
        assert ask(tokens, "api") == TokenIdentity(User("jane", "1", ("a",), {"k": ["v"]}), ("api",))
    (review,) = service.reviews
    assert review["apiVersion"] == "authentication.k8s.io/v1"
    assert review["spec"] == {"token": "t", "audiences": ["api"]}


@pytest.mark.parametrize(("said", "found"), [(["vault", "api"], ("vault",)), ([], None), (["api"], None)])
def test_audiences_must_meet(said: list[str], found: tuple[str] | None) -> None:
    tokens = WebhookTokens(Service(authenticated=True, user=JANE, audiences=said), ["api"])
    identity = ask(tokens, "vault")
    assert (identity and identity.audiences) == found


def test_a_refusal_may_have_a_reason() -> None:
    assert ask(WebhookTokens(Service(authenticated=False), ["api"]), "api") is None
    with pytest.raises(errors.Unauthorized, match="too old"):
        ask(WebhookTokens(Service(error="too old"), ["api"]), "api")


def test_a_service_that_fails_lets_nobody_in() -> None:
    async def broken(review: Any) -> None:
        raise OSError("refused")

    with pytest.raises(errors.Unauthorized, match="refused"):
        ask(WebhookTokens(broken, ["api"]), "api")
    with pytest.raises(ValueError, match="v2"):
        WebhookTokens(broken, [], "v2")


@pytest.mark.parametrize(
    "status", [[1], "x", {"authenticated": True, "user": [1]}, {"authenticated": True, "user": {"extra": 5}}]
)
def test_an_answer_of_another_form_lets_nobody_in(status: Any) -> None:
    service = Service()
    service.status = status
    with pytest.raises(errors.Unauthorized, match="is no TokenReview"):
        ask(WebhookTokens(service, ["api"], "v1"), "api")


def test_an_answer_that_is_no_json_lets_nobody_in() -> None:
    async def post(review: Any) -> None:
        raise ValueError("Expecting value")

    with pytest.raises(errors.Unauthorized, match="is no TokenReview: Expecting value"):
        ask(WebhookTokens(post, ["api"], "v1"), "api")


@pytest.mark.parametrize(("ttl", "passed", "asked"), [(120, 119.9, 1), (120, 120, 2), (0, 0, 2)])
def test_an_answer_counts_for_so_long(ttl: int, passed: float, asked: int) -> None:
    clock, service = Clock(), Service(authenticated=True, user=JANE)
    tokens = WebhookTokens(service, ["api"], ttl=ttl, clock=clock)
    ask(tokens, "api")
    clock.now += passed
    ask(tokens, "api")
    assert len(service.reviews) == asked


def test_a_refusal_is_not_remembered() -> None:
    service = Service(authenticated=False)
    tokens = WebhookTokens(service, ["api"])
    assert ask(tokens, "api") is None
    service.status = {"authenticated": True, "user": JANE}
    assert ask(tokens, "api").user.name == "jane"


def test_another_service_is_asked_at_once() -> None:
    """The answer of the former service is not remembered, also where it is not there yet."""

    async def run() -> None:
        asked, go = asyncio.Event(), asyncio.Event()

        async def slow(review: Any) -> dict[str, Any]:
            asked.set()
            await go.wait()
            return {"status": {"authenticated": True, "user": {"username": "former"}}}

        tokens = WebhookTokens(slow, ["api"])
        waiting = asyncio.create_task(tokens.authenticate_token("t", ["api"]))
        await asked.wait()
        tokens.use(Service(authenticated=True, user=JANE))
        go.set()
        assert (await waiting).user.name == "former"
        assert (await tokens.authenticate_token("t", ["api"])).user.name == "jane"

    asyncio.run(run())
