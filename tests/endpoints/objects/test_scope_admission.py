"""The changes that plugins may make and the objects they get: every verb, in the request's version."""

import asyncio
import copy
from dataclasses import replace
from typing import Any

import pytest
from harness import ADMIN, CONFIG_MAPS, PODS, Rig, config_map, plug, pod
from rsa_pem import rsa_pem

from pilothouse import errors
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.authn import keys
from pilothouse.authn.serviceaccount import TokenIssuer
from pilothouse.registry.strategy import WriteContext
from pilothouse.registry.write import Write
from pilothouse.storage import interface
from pilothouse.storage.memory import MemoryStorage

MERGE = {"Content-Type": "application/merge-patch+json"}
APPLY = {"Content-Type": "application/apply-patch+yaml"}
AUTOSCALERS = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"
SPEC = {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}}
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Replace(AdmissionPlugin):
    """Gives another object in place of the one that is written; `how` says by which of the ways."""

    def __init__(self, edit: Any, how: str = "return", subresource: str = "") -> None:
        self.edit = edit
        self.how = how
        self.subresource = subresource

    def wants(self, a: Any) -> Any:
        return a.subresource == self.subresource and a.operation in ("CREATE", "UPDATE")

    def mutate(self, a: Any) -> Any:
        if self.how == "wait":
            return self._later(a)
        other = self._other(a)
        if self.how == "assign":
            a.obj = other
            return None
        return other

    async def _later(self, a: Any) -> Any:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        return self._other(a)

    def _other(self, a: Any) -> Any:
        other = copy.deepcopy(a.obj)
        a.obj.clear()  # nobody may go on with the one that was replaced
        self.edit(other)
        return other


class Watcher(AdmissionPlugin):
    """Keeps copies of what both halves see."""

    def __init__(self, subresource: str = "") -> None:
        self.subresource = subresource
        self.seen: list[Any] = []

    def wants(self, a: Any) -> bool:
        return a.subresource == self.subresource

    def mutate(self, a: Any) -> None:
        self._note("mutate", a)

    def validate(self, a: Any) -> None:
        self._note("validate", a)

    def _note(self, half: Any, a: Any) -> None:
        self.seen.append((half, a.operation, a.kind, copy.deepcopy(a.obj), copy.deepcopy(a.old), a.options))


class Reserve(AdmissionPlugin):
    """Reserves one of something in each half."""

    def __init__(self) -> None:
        self.taken = 0
        self.undone = 0

    def wants(self, a: Any) -> Any:
        return a.resource.plural in ("configmaps", "pods") and a.user.name == "admin"

    def mutate(self, a: Any) -> None:
        self._take(a)

    def validate(self, a: Any) -> None:
        self._take(a)

    def _take(self, a: Any) -> None:
        self.taken += 1
        a.undo.append(self._undo)

    async def _undo(self) -> None:
        self.undone += 1

    @property
    def kept(self) -> Any:
        return self.taken - self.undone


def label(obj: Any) -> None:
    obj["metadata"].setdefault("labels", {})["by"] = "plugin"


async def deploy(rig: Rig) -> None:
    labels = {"app": "d"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    await rig.ok("POST", DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": spec})


# A plugin that gives another object


@pytest.mark.parametrize("how", ["return", "assign", "wait"])
@pytest.mark.parametrize("verb", ["create", "update", "patch", "apply", "put that creates"])
async def test_what_a_plugin_gives_is_stored(rig: Rig, verb: str, how: str) -> None:
    if verb in ("update", "patch"):
        await rig.config_map("a")
    plug(rig.chain, Replace(label, how))
    target = CONFIG_MAPS + "/a"
    if verb == "create":
        await rig.config_map("a", data={"k": "v"})
    elif verb == "update":
        await rig.ok("PUT", target, config_map("a", data={"k": "v"}))
    elif verb == "patch":
        await rig.ok("PATCH", target, {"data": {"k": "v"}}, headers=MERGE)
    elif verb == "apply":
        body = config_map("a", data={"k": "v"})
        await rig.ok("PATCH", target + "?fieldManager=m", body, headers=APPLY)
    else:
        target = "/api/v1/namespaces/default/endpoints/a"
        await rig.ok("PUT", target, {"metadata": {"name": "a"}})
    stored = await rig.ok("GET", target)
    assert stored["metadata"]["labels"] == {"by": "plugin"}
    assert verb == "put that creates" or stored["data"] == {"k": "v"}


@pytest.mark.parametrize("verb", ["PUT", "PATCH", "apply"])
async def test_a_scale_that_a_plugin_gives(rig: Rig, verb: str) -> None:
    await deploy(rig)
    plug(rig.chain, Replace(lambda scale: scale["spec"].update(replicas=9), subresource="scale"))
    scale = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "d"},
        "spec": {"replicas": 3},
    }
    if verb == "PUT":
        answer = await rig.ok("PUT", DEPLOYMENTS + "/d/scale", scale)
    elif verb == "PATCH":
        answer = await rig.ok("PATCH", DEPLOYMENTS + "/d/scale", {"spec": {"replicas": 3}}, headers=MERGE)
    else:
        answer = await rig.ok(
            "PATCH", DEPLOYMENTS + "/d/scale?fieldManager=m&force=true", scale, headers=APPLY
        )
    assert answer["spec"] == {"replicas": 9}
    assert (await rig.ok("GET", DEPLOYMENTS + "/d"))["spec"]["replicas"] == 9


