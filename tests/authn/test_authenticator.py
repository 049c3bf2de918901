"""The union of authentication methods."""

import asyncio
import base64
import contextlib
from typing import Any

import pytest
from clocks import Clock
from coroutines import at_once

from pilothouse import errors
from pilothouse.api.values.identity import ANONYMOUS, User
from pilothouse.authn.authenticator import (
    Recognition,
    TokenIdentity,
    UnionAuthenticator,
    bearer_token,
    join,
    with_authenticated,
)
from pilothouse.authn.tokens import TokenFile
from pilothouse.server.request import Request

ALICE = User("alice", "1", ("dev",))


def request(**headers: str) -> Request:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("GET", "/api", names, list(names.items()))


class Slow:
    """A token authenticator that must wait for its answer."""

    name = "slow"

    def __init__(self, known: dict[str, User]) -> None:
        self.known = known
        self.calls = 0

    async def authenticate_token(self, token: Any, audiences: Any) -> Any:
        self.calls += 1
        await asyncio.sleep(0)
        if token == "void":
            raise errors.Unauthorized("it is void")
        return TokenIdentity(self.known[token]) if token in self.known else None


@pytest.fixture
def union() -> UnionAuthenticator:
    return UnionAuthenticator(tokens=[TokenFile("t,alice,1,dev\n", ["api"])], audiences=["api"])


@pytest.mark.parametrize("header", ["Bearer t", "bearer t", " BEARER t ", "Bearer t more"])
def test_a_bearer_token_is_found_whatever_the_case(union: UnionAuthenticator, header: str) -> None:
    user = at_once(union.authenticate(request(authorization=header)))
    assert (user.name, user.groups) == ("alice", ("dev", "system:authenticated"))
    assert at_once(union.authenticate(request(authorization=header))) is user


@pytest.mark.parametrize("header", ["", "Bearer", "Basic t", "Bearer  t", "t"])
def test_other_headers_carry_no_token(union: UnionAuthenticator, header: str) -> None:
    assert bearer_token(header) == ""
    assert at_once(union.authenticate(request(authorization=header))) is ANONYMOUS


def test_an_extra_space_before_the_token_is_told(union: UnionAuthenticator) -> None:
    for header, told in (
        ("Bearer  t", 1),
        ("bearer   t", 1),
        ("Bearer t", 0),
        ("Basic  t", 0),
        ("Bearer  ", 0),
    ):
        asked = request(authorization=header)
        at_once(union.authenticate(asked))
        assert len(asked.warnings) == told, header


def test_a_wrong_token_does_not_fall_back_to_anonymous(union: UnionAuthenticator) -> None:
    with pytest.raises(errors.Unauthorized, match=r"^Unauthorized$"):
        at_once(union.authenticate(request(authorization="Bearer x")))


def test_no_credentials_are_anonymous_only_when_allowed(union: UnionAuthenticator) -> None:
    assert at_once(union.authenticate(request())) is ANONYMOUS
    union.anonymous = False
    with pytest.raises(errors.Unauthorized):
        at_once(union.authenticate(request()))


def test_what_is_told_with_a_token_is_told_with_every_request() -> None:
    class Warns:
        name = "warns"

        async def authenticate_token(self, token: str, audiences: Any) -> TokenIdentity:
            return TokenIdentity(ALICE, warnings=("use another",), annotations=(("k", "v"),))

    union = UnionAuthenticator(tokens=[Warns()])
    for header in ("Bearer t", "Bearer t", "bearer t"):
        asked = request(authorization=header)
        at_once(union.authenticate(asked))
        assert asked.warnings == ("use another",) and asked.annotations == (("k", "v"),)
    other = request()
    at_once(union.authenticate(other))
    assert not other.warnings and not other.annotations


def test_the_metrics_of_the_cache(union: UnionAuthenticator) -> None:
    def seen() -> dict[str, float]:
        lines = "".join(metric.text() for metric in union.metrics.metrics()).splitlines()
        found = [line.rpartition(" ") for line in lines if not line.startswith("#")]
        names = ("request_total", "fetch_total", "active_fetch_count")
        return {
            name.removeprefix("authentication_token_cache_"): float(value)
            for name, _, value in found
            if name.partition("{")[0].endswith(names)
        }

    assert seen() == {}
    for token in ("t", "t", "t", "unknown"):
        with contextlib.suppress(errors.Unauthorized):
            at_once(union.authenticate(request(authorization=f"Bearer {token}")))
    union.tokens = (Slow({}),)
    with pytest.raises(errors.Unauthorized):
        asyncio.run(union.authenticate(request(authorization="Bearer void")))
    assert seen() == {
        'active_fetch_count{status="blocked"}': 0,
        'active_fetch_count{status="in_flight"}': 0,
        'fetch_total{status="error"}': 1,
        'fetch_total{status="ok"}': 2,
        'request_total{status="hit"}': 2,
        'request_total{status="miss"}': 3,
    }
    assert 'request_duration_seconds_count{status="hit"} 2' in union.metrics.seconds.text()


