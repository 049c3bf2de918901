"""Verdicts: a request that goes to its handler at once is the one that the stages would have let go there."""

import asyncio
import json
import re
from typing import Any

import pytest
from authn.conftest import Authority
from endpoints.test_plan import CHANGES, FLOWS, MERGE, change, counted, flow_schema, kept, presents
from example_scale import SCALE
from harness import CONFIG_MAPS, PODS, TOKENS, Rig, config_map, pod
from hypothesis import given, settings
from hypothesis import strategies as st
from rbac_objects import bind, cluster_role, rule, unbind

from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.authn.authenticator import UnionAuthenticator
from pilothouse.authn.tokens import TokenFile
from pilothouse.authn.x509 import CertificateAuthenticator
from pilothouse.authz.authorizer import Decision
from pilothouse.registry.admission import AdmissionAttributes

STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}
READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
CHANGING = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
)
"""UIDs and times, which two servers never have in common."""
SECONDS = re.compile(rb"\d+(\.\d+)?(e-\d+)?")
"""Numbers in what the journal keeps of a write."""


def known(rig: Rig) -> int:
    """How many verdicts there are but that on the namespace, which the rig makes."""
    assert rig.pipeline.planner is not None
    verdicts = rig.pipeline.planner.verdicts.known
    return sum(verdict.resource.plural != "namespaces" for verdict in verdicts.values() if verdict)


class Unasked:
    """An authorizer that nobody may ask."""

    async def authorize(self, attributes: Any) -> Any:
        raise AssertionError("the stages were asked")


async def test_writes_and_lists_that_are_like_others_ask_no_stage(rig: Rig) -> None:
    patch = {"data": {"k": "v"}}

    async def everything(name: str) -> None:
        await rig.ok("POST", CONFIG_MAPS, config_map(name))
        await rig.ok("PATCH", f"{CONFIG_MAPS}/{name}", patch, headers=MERGE)
        await rig.ok("PUT", f"{CONFIG_MAPS}/{name}", config_map(name))
        await rig.ok("GET", f"{CONFIG_MAPS}?labelSelector=a%3Db")
        await rig.ok("DELETE", f"{CONFIG_MAPS}/{name}?gracePeriodSeconds=0")
        await rig.ok("POST", PODS, pod(name))
        ready = await rig.ok("PATCH", f"{PODS}/{name}/status", READY, headers=STRATEGIC)
        assert ready["metadata"]["name"] == name and ready["status"]["conditions"][0]["type"] == "Ready"

    await everything("a")
    assert known(rig) == 7
    rig.pipeline.stages.authorizer = Unasked()
    await everything("b")
    assert (await rig.call("GET", CONFIG_MAPS)).status == 500, "another query is judged"


