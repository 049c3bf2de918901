"""Lists and watches across namespaces by users who may see some of them only
(--list-permitted-namespaces)."""

import asyncio
import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from eventually import aeventually
from example_scale import SCALE
from harness import Rig, Stream, config_map
from hypothesis import given, settings
from hypothesis import strategies as st
from rbac_objects import RBAC, bind, binding, cluster_role, rule, unbind

from pilothouse import errors
from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authz.abac import ABACAuthorizer, ABACPolicy
from pilothouse.authz.authorizer import ALLOW, NO_OPINION, Decision, UnionAuthorizer, UnionMember
from pilothouse.endpoints.request.permitted import Finder, Permitted
from pilothouse.registry.catalog import Catalog, built_in
from pilothouse.storage.memory import MemoryStorage

ON = ("--list-permitted-namespaces",)
ALL = "/api/v1/configmaps"
NAMES = ("a", "a-b", "a.b", "b", "c")
"""Namespaces, sorted; the keys of the objects in `a` come behind those of the objects in `a-b`."""
NAMESPACES = ("a", "a-b", "b", "c")
READ = rule("list watch", "configmaps namespaces pods")


@pytest.fixture
def rig(runner: asyncio.Runner) -> Iterator[Rig]:
    rig = Rig(namespaces=NAMESPACES, flags=ON)
    runner.run(rig.start())
    runner.run(cluster_role(rig, "read", READ))
    yield rig
    runner.run(rig.stop())


async def make(rig: Rig, namespace: str, *names: str, **members: Any) -> None:
    for name in names:
        await rig.ok("POST", f"/api/v1/namespaces/{namespace}/configmaps", config_map(name, **members))