def test_anonymous_requests_may_be_limited_to_paths() -> None:
    def at(path: str) -> Request:
        return Request("GET", path, {}, [])

    union = UnionAuthenticator(anonymous_paths=["/livez", "/a b"])
    for path in ("/livez", "/livez?verbose", "/a%20b"):
        assert at_once(union.authenticate(at(path))) is ANONYMOUS
    for path in ("/livez/", "/livez/ping", "/api", "/"):
        with pytest.raises(errors.Unauthorized):
            at_once(union.authenticate(at(path)))
    with pytest.raises(errors.Unauthorized):
        at_once(UnionAuthenticator(anonymous=False, anonymous_paths=["/livez"]).authenticate(at("/livez")))


def test_a_websocket_may_carry_its_token_as_a_subprotocol(union: UnionAuthenticator) -> None:
    def upgrade(*protocols: str) -> Request:
        headers = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")]
        headers += [("sec-websocket-protocol", protocol) for protocol in protocols]
        return Request("GET", "/api", dict(reversed(headers)), headers)

    prefix = "base64url.bearer.authorization.k8s.io."
    token = prefix + base64.urlsafe_b64encode(b"t").decode().rstrip("=")
    for good in ((f"v5.channel.k8s.io, {token}",), (token, "v5.channel.k8s.io")):
        assert at_once(union.authenticate(upgrade(*good))).name == "alice"
    for bad in (
        f"a, {prefix}!!",
        token,
        f"a, {token}, {token}",
        f"a, {token}==",
        f"a, {prefix}_w",
        f"a, {prefix}dA8",
    ):
        with pytest.raises(errors.Unauthorized):
            at_once(union.authenticate(upgrade(bad)))
    assert at_once(union.authenticate(upgrade("a"))) is ANONYMOUS
    no_upgrade = request(upgrade="websocket", sec_websocket_protocol=f"a, {token}")
    assert at_once(union.authenticate(no_upgrade)) is ANONYMOUS, "it is no WebSocket"


def test_a_method_that_waits_makes_the_whole_wait(union: UnionAuthenticator) -> None:
    slow = Slow({"s": User("sue")})
    union.tokens = (*union.tokens, slow)
    assert at_once(union.authenticate(request(authorization="Bearer t"))).name == "alice"
    for _ in range(2):
        user = asyncio.run(union.authenticate(request(authorization="Bearer s")))
        assert user.name == "sue"
    assert slow.calls == 1
    with pytest.raises(errors.Unauthorized, match=r"^Unauthorized$"):
        asyncio.run(union.authenticate(request(authorization="Bearer void")))


@pytest.mark.parametrize("header", ["Bearer s", "bearer s  more"])
def test_a_token_is_checked_again_after_ten_seconds(header: str) -> None:
    clock, slow = Clock(), Slow({"s": User("sue")})
    union = UnionAuthenticator(tokens=[slow], clock=clock)
    for passed, calls in ((0, 1), (9.9, 1), (0.1, 2), (9.9, 2)):
        clock.now += passed
        assert asyncio.run(union.authenticate(request(authorization=header))).name == "sue"
        assert slow.calls == calls
    del slow.known["s"]
    clock.now += 0.1
    with pytest.raises(errors.Unauthorized):
        asyncio.run(union.authenticate(request(authorization=header)))


def test_a_review_tells_why_a_token_is_void(union: UnionAuthenticator) -> None:
    review = at_once(union.review("nope"))
    assert (review.identity, review.error) == (None, "invalid bearer token")
    union.tokens = (*union.tokens, Slow({}))
    review = asyncio.run(union.review("void"))
    assert review.error == "[invalid bearer token, it is void]"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_no_method_is_asked_about_a_long_token(scheme: str) -> None:
    slow = Slow({"s" * (16 << 10): User("sue")})
    union = UnionAuthenticator(tokens=[slow])
    asked = request(authorization=f"{scheme} {'s' * ((16 << 10) + 1)}")
    with pytest.raises(errors.Unauthorized, match=r"^Unauthorized$"):
        at_once(union.authenticate(asked))
    why = "the token has more than 16384 bytes"
    assert asked.recognition == Recognition("", (("bearer token", why),))
    assert at_once(union.review("s" * 16385)).error == f"[invalid bearer token, {why}]"
    assert slow.calls == 0
    found = asyncio.run(union.authenticate(request(authorization=f"{scheme} {'s' * (16 << 10)}")))
    assert found.name == "sue" and slow.calls == 1


