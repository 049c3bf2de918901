"""Plans of reads: an answer by a plan is the one that the stages give, whatever has changed meanwhile."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from authn.conftest import Authority
from example_scale import SCALE
from harness import CONFIG_MAPS, PODS, TOKENS, Rig, config_map, pod
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_samples import samples
from rbac_objects import RBAC, bind, cluster_role, rule, unbind

from pilothouse.authn.authenticator import UnionAuthenticator
from pilothouse.authn.requestheader import RequestHeaderAuthenticator
from pilothouse.authn.tokens import TokenFile
from pilothouse.authn.x509 import CertificateAuthenticator

TIMES = ("_sum", "_bucket", "cache_", "utilization", "current_requests", "seats", "meter", "virtual")
"""Parts of the names of samples that tell times, integrals over time, or the latest turn of a queue."""

FLOWS = "/apis/flowcontrol.apiserver.k8s.io/v1"
A = CONFIG_MAPS + "/a"
MERGE = {"Content-Type": "application/merge-patch+json"}


def planned(rig: Rig) -> int:
    """How many plans there are."""
    assert rig.pipeline.planner is not None
    return rig.pipeline.planner.known.entries()


def counted(rig: Rig) -> Counter[str]:
    """All samples but those that tell times and what depends on them."""
    out: Counter[str] = Counter()
    for metric in rig.metrics.metrics():
        for name, value in samples("\n".join(metric.text().splitlines())).items():
            if not any(part in name for part in TIMES):
                out[name] = round(float(value))
    return out


def kept(rig: Rig) -> Any:
    """The newest request of the journal, without its times."""
    journal = rig.handlers.journal
    assert journal is not None
    found = next(iter(journal.entries())).kept
    return (
        (found.size, found.told, found.user, found.caller, found.recognition, found.decision, found.code),
        (
            found.sent,
            found.acting and found.acting[0],
            found.error,
            found.detail,
            found.flow and found.flow[:3],
        ),
        [at > 0 for at in (found.started, found.recognised, found.decided, found.answered, found.ended)],
    )


async def read(rig: Rig, target: str, user: str, headers: dict[str, str]) -> tuple[Any, Any, Any]:
    """The answer to a GET, what was counted of it, and what is kept of it."""
    before = counted(rig)
    answer = await rig.call("GET", target, user=user, headers={"Audit-Id": "one", **headers})
    after = counted(rig)
    after.subtract(before)
    return answer, {name: n for name, n in after.items() if n}, kept(rig)


async def compare(rig: Rig, target: str, user: str = "admin", headers: dict[str, str] | None = None) -> int:
    """Read by a plan, if there is one, and by the stages: everything is the same; the status."""
    found = await read(rig, target, user, headers or {})
    planner, rig.pipeline.planner = rig.pipeline.planner, None
    try:
        assert found == await read(rig, target, user, headers or {})
    finally:
        rig.pipeline.planner = planner
    return int(found[0].status)


async def test_the_second_read_has_a_plan(rig: Rig) -> None:
    await rig.config_map("a", data={"k": "v"})
    await rig.config_map("b")
    assert planned(rig) == 0
    for name in ("a", "b", "missing", "a"):
        await compare(rig, f"{CONFIG_MAPS}/{name}")
        assert planned(rig) == 1
    changed = await rig.ok("PATCH", A, {"data": {"k": "w"}}, headers=MERGE)
    assert (await rig.ok("GET", A)) == changed
    await rig.ok("DELETE", A)
    assert await compare(rig, A) == 404


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        (A + "?pretty=true", {}),
        (A + "?resourceVersion=0", {}),
        (A, {"Accept": "application/yaml"}),
        (A, {"Accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}),
        (A, {"User-Agent": "curl/8"}),
        (A, {"Impersonate-User": "jane", "Impersonate-Group": "system:masters"}),
        (CONFIG_MAPS, {}),
        ("/api/v1/namespaces/default", {}),
        (PODS + "/p/status", {}),
        ("/version", {}),
        (A.replace("configmaps", "%63onfigmaps"), {}),
    ],
)
async def test_other_reads_have_none(rig: Rig, target: str, headers: dict[str, str]) -> None:
    await rig.config_map("a")
    await rig.ok("POST", PODS, pod("p"))
    await rig.call("GET", target, headers=headers)
    await compare(rig, target, headers=headers)
    assert planned(rig) == 0
    await compare(rig, A)
    assert planned(rig) == 1 and await compare(rig, target, headers=headers) == 200


@pytest.mark.parametrize("size", [1, 20_000])
async def test_protobuf(rig: Rig, size: int) -> None:
    """A message is made once for each version of an object; a large one is made beside the loop."""
    accept = {"Accept": "application/vnd.kubernetes.protobuf,application/json"}
    await rig.config_map("a", data={"k": "v" * size})
    for _ in range(3):
        assert await compare(rig, A, headers=accept) == 200
    assert planned(rig) == (size == 1)
    await rig.ok("PATCH", A, {"data": {"k": "w" * size}}, headers=MERGE)
    answer = await rig.call("GET", A, headers=accept)
    assert b"w" * size in answer.body and await compare(rig, A, headers=accept) == 200


@pytest.mark.parametrize("name", ["%61", "..", ".", "", "a/", "a/b", "A", "a?", "a?x=y", "ä"])
async def test_odd_names_below_a_path_with_a_plan(rig: Rig, name: str) -> None:
    await rig.config_map("a")
    await compare(rig, A)
    await compare(rig, f"{CONFIG_MAPS}/{name}")


async def test_a_namespace_is_judged_by_its_own_name(rig: Rig) -> None:
    """A role in one namespace allows to read that namespace alone."""
    await cluster_role(rig, "read", rule("get", "namespaces"))
    await bind(rig, "default")
    for _ in range(2):
        assert await compare(rig, "/api/v1/namespaces/default", "jane") == 200
        assert await compare(rig, "/api/v1/namespaces/kube-system", "jane") == 403


async def test_rules_that_name_objects(rig: Rig) -> None:
    await cluster_role(rig, "read", rule("get", "configmaps", "a"))
    await bind(rig, "default")
    await rig.config_map("a")
    await rig.config_map("b")
    for _ in range(2):
        assert await compare(rig, A, "jane") == 200
        assert await compare(rig, CONFIG_MAPS + "/b", "jane") == 403
    assert planned(rig) == 0


async def test_what_nodes_may_do_depends_on_the_object(runner: asyncio.Runner) -> None:
    rig = Rig(modes=("Node", "RBAC"))
    users = f"{TOKENS}node,system:node:n1,3,system:nodes\n"
    rig.authenticator = UnionAuthenticator(tokens=[TokenFile(users, ("api",))], audiences=("api",))
    async with rig:
        for name in ("n1", "n2"):
            await rig.ok("POST", "/api/v1/nodes", {"metadata": {"name": name}})
        for _ in range(2):
            assert await compare(rig, "/api/v1/nodes/n1", "node") == 200
            assert await compare(rig, "/api/v1/nodes/n2", "node") == 403
        assert planned(rig) == 0
        assert await compare(rig, "/api/v1/nodes/n1") == 200 and planned(rig) == 1


async def test_rights_that_are_taken_away(rig: Rig) -> None:
    await cluster_role(rig, "read", rule("get", "configmaps"))
    await bind(rig, "default")
    await rig.config_map("a")
    for _ in range(2):
        assert await compare(rig, A, "jane") == 200
    assert planned(rig) == 1
    await unbind(rig, "default")
    assert planned(rig) == 0 and await compare(rig, A, "jane") == 403


async def test_tokens_that_are_judged_anew(rig: Rig) -> None:
    await rig.config_map("a")
    await compare(rig, A)
    assert planned(rig) == 1
    rig.authenticator.tokens = ()
    assert await compare(rig, A) == 200, "a token that is known counts for some seconds"
    rig.authenticator.forget()
    assert planned(rig) == 0 and await compare(rig, A) == 401


async def test_a_token_counts_no_longer_than_it_is_cached(runner: asyncio.Runner) -> None:
    now = 1000.0
    rig = Rig()
    tokens = TokenFile(TOKENS, ("api",))
    rig.authenticator = UnionAuthenticator(tokens=[tokens], audiences=("api",), clock=lambda: now)
    async with rig:
        await rig.config_map("a")
        await compare(rig, A)
        assert planned(rig) == 1
        rig.authenticator.tokens = ()
        now += 9
        assert await compare(rig, A) == 200
        now += 2
        assert await compare(rig, A) == 401


async def test_a_key_that_is_long_makes_no_plan(rig: Rig) -> None:
    await rig.config_map("a")
    for agent, plans in (("x" * 10_000, 0), ("x" * 1000, 1)):
        assert await compare(rig, A, headers={"User-Agent": agent}) == 200
        assert planned(rig) == plans


async def test_plans_of_many_user_agents_are_bounded(rig: Rig) -> None:
    await rig.config_map("a")
    assert rig.pipeline.planner is not None
    known = rig.pipeline.planner.known
    most = 0
    for number in range(5000):
        answer = rig.handle("GET", A, headers={"User-Agent": f"{number:01000}"})
        answer.on_done(1, None)
        most = max(most, known.young + known.old)
    assert 1 << 22 < most <= 8 << 20


async def test_seats_that_are_taken(rig: Rig) -> None:
    """Without a free seat the request goes through the stages, whose level has no queues here."""
    await rig.config_map("a")
    await cluster_role(rig, "read", rule("get", "configmaps"))
    await bind(rig, "default")
    await rig.ok("GET", A, user="jane")
    first = rig.handle("GET", A, user="jane")
    level = first.on_done.flow.flow.level
    limit = level.limit
    level.resize(1, 1)
    assert await compare(rig, A, "jane") == 429
    first.on_done(1, None)
    assert level.idle and await compare(rig, A, "jane") == 200
    level.resize(limit, limit)
    assert level.idle and await compare(rig, A, "jane") == 200


async def test_an_answer_that_is_cut_short(rig: Rig) -> None:
    await rig.config_map("a")
    await rig.ok("GET", A)
    for error in (ConnectionAbortedError(), ConnectionResetError()):
        response = rig.handle("GET", A)
        response.on_done(5, error)
        assert kept(rig)[1][:3] == (5, None, type(error).__name__)
    aborted = samples(rig.requests)
    assert sum(float(n) for name, n in aborted.items() if "aborts_total" in name) == 1


def presents(rig: Rig, der: bytes) -> None:
    """Have every request without a token come with a client certificate."""
    plain = rig.request

    def request(*args: Any, **kwargs: Any) -> Any:
        made = plain(*args, **kwargs)
        made.peer_certificates = () if kwargs.get("user", "") else (der,)
        return made

    rig.request = request  # type: ignore[method-assign]


@pytest.mark.parametrize("flags", [("--console",), ("--console=false",)])
async def test_certificates(flags: Any, runner: asyncio.Runner) -> None:
    authority, other_authority = Authority(), Authority("other")
    rig = Rig(flags=flags)
    certificates = CertificateAuthenticator(authority.pem)
    proxy = RequestHeaderAuthenticator(authority.pem, allowed_names=["proxy"])
    rig.authenticator = UnionAuthenticator((proxy, certificates), [TokenFile(TOKENS, ("api",))], ("api",))
    async with rig:
        await rig.config_map("a")
        presents(rig, authority.client("root", groups=["system:masters"]))
        named = {"X-Remote-User": "jane"}
        assert await compare(rig, A, "", named) == 200, "the certificate counts, which is not the proxy's"
        for expected in (0, 1, 1):
            assert planned(rig) == expected
            assert await compare(rig, A, "") == 200
        assert await compare(rig, A, "", named) == 200
        assert certificates.metrics.remaining.series().count == 10
        foreign = 403 if rig.pipeline.stages.console is not None else 200
        assert await compare(rig, A, "", {"Sec-Fetch-Site": "cross-site"}) == foreign
        assert await compare(rig, A, "", {"Origin": "https://other.test", "Host": "a"}) == foreign
        assert await compare(rig, A, "jane") == 403, "a token is another credential"
        certificates.trust(other_authority.pem)
        assert planned(rig) == 0 and await compare(rig, A, "") == 401


READS = st.tuples(
    st.just("read"),
    st.sampled_from(("admin", "jane", "joe")),
    st.sampled_from((CONFIG_MAPS, PODS, "/api/v1/namespaces", "/api/v1/namespaces/kube-system/configmaps")),
    st.sampled_from(("a", "b", "default", "c/status", "")),
    st.sampled_from(
        ({}, {"User-Agent": "curl/8"}, {"Accept": "application/vnd.kubernetes.protobuf"}, {"Accept": "*/*"})
    ),
)
CHANGES = st.sampled_from(
    [
        *(("put", name, verb) for name in ("a", "b") for verb in ("POST", "DELETE", "PATCH")),
        *(("bind", change, place) for change in (bind, unbind) for place in ("default", "kube-system")),
        *(("rule", rules) for rules in (("get configmaps",), ("get pods",), ("get configmaps a",), ())),
        *(("flow", distinguisher) for distinguisher in ("ByUser", "ByNamespace", "")),
        ("forget",),
    ]
)


async def change(rig: Rig, kind: str, *how: Any) -> None:
    if kind == "put":
        name, verb = how
        if verb == "POST":
            await rig.call("POST", CONFIG_MAPS, config_map(name))
        else:
            body = {"metadata": {"labels": {"x": str(rig.storage.revision)}}} if verb == "PATCH" else None
            await rig.call(verb, f"{CONFIG_MAPS}/{name}", body, headers=MERGE)
    elif kind == "bind":
        act, place = how
        known = (await rig.call("GET", f"{RBAC}/namespaces/{place}/rolebindings/read")).status == 200
        if known == (act is unbind):
            await act(rig, place)
    elif kind == "rule":
        rules = [rule(verb, resource, *names) for verb, resource, *names in (text.split() for text in how[0])]
        await rig.ok("PATCH", f"{RBAC}/clusterroles/read", {"rules": rules}, headers=MERGE)
    elif kind == "flow":
        method = {"type": how[0]} if how[0] else None
        await rig.ok(
            "PATCH", f"{FLOWS}/flowschemas/f", {"spec": {"distinguisherMethod": method}}, headers=MERGE
        )
    else:
        rig.authenticator.forget()


def flow_schema() -> Any:
    group = {"kind": "Group", "group": {"name": "*"}}
    resources = {
        "verbs": ["*"],
        "apiGroups": ["*"],
        "resources": ["*"],
        "namespaces": ["*"],
        "clusterScope": True,
    }
    rules = [{"subjects": [group], "resourceRules": [resources]}]
    level = {"name": "catch-all"}
    spec = {"priorityLevelConfiguration": level, "matchingPrecedence": 100, "rules": rules}
    return {"metadata": {"name": "f"}, "spec": spec}


@settings(max_examples=12 * SCALE, deadline=None)
@given(st.lists(st.one_of(READS, READS, CHANGES), min_size=5, max_size=40))
def test_any_sequence_of_reads_and_changes(steps: list[Any]) -> None:
    async def play() -> None:
        async with Rig() as rig:
            await cluster_role(rig, "read", rule("get", "configmaps"))
            await rig.ok("POST", f"{FLOWS}/flowschemas", flow_schema())
            for step in steps:
                if step[0] == "read":
                    _, user, path, name, headers = step
                    await compare(rig, f"{path}/{name}", user, headers)
                else:
                    await change(rig, *step)

    asyncio.run(play())