async def test_a_status_that_a_plugin_gives(rig: Rig) -> None:
    made = await rig.ok("POST", PODS, pod("a"))
    plug(rig.chain, Replace(lambda obj: obj["status"].update(message="plugin"), subresource="status"))
    await rig.ok("PUT", PODS + "/a/status", made)
    assert (await rig.ok("GET", PODS + "/a"))["status"]["message"] == "plugin"


async def test_a_binding_that_a_plugin_gives(rig: Rig) -> None:
    await rig.ok("POST", PODS, pod("a"))
    plug(rig.chain, Replace(lambda obj: obj["target"].update(name="other"), subresource="binding"))
    binding = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n"}}
    await rig.ok("POST", PODS + "/a/binding", binding)
    assert (await rig.ok("GET", PODS + "/a"))["spec"]["nodeName"] == "other"


async def test_an_eviction_that_a_plugin_gives(rig: Rig) -> None:
    await rig.ok("POST", PODS, pod("a"))
    refused = {"uid": "another"}
    plug(
        rig.chain,
        Replace(lambda obj: obj.update(deleteOptions={"preconditions": refused}), subresource="eviction"),
    )
    await rig.fail(409, "POST", PODS + "/a/eviction", {"metadata": {"name": "a"}})
    assert (await rig.call("GET", PODS + "/a")).status == 200


async def test_a_token_request_that_a_plugin_gives(rig: Rig) -> None:
    key = keys.signing_with(keys.load_private(rsa_pem()))
    rig.verbs.issuer = TokenIssuer("https://me", key, rig.readers, ("api",), 86400)
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    await rig.ok("POST", accounts, {"metadata": {"name": "a"}})
    plug(rig.chain, Replace(lambda obj: obj["spec"].update(audiences=["other"]), subresource="token"))
    answer = await rig.ok("POST", accounts + "/a/token", {"spec": {"audiences": ["api"]}})
    assert answer["spec"]["audiences"] == ["other"]


async def test_a_review_that_a_plugin_gives(rig: Rig) -> None:
    plug(rig.chain, Replace(lambda obj: obj["spec"]["resourceAttributes"].update(verb="list")))
    spec = {"resourceAttributes": {"verb": "get", "resource": "pods"}}
    answer = await rig.ok("POST", REVIEWS, {"spec": spec})
    assert answer["spec"]["resourceAttributes"]["verb"] == "list"


async def test_a_refusal_after_a_wait(rig: Rig) -> None:
    class Refuse(AdmissionPlugin):
        async def validate(self, a: Any) -> None:
            async with asyncio.timeout(5):
                await asyncio.sleep(0)
            raise a.refuse("no")

    plug(rig.chain, Refuse())
    assert await rig.fail(403, "POST", CONFIG_MAPS, config_map("a")) == 'configmaps "a" is forbidden: no'


# In which version plugins see an object