def test_subprotocols_have_room_for_one_token() -> None:
    slow = Slow({"s" * 100: User("sue")})
    union = UnionAuthenticator(tokens=[slow], longest=100)
    token = "base64url.bearer.authorization.k8s.io." + base64.urlsafe_b64encode(b"s" * 100).decode().rstrip(
        "="
    )
    for more, good in ((",", True), ("," * 5000, False)):
        headers = {
            "connection": "upgrade",
            "upgrade": "websocket",
            "sec-websocket-protocol": f"v4.channel{more}{token}",
        }
        asked = Request("GET", "/api", headers, list(headers.items()))
        if good:
            assert asyncio.run(union.authenticate(asked)).name == "sue"
            continue
        with pytest.raises(errors.Unauthorized):
            at_once(union.authenticate(asked))


def test_a_review_answers_for_the_audiences_both_know(union: UnionAuthenticator) -> None:
    assert at_once(union.review("t")).identity.audiences == ("api",)
    assert at_once(union.review("t", ["api", "other"])).identity.audiences == ("api",)
    assert at_once(union.review("t", ["other"])).identity is None


def test_the_first_method_to_succeed_wins_over_failures(union: UnionAuthenticator) -> None:
    class Fails:
        name = "fails"

        async def authenticate(self, request: Any) -> None:
            raise errors.Unauthorized("no")

    class Knows:
        name = "knows"

        async def authenticate(self, request: Any) -> User:
            return User("proxy", groups=("system:unauthenticated",))

    union.methods = (Fails(),)
    assert at_once(union.authenticate(request(authorization="Bearer t"))).name == "alice"
    union.forget()
    with pytest.raises(errors.Unauthorized):
        at_once(union.authenticate(request(authorization="Basic x")))
    union.methods = (Fails(), Knows())
    assert at_once(union.authenticate(request(authorization="Bearer x"))).name == "proxy"


def test_authenticated_users_get_the_group_once() -> None:
    once = with_authenticated(ALICE)
    assert once.groups == ("dev", "system:authenticated")
    assert with_authenticated(once) is once
    assert with_authenticated(ANONYMOUS) is ANONYMOUS


def test_reasons_are_joined_without_repeats() -> None:
    assert join([]) == ""
    assert join(["a", "a"]) == "a"
    assert join(["a", "b", "a"]) == "[a, b]"


class Says:
    """A method that refuses every request, or knows a user."""

    def __init__(self, name: str, user: User | None = None, why: str = "") -> None:
        self.name, self.user, self.why = name, user, why

    async def authenticate(self, request: Any) -> User | None:
        if self.why:
            raise errors.Unauthorized(self.why)
        return self.user


def test_a_request_tells_who_has_recognised_it_and_what_the_others_said(union: UnionAuthenticator) -> None:
    union.methods = (Says("proxy", why="not in the list"), Says("certificate", ALICE))
    asked = request(authorization="Bearer t")
    asked.peer_certificates = (b"der",)
    at_once(union.authenticate(asked))
    assert asked.recognition == Recognition("certificate", (("proxy", "not in the list"),))
    union.methods = (Says("proxy"), Says("certificate", ALICE))
    for _ in range(2):  # one object for all such requests
        again = request(authorization="Bearer x")
        at_once(union.authenticate(again))
    assert again.recognition == Recognition("certificate")


def test_a_token_tells_its_sort_also_when_it_is_known(union: UnionAuthenticator) -> None:
    for _ in range(2):
        asked = request(authorization="Bearer t")
        at_once(union.authenticate(asked))
        assert asked.recognition == Recognition("token file")
    union.methods = (Says("certificate", why="signed by unknown authority"),)
    for _ in range(2):
        asked = request(authorization="Bearer t")
        asked.peer_certificates = (b"der",)
        at_once(union.authenticate(asked))
        said = (("certificate", "signed by unknown authority"),)
        assert asked.recognition == Recognition("token file", said)


async def test_a_void_token_tells_what_each_sort_has_said(
    runner: asyncio.Runner, union: UnionAuthenticator
) -> None:
    union.tokens = (*union.tokens, Slow({}))
    asked = request(authorization="Bearer void")
    with pytest.raises(errors.Unauthorized):
        await union.authenticate(asked)
    said = (("token file", "no token of this sort"), ("slow", "it is void"))
    assert asked.recognition == Recognition("", said)


def test_nobody_has_said_anything_of_an_anonymous_request(union: UnionAuthenticator) -> None:
    asked = request()
    assert at_once(union.authenticate(asked)) is ANONYMOUS and asked.recognition is None


def test_what_is_judged_while_the_cache_is_emptied_is_not_remembered() -> None:
    async def run() -> None:
        slow = Slow({"s": User("sue")})
        union = UnionAuthenticator(tokens=[slow])
        asking = asyncio.create_task(union.authenticate(request(authorization="Bearer s")))
        await asyncio.sleep(0)
        assert slow.calls == 1
        union.forget()
        assert (await asking).name == "sue"
        await union.authenticate(request(authorization="Bearer s"))
        assert slow.calls == 2

    asyncio.run(run())