@pytest.mark.parametrize(
    ("method", "target", "body", "headers"),
    [
        ("GET", f"{CONFIG_MAPS}/a?pretty=true", None, {}),
        ("GET", f"{CONFIG_MAPS}?fieldSelector=metadata.name%3Da", None, {}),
        ("GET", f"{CONFIG_MAPS}?resourceVersion=0", None, {}),
        ("DELETE", f"{CONFIG_MAPS}?labelSelector=x", None, {}),
        ("POST", f"{CONFIG_MAPS}?dryRun=All", config_map("b"), {}),
        ("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}}, {"Impersonate-User": "admin"}),
        ("PATCH", "/api/v1/namespaces/default", {"metadata": {"labels": {"a": "b"}}}, MERGE),
        ("PATCH", f"{CONFIG_MAPS}/%61", {"data": {"k": "v"}}, MERGE),
        ("PATCH", f"{CONFIG_MAPS}/missing", {"data": {"k": "v"}}, MERGE),
        ("POST", f"{PODS}/p/eviction", {"metadata": {"name": "p"}}, {}),
        ("GET", "/version", None, {}),
    ],
)
async def test_other_requests_have_none(
    rig: Rig, method: str, target: str, body: Any, headers: dict[str, str]
) -> None:
    rig.pipeline.planner, planner = None, rig.pipeline.planner
    await rig.config_map("a")
    await rig.ok("POST", PODS, pod("p"))
    rig.pipeline.planner = planner
    await rig.call(method, target, body, headers=headers)
    assert known(rig) == 0


async def test_rules_that_name_objects(rig: Rig) -> None:
    await cluster_role(rig, "read", rule("patch", "configmaps", "a"))
    await bind(rig, "default")
    for name in ("a", "b"):
        await rig.config_map(name)
    before = known(rig)
    for _ in range(2):
        for name, status in (("a", 200), ("b", 403)):
            path = f"{CONFIG_MAPS}/{name}"
            assert (await rig.call("PATCH", path, {}, user="jane", headers=MERGE)).status == status
    assert known(rig) == before


async def test_rights_that_are_taken_away(rig: Rig) -> None:
    await cluster_role(rig, "read", rule("create", "configmaps"))
    await bind(rig, "default")
    await rig.ok("POST", CONFIG_MAPS, config_map("a"), user="jane")
    await rig.ok("POST", CONFIG_MAPS, config_map("b"), user="jane")
    await unbind(rig, "default")
    await rig.fail(403, "POST", CONFIG_MAPS, config_map("c"), user="jane")


class Meanwhile(AdmissionPlugin):
    """Does something while a write is judged."""

    name = "Meanwhile"

    def __init__(self) -> None:
        self.act = lambda: None

    def validate(self, a: AdmissionAttributes) -> None:
        self.act()


async def test_what_changes_while_a_request_is_carried_out(runner: asyncio.Runner) -> None:
    plugin = Meanwhile()
    async with Rig((NamespaceLifecycle(), plugin)) as rig:
        plugin.act = rig.authenticator.forget
        await rig.config_map("a")
        assert known(rig) == 0
        plugin.act = lambda: None
        await rig.config_map("b")
        assert known(rig) == 1


async def queue_readers(rig: Rig) -> None:
    """Have jane read and write config maps, with a queue for what finds no seat."""
    await rig.ok("POST", f"{FLOWS}/prioritylevelconfigurations", queued())
    made = flow_schema()
    made["spec"]["priorityLevelConfiguration"]["name"] = "queued"
    await rig.ok("POST", f"{FLOWS}/flowschemas", made)
    await cluster_role(rig, "read", rule("*", "configmaps"))
    await bind(rig, "default")


async def test_rights_that_are_taken_away_while_a_request_waits(rig: Rig) -> None:
    await queue_readers(rig)
    await rig.ok("POST", CONFIG_MAPS, config_map("a"), user="jane")
    reading = rig.handle("GET", CONFIG_MAPS, user="jane")
    level = reading.on_done.args[0].flow.flow.level
    level.resize(1, 1)
    waiting = asyncio.ensure_future(rig.call("POST", CONFIG_MAPS, config_map("b"), user="jane"))
    await unbind(rig, "default")
    assert not waiting.done()
    reading.on_done(1, None)
    assert (await waiting).status == 403


class Decides:
    """An authorizer that always gives the same decision."""

    def __init__(self, decision: Decision) -> None:
        self.decision = decision

    async def authorize(self, attributes: Any) -> Decision:
        return self.decision


@pytest.mark.parametrize(
    ("decision", "status"),
    [
        (Decision(False, error="away"), 500),
        (Decision(False, reason="no", error="away"), 500),
        (Decision(False, reason="no"), 403),
        (Decision(True, error="away"), 201),
    ],
)
@pytest.mark.parametrize("remembered", [True, False])
async def test_an_authorizer_that_changes_its_mind_while_a_request_waits(
    rig: Rig, decision: Decision, status: int, remembered: bool
) -> None:
    await queue_readers(rig)
    if remembered:
        await rig.ok("POST", CONFIG_MAPS, config_map("a"), user="jane")
    reading = rig.handle("GET", CONFIG_MAPS, user="jane")
    reading.on_done.args[0].flow.flow.level.resize(1, 1)
    waiting = asyncio.ensure_future(rig.call("POST", CONFIG_MAPS, config_map("b"), user="jane"))
    await rig.ok("GET", "/api/v1/namespaces/default")  # by then the other one is in its queue
    rig.pipeline.stages.authorizer = Decides(decision)
    assert not waiting.done()
    reading.on_done(1, None)
    answer = await waiting
    assert answer.status == status
    if status == 500:
        assert answer.body["message"] == f'Internal Server Error: "{CONFIG_MAPS}": away'


def queued() -> Any:
    queuing = {"queues": 1, "handSize": 1, "queueLengthLimit": 10}
    limited = {"nominalConcurrencyShares": 10, "limitResponse": {"type": "Queue", "queuing": queuing}}
    return {"metadata": {"name": "queued"}, "spec": {"type": "Limited", "limited": limited}}


async def test_a_token_counts_no_longer_than_it_is_cached(runner: asyncio.Runner) -> None:
    now = 1000.0
    rig = Rig()
    rig.authenticator = UnionAuthenticator(
        tokens=[TokenFile(TOKENS, ("api",))], audiences=("api",), clock=lambda: now
    )
    async with rig:
        await rig.config_map("a")
        rig.authenticator.tokens = ()
        now += 9
        await rig.config_map("b")
        now += 2
        await rig.fail(401, "POST", CONFIG_MAPS, config_map("c"))


async def test_certificates(runner: asyncio.Runner) -> None:
    authority, other = Authority(), Authority("other")
    rig = Rig(flags=("--console",))
    certificates = CertificateAuthenticator(authority.pem)
    rig.authenticator = UnionAuthenticator((certificates,), [TokenFile(TOKENS, ("api",))], ("api",))
    async with rig:
        presents(rig, authority.client("root", groups=["system:masters"]))
        for name in "ab":
            await rig.ok("POST", CONFIG_MAPS, config_map(name), user="")
        assert known(rig) == 1 and certificates.metrics.remaining.series().count == 2
        foreign = {"Sec-Fetch-Site": "cross-site"}
        await rig.fail(403, "POST", CONFIG_MAPS, config_map("c"), user="", headers=foreign)
        certificates.trust(other.pem)
        await rig.fail(401, "POST", CONFIG_MAPS, config_map("c"), user="")


REQUESTS = st.tuples(
    st.just("request"),
    st.sampled_from(("admin", "jane", "joe")),
    st.sampled_from(
        [
            *(("POST", path, config_map(name), {}) for path in (CONFIG_MAPS, f"{PODS}x") for name in "ab"),
            *(("PATCH", f"{CONFIG_MAPS}/{name}", {"data": {"k": "v"}}, MERGE) for name in "abc"),
            *(("DELETE", f"{CONFIG_MAPS}/{name}", None, {}) for name in "ab"),
            ("POST", PODS, pod("p"), {}),
            ("PATCH", f"{PODS}/p/status", READY, STRATEGIC),
            ("PATCH", f"{PODS}/p/status", b"{", STRATEGIC),
            ("GET", CONFIG_MAPS, None, {}),
            ("GET", f"{CONFIG_MAPS}?limit=1", None, {"User-Agent": "curl/8"}),
            ("GET", f"{CONFIG_MAPS}?limit=x", None, {}),
        ]
    ),
)


async def carried_out(rig: Rig, user: str, request: Any) -> Any:
    """The answer to a request, what was counted of it, and what is kept of it."""
    method, target, body, headers = request
    before = counted(rig)
    answer = await rig.call(method, target, body, user=user, headers={"Audit-Id": "one", **headers})
    after = counted(rig)
    after.subtract(before)
    shown = CHANGING.sub("*", json.dumps([answer.status, answer.headers, answer.body, answer.warnings]))
    journal = kept(rig)
    sent, acting, failed, detail, flow = journal[1]
    told = sent, acting, failed, SECONDS.sub(b"*", detail), flow
    return shown, {name: n for name, n in after.items() if n}, journal[0][1:], told, journal[2]


@settings(max_examples=12 * SCALE, deadline=None)
@given(st.lists(st.one_of(REQUESTS, REQUESTS, CHANGES), min_size=5, max_size=40))
def test_any_sequence_on_a_server_with_verdicts_and_on_one_without(steps: list[Any]) -> None:
    async def play() -> None:
        async with Rig() as rig, Rig() as plain:
            plain.pipeline.planner = None
            for one in (rig, plain):
                await cluster_role(one, "read", rule("*", "configmaps"))
                await one.ok("POST", f"{FLOWS}/flowschemas", flow_schema())
            for step in steps:
                if step[0] == "request":
                    found = await carried_out(rig, *step[1:])
                    assert found == await carried_out(plain, *step[1:])
                else:
                    for one in (rig, plain):
                        await change(one, *step)

    asyncio.run(play())