@pytest.mark.parametrize("api", ["v1", "v2"])
async def test_an_autoscaler_is_seen_in_the_version_of_the_request(rig: Rig, api: str) -> None:
    watcher = plug(rig.chain, Watcher())
    spec = {**SPEC, "targetCPUUtilizationPercentage": 70} if api == "v1" else SPEC
    path = AUTOSCALERS.format(api)
    made = await rig.ok("POST", path, {"metadata": {"name": "a"}, "spec": spec})
    made["spec"]["maxReplicas"] = 4
    await rig.ok("PUT", f"{path}/a", made)
    await rig.ok("PATCH", f"{path}/a", {"spec": {"maxReplicas": 5}}, headers=MERGE)
    await rig.ok("DELETE", f"{path}/a")
    assert [(half, operation) for half, operation, *_ in watcher.seen] == [
        (half, operation)
        for operation in ("CREATE", "UPDATE", "UPDATE", "DELETE")
        for half in ("mutate", "validate")
    ]
    for half, operation, kind, obj, old, _ in watcher.seen:
        assert kind == ("autoscaling", api, "HorizontalPodAutoscaler")
        assert (obj is None) == (operation == "DELETE") and (old is None) == (operation == "CREATE")
        for one in filter(None, (obj, old)):
            assert one["apiVersion"] == f"autoscaling/{api}", (half, operation)
            assert ("targetCPUUtilizationPercentage" in one["spec"]) == (api == "v1")


async def test_what_a_plugin_gives_in_the_version_of_the_request_is_converted(rig: Rig) -> None:
    def edit(obj: Any) -> None:
        obj["spec"]["targetCPUUtilizationPercentage"] = 55

    plug(rig.chain, Replace(edit))
    await rig.ok("POST", AUTOSCALERS.format("v1"), {"metadata": {"name": "a"}, "spec": SPEC})
    (metric,) = (await rig.ok("GET", AUTOSCALERS.format("v2") + "/a"))["spec"]["metrics"]
    assert metric["resource"]["target"]["averageUtilization"] == 55


