"""Open requests end when their users may no longer make them (--end-revoked-requests)."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from audit.kept import Kept, auditor
from endpoints.streams.test_pod_streams import SPDY, V5, fill
from endpoints.upgrades import SOCKET, connected, messages
from eventually import aeventually
from harness import CONFIG_MAPS, PODS, Rig, Stream
from rbac_objects import RBAC, bind, binding, cluster_role, rule, unbind
from server.duplexes import Peer, frame, frames
from streaming_kubelet import StreamingKubelet
from virtual_time import VirtualLoop

from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authn.authenticator import TokenIdentity, Undecided, UnionAuthenticator
from pilothouse.authn.impersonation import Impersonation
from pilothouse.authn.tokens import TokenFile
from pilothouse.authn.webhook import WebhookTokens
from pilothouse.authz.authorizer import ALLOW, Decision, UnionAuthorizer, UnionMember, forbidden
from pilothouse.endpoints.objects.standing import OpenRequestJudge, Standing
from pilothouse.outbound.http import Unanswered

ON = ("--end-revoked-requests",)
WATCH = f"{CONFIG_MAPS}?watch=1"


class Site:
    """A rig with the option, and what audit records of it."""

    def __init__(self) -> None:
        made, self.kept = auditor({"level": "Metadata"})
        self.rig = Rig(flags=ON, audit=made)

    @property
    def standing(self) -> Standing:
        standing = self.rig.handlers.standing
        assert standing is not None
        return standing

    async def start(self) -> None:
        await self.rig.start()
        await self.standing.close()  # the tests say when to look
        for role in (
            rule("list watch", "configmaps"),
            rule("get create", "pods/exec pods/log"),
            rule("impersonate", "users"),
        ):
            await cluster_role(self.rig, role["verbs"][-1], role)

    def ended(self) -> dict[str, float]:
        return {reason: n for (reason,), n in self.standing._metrics.ended.values.items()}


@pytest.fixture
def site(runner: asyncio.Runner) -> Iterator[Site]:
    site = Site()
    runner.run(site.start())
    yield site
    runner.run(site.rig.stop())


def told(stream: Stream) -> tuple[int, str]:
    """The code and the message of the ERROR event with which a watch has ended."""
    (event,) = stream.events()
    assert event["type"] == "ERROR" and event["object"]["kind"] == "Status"
    assert stream.closed and not stream.aborted
    return event["object"]["code"], event["object"]["message"]


def completed(kept: Kept, verb: str) -> int:
    return sum(1 for e in kept.events() if e["stage"] == "ResponseComplete" and e["verb"] == verb)


async def test_a_watch_without_its_right(site: Site) -> None:
    rig = site.rig
    await bind(rig, "default", role="watch")
    await bind(rig, "default", role="impersonate", subject="joe")
    revision = rig.storage.revision
    jane = [await rig.watch(f"{WATCH}&resourceVersion={revision}", user="jane") for _ in range(3)]
    admin = await rig.watch(f"{WATCH}&resourceVersion={revision}")
    await site.standing.look()
    assert not any(stream.closed for stream in jane) and len(site.standing._alike) == 2
    await unbind(rig, "default", role="watch")
    site.kept.written()
    await site.standing.look()
    for stream in jane:
        code, message = told(stream)
        assert code == 403 and 'User "jane" cannot watch resource "configmaps"' in message
    assert completed(site.kept, "watch") == 3
    await rig.config_map("a")
    assert admin.seen() == [("ADDED", "a")]
    assert site.ended() == {"rights": 3.0}
    await site.standing.look()
    assert site.ended() == {"rights": 3.0} and len(site.standing._alike) == len(site.standing._open) == 1
    admin.close()
    assert not site.standing._alike and not site.standing._open


async def test_a_watch_without_its_credential(site: Site) -> None:
    rig = site.rig
    await bind(rig, "default", role="watch")
    stream = await rig.watch(WATCH, user="jane")
    (tokens,) = rig.authenticator.tokens
    assert isinstance(tokens, TokenFile)
    user = tokens.users.pop("jane")
    await site.standing.look()
    assert not stream.closed, "as for new requests, a token is known for some seconds"
    rig.authenticator.forget()
    await site.standing.look()
    assert told(stream) == (401, "Unauthorized") and site.ended() == {"credentials": 1.0}
    tokens.users["jane"] = user
    stream = await rig.watch(WATCH, user="jane")
    tokens.users["jane"] = type(user)("jane", "another", user.groups)
    rig.authenticator.forget()
    await site.standing.look()
    assert told(stream)[0] == 401, "the token is somebody else's now"


async def test_groups_that_a_credential_no_longer_gives(site: Site) -> None:
    rig = site.rig
    await bind(rig, "default", role="watch", subject={"kind": "Group", "name": "dev"})
    stream = await rig.watch(WATCH, user="jane")
    (tokens,) = rig.authenticator.tokens
    assert isinstance(tokens, TokenFile)
    tokens.users["jane"] = type(tokens.users["jane"])("jane", "2", ("ops",))
    rig.authenticator.forget()
    await site.standing.look()
    assert told(stream)[0] == 403


async def test_who_may_no_longer_impersonate(site: Site) -> None:
    rig = site.rig
    await bind(rig, "default", role="watch", subject="joe")
    await rig.ok("POST", f"{RBAC}/clusterrolebindings", binding("acts", "impersonate"))
    stream = await rig.watch(WATCH, user="jane", headers={"Impersonate-User": "joe"})
    await site.standing.look()
    assert not stream.closed
    await rig.ok("DELETE", f"{RBAC}/clusterrolebindings/acts")
    await site.standing.look()
    assert told(stream)[0] == 403


async def test_anonymous_watches(site: Site) -> None:
    rig = site.rig
    anonymous = {"kind": "Group", "name": "system:unauthenticated"}
    await bind(rig, "default", role="watch", subject=anonymous)
    stream = await rig.watch(WATCH, user="")
    await site.standing.look()
    assert not stream.closed
    await unbind(rig, "default", role="watch")
    await site.standing.look()
    assert told(stream)[0] == 403


async def test_a_watch_in_another_form(site: Site) -> None:
    rig = site.rig
    await bind(rig, "default", role="watch")
    table = {"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
    stream = await rig.watch(WATCH, user="jane", headers=table)
    async with connected(rig, "GET", WATCH, SOCKET, user="jane") as (_, peer):
        await unbind(rig, "default", role="watch")
        await site.standing.look()
        assert told(stream)[0] == 403
        (_, text), (opcode, _) = frames(peer.take())
        assert json.loads(text)["object"]["code"] == 403 and opcode == 8


@pytest.mark.parametrize(("method", "headers"), [("POST", SPDY), ("GET", V5)])
async def test_exec_is_cut(site: Site, tmp_path: Path, method: str, headers: dict[str, str]) -> None:
    rig = site.rig
    with StreamingKubelet(tmp_path) as kubelet:
        await fill(rig, kubelet.port, "a")
        await bind(rig, "default", role="create")
        target = f"{PODS}/a/exec?command=cat&stdin=1&stdout=1"
        async with connected(rig, method, target, headers, user="jane") as (_, peer):
            if method == "GET":
                await echoed(peer)
            await site.standing.look()
            assert not peer.closed
            await unbind(rig, "default", role="create")
            await site.standing.look()
            assert peer.closed and site.ended() == {"rights": 1.0}
        await aeventually(lambda: left(kubelet), "the end of the command", 10)


async def echoed(peer: Peer) -> None:
    """Wait until the command of a WebSocket runs."""
    peer.send(frame(2, b"\x00in"))
    await messages(peer, 2)


async def left(kubelet: StreamingKubelet) -> bool:
    return not kubelet.writers


async def test_exec_by_a_websocket_needs_the_right_to_create_all_along(site: Site, tmp_path: Path) -> None:
    rig = site.rig
    await cluster_role(rig, "get", rule("get", "pods/exec"))
    await bind(rig, "default", role="get")
    await bind(rig, "default", role="create")
    with StreamingKubelet(tmp_path) as kubelet:
        await fill(rig, kubelet.port, "a")
        target = f"{PODS}/a/exec?command=cat&stdin=1&stdout=1"
        async with connected(rig, "GET", target, V5, user="jane") as (_, peer):
            await echoed(peer)
            await unbind(rig, "default", role="create")
            await site.standing.look()
            assert peer.closed
        await aeventually(lambda: left(kubelet), "the end of the command", 10)


async def test_a_log_that_is_followed_is_cut(site: Site, tmp_path: Path) -> None:
    rig = site.rig
    with StreamingKubelet(tmp_path) as kubelet:
        await fill(rig, kubelet.port, "a")
        await bind(rig, "default", role="create")
        answer = await rig.call("GET", f"{PODS}/a/log?follow=true", user="jane")
        stream = answer.stream
        assert stream is not None
        site.kept.written()
        await unbind(rig, "default", role="create")
        await site.standing.look()
        assert stream.aborted and completed(site.kept, "get") == 1
        await aeventually(lambda: left(kubelet), "the end of the log", 10)


async def test_rights_that_are_gone_before_the_answer_begins(site: Site) -> None:
    rig = site.rig
    await bind(rig, "default", role="watch")
    await rig.config_map("a")
    response = await rig.respond("GET", WATCH, user="jane")
    await unbind(rig, "default", role="watch")
    await site.standing.look()
    stream = rig.answer(response).stream
    assert stream is not None and told(stream)[0] == 403


async def test_others_hardly_notice_the_end_of_thousands(site: Site) -> None:
    """All equal, and all different; the loop is never kept for long."""
    rig = site.rig
    await bind(rig, "default", role="watch")
    await cluster_role(rig, "other", rule("watch", "configmaps"))
    await bind(rig, "default", role="other", subject="joe")
    revision = rig.storage.revision
    equal = [await rig.watch(f"{WATCH}&resourceVersion={revision}", user="jane") for _ in range(300)]
    select = "labelSelector=n%3D"
    different = [
        await rig.watch(f"{WATCH}&resourceVersion={revision}&{select}{i}", user="jane") for i in range(300)
    ]
    admin = await rig.watch(f"{WATCH}&resourceVersion={revision}")
    assert len(site.standing._alike) == 302
    await unbind(rig, "default", role="watch")
    looking = asyncio.get_running_loop().create_task(site.standing.look())
    turns = 0
    while not looking.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 2
    assert all(told(stream)[0] == 403 for stream in equal + different)
    assert not admin.closed and site.ended() == {"rights": 600.0}


async def test_a_bug_in_one_judgement_keeps_no_other_from_its_turn(site: Site) -> None:
    rig = site.rig
    await bind(rig, "default", role="watch")
    (tokens,) = rig.authenticator.tokens
    assert isinstance(tokens, TokenFile)
    tokens.users["sick"] = type(tokens.users["jane"])("sick", "", ("system:masters",))
    sick = await rig.watch(WATCH, user="sick")
    stream = await rig.watch(WATCH, user="jane")
    rig.authenticator.tokens = (Broken(tokens),)
    rig.authenticator.forget()
    await unbind(rig, "default", role="watch")
    await site.standing.look()
    assert told(stream)[0] == 403 and not sick.closed


class Broken:
    """Fails for one token."""

    name = "broken"

    def __init__(self, others: TokenFile) -> None:
        self.others = others

    async def authenticate_token(self, token: str, audiences: Any) -> TokenIdentity | None:
        if token == "sick":
            raise ZeroDivisionError
        return await self.others.authenticate_token(token, audiences)


async def test_it_looks_by_itself(virtual: VirtualLoop, runner: asyncio.Runner) -> None:
    async with Rig(flags=ON) as rig:
        await cluster_role(rig, "watch", rule("watch", "configmaps"))
        await bind(rig, "default", role="watch")
        stream = await rig.watch(WATCH, user="jane")
        await virtual.advance(10)
        assert not stream.closed
        await unbind(rig, "default", role="watch")
        await virtual.advance(2.1)
        assert told(stream)[0] == 403


async def test_without_the_option_nothing_is_kept(rig: Rig) -> None:
    assert rig.handlers.standing is None and rig.verbs.standing is None


# What cannot be decided


class Fickle:
    """An authorizer that answers what the test says."""

    def __init__(self) -> None:
        self.decision = ALLOW

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        return self.decision


async def test_an_authorizer_that_cannot_say_ends_nothing(runner: asyncio.Runner) -> None:
    fickle = Fickle()
    union = UnionAuthorizer([UnionMember(fickle)])
    judge = OpenRequestJudge(UnionAuthenticator(), Impersonation(union.authorize, forbidden), union, None)
    asked = AuthorizationAttributes(User("jane"), "watch", is_resource=True, resource="pods")
    assert await judge.refusal(asked) is None
    fickle.decision = Decision(False, error="no answer")
    assert await judge.refusal(asked) is None
    fickle.decision = Decision(False, reason="why not")
    refusal = await judge.refusal(asked)
    assert refusal is not None and refusal.code == 403 and "why not" in refusal.message


async def test_a_webhook_for_tokens_that_does_not_answer_ends_nothing(site: Site) -> None:
    rig = site.rig
    up = True

    async def post(review: Any) -> Any:
        if not up:
            raise Unanswered("connection refused")
        return {"status": {"authenticated": True, "user": {"username": "jane", "uid": "2"}}}

    await bind(rig, "default", role="watch")
    rig.authenticator.tokens = (WebhookTokens(post, ("api",), "v1", ttl=0),)
    stream = await rig.watch(WATCH, user="jane")
    up = False
    rig.authenticator.forget()
    with pytest.raises(Undecided):
        await rig.authenticator.authenticate(rig.request("GET", WATCH, user="jane"))
    assert "Unauthorized" in await rig.fail(401, "GET", CONFIG_MAPS, user="jane")
    await site.standing.look()
    assert not stream.closed