def places(body: Any) -> list[tuple[str, str]]:
    return [(o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in body["items"]]


async def test_a_list_shows_the_namespaces_in_which_it_is_allowed_and_says_so(rig: Rig) -> None:
    for namespace in NAMESPACES:
        await make(rig, namespace, "one", "two")
    await bind(rig, "a", "c")
    await bind(rig, "a-b", subject={"kind": "Group", "name": "dev"})
    answer = await rig.call("GET", ALL, user="jane")
    assert places(answer.body) == [
        (namespace, name) for namespace in ("a-b", "a", "c") for name in ("one", "two")
    ], "in the order of keys, as in any list"
    assert answer.body["metadata"]["resourceVersion"] == str(rig.storage.revision)
    assert answer.warnings == [
        'this answer shows the 3 namespaces in which you may list "configmaps": not in all of the cluster'
    ]


async def test_nothing_else_is_answered_in_part(rig: Rig) -> None:
    await bind(rig, "a")
    wide = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    await cluster_role(rig, "all", wide)
    await bind(rig, "b", role="all")
    for method, target in (
        ("GET", "/api/v1/nodes"),
        ("GET", "/api/v1/persistentvolumes?watch=1"),
        ("DELETE", ALL),
        ("GET", "/api/v1/namespaces/c/configmaps"),
        ("GET", "/api/v1/configmaps?fieldSelector=metadata.namespace%3Dc"),
        ("GET", "/apis/none.example.com/v1/things"),
        ("GET", "/version/none"),
    ):
        answer = await rig.call(method, target, user="jane")
        assert answer.status == 403 and not answer.warnings, target


async def test_without_the_option_the_list_is_refused(runner: asyncio.Runner) -> None:
    async with Rig(namespaces=NAMESPACES) as rig:
        await cluster_role(rig, "read", READ)
        await bind(rig, "a")
        assert "at the cluster scope" in await rig.fail(403, "GET", ALL, user="jane")
        assert rig.handlers.standing is None and rig.handlers.finder is None


async def test_who_may_list_in_no_namespace_is_refused_as_before(rig: Rig) -> None:
    message = await rig.fail(403, "GET", ALL, user="jane")
    named = {**READ, "resourceNames": ["one"]}
    await cluster_role(rig, "named", named)
    await bind(rig, "a", role="named")
    await make(rig, "a", "one")
    assert await rig.fail(403, "GET", ALL, user="jane") == message
    one = f"{ALL}?fieldSelector=metadata.name%3Done"
    assert "forbidden" in await rig.fail(403, "GET", one, user="jane"), "rights to names do not count"


async def test_a_right_to_all_namespaces_shows_all_without_a_warning(rig: Rig) -> None:
    await make(rig, "b", "one")
    await bind(rig, "a")
    await rig.ok("POST", f"{RBAC}/clusterrolebindings", binding("wide", "read"))
    answer = await rig.call("GET", ALL, user="jane")
    assert places(answer.body) == [("b", "one")] and not answer.warnings


async def test_the_namespaces_themselves(rig: Rig) -> None:
    await bind(rig, "a", "c")
    answer = await rig.call("GET", "/api/v1/namespaces", user="jane")
    assert places(answer.body) == [("", "a"), ("", "c")] and len(answer.warnings) == 1
    stream = await rig.watch("/api/v1/namespaces?watch=1", user="jane")
    assert stream.seen() == [("ADDED", "a"), ("ADDED", "c")]
    for name in ("a-b", "c"):
        body = await rig.ok("GET", f"/api/v1/namespaces/{name}")
        body["metadata"]["labels"] = {"touched": "yes"}
        await rig.ok("PUT", f"/api/v1/namespaces/{name}", body)
    assert stream.seen() == [("MODIFIED", "c")]
    for selector, names in (
        ("fieldSelector=metadata.name%3Dc", ["c"]),
        ("labelSelector=touched%3Dyes", ["c"]),
        ("labelSelector=!touched", ["a"]),
        ("limit=1", ["a"]),
    ):
        answer = await rig.call("GET", f"/api/v1/namespaces?{selector}", user="jane")
        assert [name for _, name in places(answer.body)] == names, selector
    assert await rig.fail(403, "GET", "/api/v1/namespaces?fieldSelector=metadata.name%3Db", user="jane")


async def test_pages_are_of_one_snapshot_and_of_one_set_of_namespaces(rig: Rig) -> None:
    for namespace in NAMESPACES:
        await make(rig, namespace, "one", "two")
    await bind(rig, "a", "a-b", "c")
    first = await rig.ok("GET", f"{ALL}?limit=1", user="jane")
    assert first["metadata"]["remainingItemCount"] == 5
    token = first["metadata"]["continue"]
    await make(rig, "a", "late")
    await rig.ok("DELETE", "/api/v1/namespaces/c/configmaps/one")
    rest = await rig.ok("GET", f"{ALL}?continue={token}", user="jane")
    assert places(first) + places(rest) == [
        (namespace, name) for namespace in ("a-b", "a", "c") for name in ("one", "two")
    ]
    assert first["metadata"]["resourceVersion"] == rest["metadata"]["resourceVersion"]
    third = await rig.ok("GET", f"{ALL}?continue={token}&limit=2", user="jane")
    assert places(third) == [("a-b", "two"), ("a", "one")] and third["metadata"]["remainingItemCount"] == 3
    await bind(rig, "b")
    assert "have changed" in await rig.fail(410, "GET", f"{ALL}?continue={token}", user="jane")
    assert "have changed" in await rig.fail(410, "GET", f"{ALL}?continue={token}")
    for namespace in ("a", "a-b", "b", "c"):
        await unbind(rig, namespace)
    await rig.fail(403, "GET", f"{ALL}?continue={token}", user="jane")


async def test_any_form_of_answer(rig: Rig) -> None:
    await make(rig, "a", "one")
    await make(rig, "b", "two")
    await bind(rig, "a")
    for form, member in (
        ("application/json;as=Table;g=meta.k8s.io;v=v1", "rows"),
        ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", "items"),
    ):
        answer = await rig.call("GET", ALL, user="jane", headers={"Accept": form})
        assert len(answer.body[member]) == 1 and len(answer.warnings) == 1, form
    answer = await rig.call(
        "GET", ALL, user="jane", headers={"Accept": "application/vnd.kubernetes.protobuf"}
    )
    assert b"one" in answer.body and b"two" not in answer.body


async def test_what_cannot_be_read_elsewhere_is_not_told(runner: asyncio.Runner) -> None:
    storage = MemoryStorage()
    async with Rig(namespaces=NAMESPACES, flags=ON, storage=storage) as rig:
        await cluster_role(rig, "read", READ)
        await bind(rig, "a")
        await make(rig, "a", "one")
        await storage.create("/registry/configmaps/b/broken", b"no object")
        assert places(await rig.ok("GET", ALL, user="jane")) == [("a", "one")]
        assert "broken" in await rig.fail(500, "GET", ALL)
        await bind(rig, "b")
        assert "broken" in await rig.fail(500, "GET", ALL, user="jane")


async def test_a_page_that_only_the_store_still_knows(rig: Rig) -> None:
    for namespace in NAMESPACES:
        await make(rig, namespace, "one", "two")
    await bind(rig, "a", "a-b", "c")
    first = await rig.ok("GET", f"{ALL}?limit=1", user="jane")
    token = first["metadata"]["continue"]
    await rig.ok("DELETE", "/api/v1/namespaces/c/configmaps/one")
    resource = rig.catalog.get("", "v1", "configmaps")
    assert resource is not None
    rig.store.cache(resource).forget_history(rig.storage.revision)
    second = await rig.ok("GET", f"{ALL}?continue={token}&limit=3", user="jane")
    token = second["metadata"]["continue"]
    third = await rig.ok("GET", f"{ALL}?continue={token}&limit=3", user="jane")
    assert places(first) + places(second) + places(third) == [
        (namespace, name) for namespace in ("a-b", "a", "c") for name in ("one", "two")
    ]
    assert "remainingItemCount" not in second["metadata"]


@pytest.mark.parametrize("known", [True, False], ids=["from the cache", "from the store"])
async def test_a_forged_token_shows_nothing_else(rig: Rig, known: bool) -> None:
    """It may begin anywhere, and at any revision: what follows is of the same namespaces."""
    for namespace in NAMESPACES:
        await make(rig, namespace, "one", "two")
    await bind(rig, "b")
    first = await rig.ok("GET", f"{ALL}?limit=1", user="jane")
    token = json.loads(base64.urlsafe_b64decode(first["metadata"]["continue"] + "=="))
    await rig.ok("DELETE", "/api/v1/namespaces/c/configmaps/one")
    if not known:
        resource = rig.catalog.get("", "v1", "configmaps")
        assert resource is not None
        rig.store.cache(resource).forget_history(rig.storage.revision)
    shown = set()
    for start in ("\0", "a/\0", "a-b/one\0", "a/\U0010ffff", "b", "b/one\0", "b0", "c/\0", "zz"):
        for revision in (token["rv"], token["rv"] - 1, -1):
            forged = json.dumps({**token, "start": start, "rv": revision}).encode()
            target = f"{ALL}?limit=3&continue={base64.urlsafe_b64encode(forged).decode().rstrip('=')}"
            answer = await rig.call("GET", target, user="jane")
            assert answer.status == 200, (start, revision)
            shown.update(places(answer.body))
    assert shown == {("b", "one"), ("b", "two")}


# Watches


async def test_a_watch_shows_the_namespaces_in_which_it_is_allowed(rig: Rig) -> None:
    await make(rig, "a", "old")
    await make(rig, "b", "hidden")
    await bind(rig, "a", "c")
    answer = await rig.call("GET", f"{ALL}?watch=1", user="jane")
    assert answer.warnings == [
        'this answer shows the 2 namespaces in which you may watch "configmaps": not in all of the cluster'
    ]
    stream = answer.stream
    assert stream is not None and stream.seen() == [("ADDED", "old")]
    for namespace in NAMESPACES:
        await make(rig, namespace, f"in-{namespace}", labels={"on": "yes"})
    assert stream.seen() == [("ADDED", "in-a"), ("ADDED", "in-c")]
    for query in (
        "labelSelector=on%3Dyes",
        "fieldSelector=metadata.name%3Din-c",
        "fieldSelector=metadata.namespace%3Dc",
    ):
        stream = await rig.watch(f"{ALL}?watch=1&{query}", user="jane")
        assert ("ADDED", "in-c") in stream.seen(), query
        await make(rig, "b", f"b{len(query)}", labels={"on": "yes"})
        await make(rig, "c", f"c{len(query)}", labels={"on": "yes"})
        assert stream.seen() == ([] if "name%3D" in query else [("ADDED", f"c{len(query)}")]), query


async def test_a_watch_goes_on_from_a_version(rig: Rig) -> None:
    await bind(rig, "a")
    before = rig.storage.revision
    await make(rig, "a", "one")
    await make(rig, "b", "two")
    stream = await rig.watch(f"{ALL}?watch=1&resourceVersion={before}", user="jane")
    assert stream.seen() == [("ADDED", "one")]


async def seen(stream: Stream, count: int, seconds: float = 10) -> list[tuple[str, str]]:
    """The next events, when so many have come."""
    found: list[tuple[str, str]] = []

    def enough() -> bool:
        found.extend(stream.seen())
        return len(found) >= count

    await aeventually(enough, f"{count} events", seconds)
    return found


async def ended(stream: Stream, code: int) -> None:
    await aeventually(lambda: stream.closed, "the end of the watch")
    events = stream.events()
    assert [(e["type"], e["object"].get("code")) for e in events] == [("ERROR", code)], events
    assert not stream.aborted


async def test_a_revoked_namespace_shows_nothing_from_that_change_on(rig: Rig) -> None:
    await bind(rig, "a", "b")
    stream = await rig.watch(f"{ALL}?watch=1&resourceVersion={rig.storage.revision}", user="jane")
    standing = rig.handlers.standing
    assert standing is not None
    await unbind(rig, "a")
    await make(rig, "a", "secret")
    await make(rig, "b", "seen")
    await ended(stream, 410)
    stream = await rig.watch(f"{ALL}?watch=1", user="jane")
    assert stream.seen() == [("ADDED", "seen")]
    await unbind(rig, "b")
    await ended(stream, 403)


async def test_a_granted_namespace_and_a_right_to_all_let_the_client_list_again(rig: Rig) -> None:
    await bind(rig, "a")
    for grant in (bind(rig, "c"), rig.ok("POST", f"{RBAC}/clusterrolebindings", binding("wide", "read"))):
        stream = await rig.watch(f"{ALL}?watch=1&resourceVersion={rig.storage.revision}", user="jane")
        await grant
        await ended(stream, 410)


async def test_a_watch_whose_namespaces_stay_the_same_loses_nothing(rig: Rig) -> None:
    await bind(rig, "a")
    stream = await rig.watch(f"{ALL}?watch=1&resourceVersion={rig.storage.revision}", user="jane")
    for i in range(3):
        await bind(rig, "c", role="read", subject="jim")
        await make(rig, "a", f"n{i}")
        await make(rig, "c", f"n{i}")
        await unbind(rig, "c")
    assert await seen(stream, 3) == [("ADDED", f"n{i}") for i in range(3)] and not stream.closed


async def test_rights_that_change_before_a_watch_begins(rig: Rig) -> None:
    await bind(rig, "a", "b")
    response = await rig.respond("GET", f"{ALL}?watch=1", user="jane")
    await unbind(rig, "a")
    stream = rig.answer(response).stream
    assert stream is not None
    await ended(stream, 410)


class Pauses:
    """An authorizer that has no opinion, and waits while the gate is closed."""

    def __init__(self) -> None:
        self.gate, self.asked = asyncio.Event(), 0
        self.gate.set()

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        self.asked += 1
        if not self.gate.is_set():
            await self.gate.wait()
        return NO_OPINION


async def test_rights_that_change_while_a_watch_is_judged(rig: Rig) -> None:
    """The watch is judged once more, and goes on; what happened meanwhile comes then."""
    await bind(rig, "a")
    pauses, union = Pauses(), rig.verbs.authorizer
    assert isinstance(union, UnionAuthorizer)
    union.replace([UnionMember(pauses), *union.members])
    stream = await rig.watch(f"{ALL}?watch=1&resourceVersion={rig.storage.revision}", user="jane")
    pauses.gate.clear()
    asked = pauses.asked
    await bind(rig, "c", subject="jim")
    await aeventually(lambda: pauses.asked > asked, "the judgement")
    await bind(rig, "b", subject="jim")
    await make(rig, "a", "one")
    assert not stream.seen()
    pauses.gate.set()
    assert await seen(stream, 1, 1.5) == [("ADDED", "one")] and not stream.closed


# Authorizers of other kinds


class Webhook:
    """Says of namespaces what the test says; knows none."""

    def __init__(self, **decisions: Decision) -> None:
        self.decisions = decisions
        self.asked: list[str] = []

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        self.asked.append(attributes.namespace)
        await asyncio.sleep(0)
        return self.decisions.get(attributes.namespace, NO_OPINION)


def listed(*authorizers: Any, **more: str) -> Permitted | None:
    asked = AuthorizationAttributes(
        User("jane"), "list", is_resource=True, group="", version="v1", resource="pods", name="one", **more
    )
    union = UnionAuthorizer([UnionMember(one) for one in authorizers])
    return asyncio.run(Finder(union, Catalog(built_in())).permitted(asked))


def found(permitted: Permitted | None) -> tuple[str, ...]:
    return permitted.namespaces.ordered if permitted is not None else ()


ABAC = ABACAuthorizer([ABACPolicy(user="jane", namespace=name, resource="pods") for name in ("c", "b", "a")])


def test_policies_of_a_file_name_namespaces() -> None:
    assert found(listed(ABAC)) == ("a", "b", "c")
    assert found(listed(ABAC, field_selector="metadata.namespace=b,metadata.name=x")) == ("b",)
    assert found(listed(ABAC, field_selector="metadata.namespace!=b")) == ("a", "b", "c")
    assert found(listed(ABAC, field_selector="metadata.namespace=(")) == ()


def test_a_webhook_refuses_namespaces_and_adds_none() -> None:
    webhook = Webhook(a=Decision(False, denied=True), d=ALLOW)
    assert found(listed(webhook, ABAC)) == ("b", "c") and webhook.asked == ["a", "b", "c"]
    assert listed(Webhook(a=ALLOW)) is None


def test_what_cannot_be_decided_is_not_left_out_in_silence() -> None:
    webhook = Webhook(b=Decision(False, denied=True, error="no answer"))
    with pytest.raises(errors.InternalError, match="no answer"):
        listed(webhook, ABAC)


async def test_others_have_their_turn_while_many_namespaces_are_asked_about(runner: asyncio.Runner) -> None:
    many = ABACAuthorizer([ABACPolicy(user="jane", namespace=f"n{i}", resource="pods") for i in range(300)])
    finder = Finder(UnionAuthorizer([UnionMember(many)]), Catalog(built_in()))
    asked = AuthorizationAttributes(User("jane"), "list", is_resource=True, version="v1", resource="pods")
    looking = asyncio.get_running_loop().create_task(finder.permitted(asked))
    await asyncio.sleep(0)
    assert not looking.done()
    first, second = await looking, await finder.permitted(asked)
    assert first is not None and second is not None and len(first.namespaces.names) == 300
    assert first.namespaces is second.namespaces, "kept once, however many watches there are"


# The same as namespace by namespace


RULES = st.builds(
    lambda verbs, resources, names: {
        "verbs": verbs,
        "apiGroups": [""],
        "resources": resources,
        **({"resourceNames": names} if names else {}),
    },
    st.lists(st.sampled_from(["list", "watch", "get", "*"]), min_size=1, max_size=2),
    st.lists(st.sampled_from(["configmaps", "secrets", "pods", "*"]), min_size=1, max_size=2),
    st.sampled_from([[], [], ["one"]]),
)
SUBJECTS = st.sampled_from(
    [
        {"kind": "User", "name": "jane"},
        {"kind": "Group", "name": "dev"},
        {"kind": "Group", "name": "system:authenticated"},
        {"kind": "User", "name": "jim"},
    ]
)


@given(
    roles=st.lists(RULES, min_size=1, max_size=3),
    bindings=st.lists(st.tuples(st.sampled_from(NAMESPACES), st.integers(0, 2), SUBJECTS), max_size=6),
    objects=st.lists(
        st.tuples(st.sampled_from(NAMESPACES), st.sampled_from(NAMES)), max_size=12, unique=True
    ),
    limit=st.integers(1, 5),
    query=st.sampled_from(
        [
            "",
            "&labelSelector=l%3Da",
            "&labelSelector=l!%3Da",
            "&fieldSelector=metadata.name!%3Db",
            "&fieldSelector=metadata.namespace%3Da",
        ]
    ),
)
@settings(deadline=None, max_examples=20 * SCALE)
def test_the_list_is_the_union_of_those_of_the_namespaces(
    roles: list[Any], bindings: list[Any], objects: Iterable[Any], limit: int, query: str
) -> None:
    async def run() -> None:
        async with Rig(namespaces=NAMESPACES, flags=ON) as rig:
            for i, rule in enumerate(roles):
                await cluster_role(rig, f"r{i}", rule)
            for i, (namespace, role, subject) in enumerate(bindings):
                path = f"{RBAC}/namespaces/{namespace}/rolebindings"
                await rig.ok("POST", path, binding(f"b{i}", f"r{role}", subject))
            for namespace, name in objects:
                await make(rig, namespace, name, labels={"l": name})
            wanted, allowed = [], False
            for namespace in sorted(NAMESPACES, key=lambda n: n + "/"):
                answer = await rig.call(
                    "GET", f"/api/v1/namespaces/{namespace}/configmaps?{query}", user="jane"
                )
                if answer.status == 200:
                    wanted += answer.body["items"]
                    allowed |= "namespace%3Da" not in query or namespace == "a"
            found, token = [], ""
            while True:
                more = f"&continue={token}" if token else ""
                answer = await rig.call("GET", f"{ALL}?limit={limit}{query}{more}", user="jane")
                if not allowed:
                    assert answer.status == 403
                    return
                assert answer.status == 200 and len(answer.body["items"]) <= limit
                found += answer.body["items"]
                token = answer.body["metadata"].get("continue", "")
                if not token:
                    break
            assert json.dumps(found) == json.dumps(wanted)
            whole = await rig.ok("GET", f"{ALL}?{query}", user="jane")
            assert json.dumps(whole["items"]) == json.dumps(wanted)

    asyncio.run(run())