async def test_an_event_is_seen_as_it_was_sent(rig: Rig) -> None:
    watcher = plug(rig.chain, Watcher())
    event = {
        "metadata": {"name": "e"},
        "eventTime": "2026-01-02T03:04:05.000000Z",
        "reportingController": "c",
        "reportingInstance": "i",
        "action": "a",
        "reason": "r",
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
        "note": "hello",
        "type": "Normal",
    }
    await rig.ok("POST", EVENTS, event)
    await rig.ok("PATCH", EVENTS + "/e", {"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    assert len(watcher.seen) == 4
    for _, operation, kind, obj, old, _ in watcher.seen:
        assert kind == ("events.k8s.io", "v1", "Event")
        for one in (obj, old) if operation == "UPDATE" else (obj,):
            assert one["note"] == "hello" and "message" not in one and "involvedObject" not in one


async def test_both_halves_see_a_scale(rig: Rig) -> None:
    await deploy(rig)
    watcher = plug(rig.chain, Watcher("scale"))
    await rig.ok("PATCH", DEPLOYMENTS + "/d/scale", {"spec": {"replicas": 3}}, headers=MERGE)
    assert [half for half, *_ in watcher.seen] == ["mutate", "validate"]
    for _, operation, kind, obj, old, _ in watcher.seen:
        assert (operation, kind) == ("UPDATE", ("autoscaling", "v1", "Scale"))
        assert (obj["spec"], old["spec"]) == ({"replicas": 3}, {"replicas": 2})


async def test_nothing_is_converted_for_plugins_that_do_not_want_it(rig: Rig) -> None:
    converted = []
    resource = rig.catalog.get("autoscaling", "v1", "horizontalpodautoscalers")
    before = resource.conversion.present

    class Blind(AdmissionPlugin):
        def wants(self, a: Any) -> bool:
            return False

        def validate(self, a: Any) -> None:
            raise AssertionError("not asked")

    def noted(obj: Any) -> Any:
        converted.append(obj)
        return before(obj)

    plug(rig.chain, Blind())
    resource = replace(resource, conversion=replace(resource.conversion, present=noted))
    ctx = WriteContext(ADMIN, "create", resource, "default", "a", readers=rig.readers)
    write = Write(rig.store, resource, ctx, rig.chain)
    await write.validate({"metadata": {"name": "a"}}, None)
    assert not converted
    watcher = plug(rig.chain, Watcher())
    await write.validate(
        {"apiVersion": "autoscaling/v2", "metadata": {"name": "a"}, "spec": SPEC, "status": {}}, None
    )
    assert len(converted) == 1 and watcher.seen[0][3]["apiVersion"] == "autoscaling/v1"


async def test_the_options_of_a_request(rig: Rig) -> None:
    watcher = plug(rig.chain, Watcher())
    await rig.ok("POST", CONFIG_MAPS + "?fieldManager=m", config_map("a"))
    await rig.ok("PUT", CONFIG_MAPS + "/a", config_map("a", data={"k": "v"}))
    await rig.ok("PATCH", CONFIG_MAPS + "/b?fieldManager=m", config_map("b"), headers=APPLY)
    await rig.ok("DELETE", CONFIG_MAPS + "/a?dryRun=All&gracePeriodSeconds=0")
    kinds = [options["kind"] for *_, options in watcher.seen[::2]]
    assert kinds == ["CreateOptions", "UpdateOptions", "CreateOptions", "DeleteOptions"]
    assert watcher.seen[0][-1]["fieldManager"] == "m"
    assert watcher.seen[-1][-1]["dryRun"] == ["All"] and watcher.seen[-1][-1]["gracePeriodSeconds"] == 0


async def test_a_collection_is_judged_one_by_one(rig: Rig) -> None:
    for name in "ab":
        await rig.config_map(name)
    watcher = plug(rig.chain, Watcher())
    await rig.ok("DELETE", CONFIG_MAPS)
    judged = [(half, old["metadata"]["name"]) for half, _, _, _, old, _ in watcher.seen]
    assert sorted(judged) == [("mutate", "a"), ("mutate", "b"), ("validate", "a"), ("validate", "b")]


# What plugins reserve


async def test_what_was_reserved_is_kept_with_the_object(rig: Rig) -> None:
    plugin = plug(rig.chain, Reserve())
    for call in (
        ("POST", CONFIG_MAPS, config_map("a")),
        ("PUT", CONFIG_MAPS + "/a", config_map("a", data={"k": "v"})),
        ("DELETE", CONFIG_MAPS + "/a"),
        ("POST", PODS, pod("p")),
        ("POST", PODS + "/p/binding", {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}),
        ("POST", PODS + "/p/eviction", {"metadata": {"name": "p"}}),
    ):
        before = plugin.kept
        await rig.ok(*call)
        assert plugin.kept == before + 2 and not plugin.undone, call


@pytest.mark.parametrize(
    ("status", "call"),
    [
        (201, ("POST", CONFIG_MAPS + "?dryRun=All", config_map("b"))),
        (200, ("PUT", CONFIG_MAPS + "/a?dryRun=All", config_map("a", data={"k": "v"}))),
        (200, ("DELETE", CONFIG_MAPS + "/a?dryRun=All")),
        (200, ("PUT", CONFIG_MAPS + "/a", config_map("a"))),
        (409, ("POST", CONFIG_MAPS, config_map("a"))),
        (422, ("POST", CONFIG_MAPS, config_map("b", labels={"-": "x"}))),
        (409, ("PUT", CONFIG_MAPS + "/a", config_map("a", resourceVersion="1"))),
        (409, ("DELETE", CONFIG_MAPS + "/a", {"preconditions": {"uid": "other"}})),
        (
            409,
            (
                "POST",
                PODS + "/p/eviction",
                {"metadata": {"name": "p"}, "deleteOptions": {"preconditions": {"uid": "x"}}},
            ),
        ),
        (201, ("POST", PODS + "/p/eviction?dryRun=All", {"metadata": {"name": "p"}})),
        (
            404,
            (
                "POST",
                PODS + "/q/binding",
                {"metadata": {"name": "q"}, "target": {"kind": "Node", "name": "n"}},
            ),
        ),
    ],
    ids=lambda value: f"{value[0]} {value[1].rpartition('/')[2]}" if isinstance(value, tuple) else str(value),
)
async def test_what_was_reserved_for_nothing_is_given_back(
    rig: Rig, status: int, call: tuple[Any, ...]
) -> None:
    await rig.config_map("a")
    await rig.ok("POST", PODS, pod("p"))
    plugin = plug(rig.chain, Reserve())
    assert (await rig.call(*call)).status == status
    assert plugin.kept == 0
    assert plugin.taken or call[0] == "DELETE" or status == 409


async def test_a_later_refusal_gives_back_what_was_reserved(rig: Rig) -> None:
    class Refuse(AdmissionPlugin):
        def mutate(self, a: Any) -> None:
            raise a.refuse("no")

    plugin = plug(rig.chain, Reserve())
    plug(rig.chain, Refuse())
    await rig.fail(403, "POST", CONFIG_MAPS, config_map("a"))
    assert (plugin.taken, plugin.undone) == (1, 1)


class Racing(MemoryStorage):
    """A store in which other writers come before each of the next writes of a config map."""

    races = 0
    stuck: asyncio.Event | None = None

    async def update(self, key: str, value: Any, expect: Any, ttl: int = 0, author: bytes = b"") -> Any:
        if self.races and "configmaps" in key:
            self.races -= 1
            current = await self.get(key)
            await super().update(key, current.value, current.mod)
        return await super().update(key, value, expect, ttl, author)

    async def create(self, key: str, value: Any, ttl: int = 0, author: bytes = b"") -> Any:
        if self.races and "configmaps" in key:
            self.races -= 1
            await super().create(key, value, ttl, author)
        kv = await super().create(key, value, ttl, author)
        if self.stuck is not None:
            self.stuck.set()
            await asyncio.Event().wait()
        return kv

    async def delete(self, key: str, expect: Any, last: Any = None, author: bytes = b"") -> Any:
        if self.races and "configmaps" in key:
            self.races -= 1
            current = await self.get(key)
            await super().update(key, current.value, current.mod)
        return await super().delete(key, expect, last, author)


@pytest.mark.parametrize(
    ("races", "call", "undone"),
    [
        (3, ("PUT", CONFIG_MAPS + "/a", config_map("a", data={"k": "v"})), 6),
        (3, ("DELETE", CONFIG_MAPS + "/a"), 6),
        (2, ("POST", CONFIG_MAPS, {"metadata": {"generateName": "g-"}}), 2),
    ],
    ids=["update", "delete", "generated name"],
)
def test_each_attempt_gives_back_its_own(races: int, call: tuple[Any, ...], undone: int) -> None:
    """Names are generated after the object was mutated, once:
    only what validation has reserved is given back."""

    async def main() -> None:
        storage = Racing()
        async with Rig(storage=storage) as rig:
            await rig.config_map("a")
            plugin = plug(rig.chain, Reserve())
            storage.races = races
            await rig.ok(*call)
            assert (plugin.undone, plugin.kept) == (undone, 2)

    asyncio.run(main())


def test_nobody_knows_what_became_of_a_write_that_was_cut_off() -> None:
    """The store may have carried it out, so what was reserved for it stays."""

    async def main() -> None:
        storage = Racing()
        async with Rig(storage=storage) as rig:
            plugin = plug(rig.chain, Reserve())
            storage.stuck = asyncio.Event()
            task = asyncio.ensure_future(rig.call("POST", CONFIG_MAPS, config_map("a")))
            await storage.stuck.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            storage.stuck = None
            assert (plugin.undone, plugin.kept) == (0, 2)
            assert (await rig.call("GET", CONFIG_MAPS + "/a")).status == 200

    asyncio.run(main())


def test_a_store_that_cannot_be_reached_may_have_written() -> None:
    class Lost(MemoryStorage):
        async def create(self, key: str, value: Any, ttl: int = 0, author: bytes = b"") -> Any:
            kv = await super().create(key, value, ttl, author)
            if "configmaps" in key:
                raise interface.Unavailable("connection lost")
            return kv

    async def main() -> None:
        async with Rig(storage=Lost()) as rig:
            plugin = plug(rig.chain, Reserve())
            await rig.fail(500, "POST", CONFIG_MAPS, config_map("a"))
            assert (plugin.undone, plugin.kept) == (0, 2)

    asyncio.run(main())


async def test_a_plugin_that_ends_with_an_error_of_its_own(rig: Rig) -> None:
    class Broken(AdmissionPlugin):
        async def validate(self, a: Any) -> None:
            raise errors.InternalError("broken")

    plugin = plug(rig.chain, Reserve())
    plug(rig.chain, Broken())
    await rig.fail(500, "POST", CONFIG_MAPS, config_map("a"))
    assert (plugin.taken, plugin.kept) == (2, 0)
