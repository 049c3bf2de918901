"""Grace period, finalizers and propagation; a state machine compared with a small model."""

import asyncio
import copy
import ctypes
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from example_scale import SCALE
from harness import ADMIN, CONFIG_MAPS, PODS, Rig, pod
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse import errors
from pilothouse.admission.chain import AdmissionPlugin, Chain
from pilothouse.api.protobuf import writer as protobuf
from pilothouse.api.values import times
from pilothouse.registry import deletion
from pilothouse.registry.strategy import WriteContext
from pilothouse.registry.write import Write

NOW = "2026-01-02T03:04:05Z"
POD, CONFIG_MAP, REPLICA_SETS = ("", "v1", "pods"), ("", "v1", "configmaps"), ("apps", "v1", "replicasets")
F = "example.com/f"


def later(seconds: Any, start: Any = NOW) -> Any:
    moment = datetime.fromisoformat(start) + timedelta(seconds=seconds)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def delete(
    rig: Rig, name: str = "a", resource: Any = POD, now: Any = NOW, dry_run: bool = False, **options: Any
) -> Any:
    record = rig.catalog.get(*resource)
    ctx = context(rig, record, name, now, dry_run)
    return await deletion.delete(Write(rig.store, record, ctx), options)


def context(rig: Rig, record: Any, name: str, now: str = NOW, dry_run: bool = False) -> WriteContext:
    return WriteContext(
        user=ADMIN,
        verb="delete",
        resource=record,
        namespace="default",
        name=name,
        now=now,
        dry_run=dry_run,
        readers=rig.readers,
        services=rig.services,
    )


async def live(rig: Rig, name: str = "a", path: str = PODS) -> Any:
    """The metadata of an object, None when it is gone."""
    answer = await rig.call("GET", f"{path}/{name}")
    return answer.body["metadata"] if answer.status == 200 else None


async def bound(rig: Rig, name: str = "a", **members: Any) -> Any:
    """A pod on a node: it ends gracefully."""
    return await rig.ok("POST", PODS, pod(name, spec={"nodeName": "n"}, **members))


async def test_a_pod_gets_its_grace(rig: Rig) -> None:
    await bound(rig)
    done = await delete(rig)
    assert not done.gone
    metadata = await live(rig)
    assert (metadata["deletionTimestamp"], metadata["deletionGracePeriodSeconds"]) == (later(30), 30)


async def test_a_pod_without_a_node_goes_at_once(rig: Rig) -> None:
    await rig.ok("POST", PODS, pod("a"))
    assert (await delete(rig)).gone and await live(rig) is None


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_pod_that_has_ended_goes_at_once(rig: Rig, phase: str) -> None:
    made = await bound(rig)
    made["status"]["phase"] = phase
    await rig.ok("PUT", PODS + "/a/status", made)
    assert (await delete(rig)).gone and await live(rig) is None


@pytest.mark.parametrize(("asked", "seconds"), [(5, 5), (0, None), (-1, 1)])
async def test_the_grace_that_is_asked_for(rig: Rig, asked: int, seconds: int | None) -> None:
    await bound(rig)
    await delete(rig, gracePeriodSeconds=asked)
    metadata = await live(rig)
    assert (metadata and metadata["deletionGracePeriodSeconds"]) == seconds


async def test_a_pod_s_own_grace(rig: Rig) -> None:
    await rig.ok("POST", PODS, pod("a", spec={"nodeName": "n", "terminationGracePeriodSeconds": 7}))
    await delete(rig)
    assert (await live(rig))["deletionGracePeriodSeconds"] == 7


async def test_a_second_delete_changes_nothing(rig: Rig) -> None:
    await bound(rig)
    await delete(rig)
    before = rig.storage.revision
    assert not (await delete(rig, now=later(5))).gone
    assert not (await delete(rig, now=later(5), gracePeriodSeconds=60)).gone
    assert rig.storage.revision == before


async def test_grace_may_be_shortened(rig: Rig) -> None:
    await bound(rig)
    await delete(rig)
    await delete(rig, now=later(5), gracePeriodSeconds=10)
    metadata = await live(rig)
    assert (metadata["deletionTimestamp"], metadata["deletionGracePeriodSeconds"]) == (later(10), 10)
    await delete(rig, now=later(9), gracePeriodSeconds=3)
    metadata = await live(rig)
    assert (metadata["deletionTimestamp"], metadata["deletionGracePeriodSeconds"]) == (later(9), 1), (
        "not in the past"
    )
    await delete(rig, now=later(10), gracePeriodSeconds=0)
    assert await live(rig) is None


async def test_finalizers_outlast_grace(rig: Rig) -> None:
    await bound(rig, finalizers=[F])
    await delete(rig)
    await delete(rig, gracePeriodSeconds=0)
    metadata = await live(rig)
    assert metadata["deletionGracePeriodSeconds"] == 0 and metadata["finalizers"] == [F]
    before = rig.storage.revision
    await delete(rig)
    assert rig.storage.revision == before
    await rig.ok(
        "PATCH",
        PODS + "/a",
        {"metadata": {"finalizers": None}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert await live(rig) is None


async def test_a_finalizer_taken_off_while_grace_runs_does_not_end_it(rig: Rig) -> None:
    await bound(rig, finalizers=[F])
    await delete(rig)
    headers = {"Content-Type": "application/merge-patch+json"}
    await rig.ok("PATCH", PODS + "/a", {"metadata": {"finalizers": None}}, headers=headers)
    assert (await live(rig))["deletionGracePeriodSeconds"] == 30
    await delete(rig, gracePeriodSeconds=0)
    assert await live(rig) is None


async def test_a_generation_counts_the_mark(rig: Rig) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    path = "/apis/apps/v1/namespaces/default/replicasets"
    made = await rig.ok("POST", path, {"metadata": {"name": "a", "finalizers": [F]}, "spec": spec})
    assert made["metadata"]["generation"] == 1
    await delete(rig, resource=REPLICA_SETS)
    metadata = await live(rig, path=path)
    assert metadata["generation"] == 2 and metadata["deletionGracePeriodSeconds"] == 0
    await delete(rig, resource=REPLICA_SETS)
    assert (await live(rig, path=path))["generation"] == 2


@pytest.mark.parametrize(
    ("have", "options", "left"),
    [
        ([], {}, None),
        ([], {"propagationPolicy": "Background"}, None),
        ([], {"propagationPolicy": "Orphan"}, ["orphan"]),
        ([], {"propagationPolicy": "Foreground"}, ["foregroundDeletion"]),
        ([], {"orphanDependents": True}, ["orphan"]),
        ([], {"orphanDependents": False}, None),
        ([F], {}, [F]),
        ([F], {"propagationPolicy": "Orphan"}, [F, "orphan"]),
        (["orphan"], {}, ["orphan"]),
        (["foregroundDeletion"], {}, ["foregroundDeletion"]),
        (["orphan"], {"propagationPolicy": "Background"}, None),
        (["orphan"], {"propagationPolicy": "Foreground"}, ["foregroundDeletion"]),
        (["foregroundDeletion", F], {"propagationPolicy": "Background"}, [F]),
        (["foregroundDeletion"], {"orphanDependents": True}, ["orphan"]),
    ],
)
async def test_propagation(
    rig: Rig, have: list[Any], options: dict[str, Any], left: list[Any] | None
) -> None:
    await rig.config_map("a", finalizers=have)
    done = await delete(rig, resource=CONFIG_MAP, **options)
    metadata = await live(rig, path=CONFIG_MAPS)
    assert (metadata and metadata["finalizers"]) == left
    assert done.gone == (left is None)


async def test_the_policy_may_change_while_it_waits(rig: Rig) -> None:
    await rig.config_map("a", finalizers=[F])
    for policy, left in (
        ("Foreground", [F, "foregroundDeletion"]),
        ("Orphan", [F, "orphan"]),
        ("Background", [F]),
    ):
        await delete(rig, resource=CONFIG_MAP, propagationPolicy=policy)
        metadata = await live(rig, path=CONFIG_MAPS)
        assert metadata["finalizers"] == left and metadata["deletionTimestamp"] == NOW


async def test_a_dry_run_leaves_everything(rig: Rig) -> None:
    await bound(rig)
    await rig.config_map("a")
    before = rig.storage.revision
    done = await delete(rig, dry_run=True)
    assert b'"deletionGracePeriodSeconds":30' in done.value
    assert (await delete(rig, resource=CONFIG_MAP, dry_run=True)).gone
    assert rig.storage.revision == before


async def test_a_namespace_waits_for_its_finalizers(rig: Rig) -> None:
    await rig.namespace("n")
    done = await delete(rig, "n", resource=("", "v1", "namespaces"))
    assert not done.gone
    namespace = await rig.ok("GET", "/api/v1/namespaces/n")
    assert namespace["status"]["phase"] == "Terminating" and namespace["metadata"]["deletionTimestamp"] == NOW
    namespace["spec"] = {"finalizers": []}
    await rig.ok("PUT", "/api/v1/namespaces/n/finalize", namespace)
    assert (await rig.call("GET", "/api/v1/namespaces/n")).status == 404


def deletes(rig: Rig, *names: Any, admission: Any = None) -> list[Any]:
    resource = rig.catalog.get(*CONFIG_MAP)
    contexts = (
        WriteContext(user=ADMIN, verb="delete", resource=resource, namespace="default", name=name, now=NOW)
        for name in names
    )
    return [Write(rig.store, resource, ctx, admission) for ctx in contexts]


async def test_what_is_gone_in_a_collection_does_not_matter(rig: Rig) -> None:
    for name in "ab":
        await rig.config_map(name)
    await deletion.delete_collection(deletes(rig, "a", "gone", "b"), {})
    assert (await rig.ok("GET", CONFIG_MAPS))["items"] == []


class Refuse(AdmissionPlugin):
    def validate(self, a: Any) -> None:
        if a.name == "b":
            raise errors.Forbidden(a.old["metadata"]["name"])


async def test_the_first_error_of_a_collection_counts_and_the_others_go(rig: Rig) -> None:
    for name in "abc":
        await rig.config_map(name)
    with pytest.raises(errors.Forbidden, match="b"):
        await deletion.delete_collection(deletes(rig, "a", "b", "c", admission=Chain([Refuse()])), {})
    assert [i["metadata"]["name"] for i in (await rig.ok("GET", CONFIG_MAPS))["items"]] == ["b"]


class Model:
    """The fate of one pod with a node, by the rules in the documentation of Kubernetes."""

    def __init__(self) -> None:
        self.there = True
        self.finalizers: list[str] = []
        self.until: Any = None
        self.grace: int | None = None

    def deleting(self) -> bool:
        return self.until is not None

    def drop_if_free(self) -> None:
        if self.deleting() and not self.finalizers and self.grace == 0:
            self.there = False

    def delete(self, asked: Any, now: Any) -> None:
        if not self.there:
            return
        if not self.deleting():
            self.grace = 30 if asked is None else asked
            self.until = now + self.grace
        elif self.grace and asked is not None and asked < self.grace:
            until = self.until - self.grace + asked
            if until < now:
                until, asked = now, min(asked, 1)
            self.until, self.grace = until, asked
        self.drop_if_free()

    def set_finalizers(self, finalizers: Any) -> None:
        if self.there and not (self.deleting() and set(finalizers) - set(self.finalizers)):
            self.finalizers = finalizers
            self.drop_if_free()


ACTIONS = st.one_of(
    st.tuples(st.just("delete"), st.sampled_from([None, 0, 1, 5, 30, 60])),
    st.tuples(st.just("finalizers"), st.sampled_from([(), (F,), (F, "example.com/g")])),
    st.tuples(st.just("wait"), st.integers(1, 20)),
)


@settings(max_examples=30 * SCALE)
@given(st.lists(ACTIONS, max_size=8))
def test_a_pod_s_end_against_a_model(actions: Any) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await bound(rig)
            model, now = Model(), 0
            for action, value in actions:
                if action == "wait":
                    now += value
                elif action == "delete":
                    model.delete(value, now)
                    options = {} if value is None else {"gracePeriodSeconds": value}
                    try:
                        await delete(rig, now=later(now), **options)
                    except errors.NotFound:
                        assert not model.there
                else:
                    model.set_finalizers(list(value))
                    patch = {"metadata": {"finalizers": list(value) or None}}
                    headers = {"Content-Type": "application/merge-patch+json"}
                    await rig.call("PATCH", PODS + "/a", patch, headers=headers)
                metadata = await live(rig)
                assert (metadata is not None) == model.there
                if metadata is not None:
                    assert metadata.get("finalizers", []) == model.finalizers
                    assert metadata.get("deletionGracePeriodSeconds") == model.grace
                    expected = None if model.until is None else later(model.until)
                    assert metadata.get("deletionTimestamp") == expected

    asyncio.run(main())


async def test_what_another_server_stored_is_deleted(rig: Rig) -> None:
    """kube-apiserver stores protobuf, and JSON that ends with a newline;
    the answer is JSON in either case."""
    path = "/apis/apps/v1/namespaces/default/controllerrevisions"
    made = {"metadata": {"name": "a", "namespace": "default", "uid": "u"}, "revision": 7, "data": {"b": [1]}}
    obj = {"kind": "ControllerRevision", "apiVersion": "apps/v1", **made}
    for value in (protobuf.write(made, "apps/v1", "ControllerRevision"), orjson.dumps(obj) + b"\n"):
        await rig.store.storage.create("/registry/controllerrevisions/default/a", value)
        read = await rig.ok("GET", f"{path}/a")
        assert (read["data"], read["revision"]) == ({"b": [1]}, 7)
        gone = await rig.ok("DELETE", f"{path}/a")
        assert gone["kind"] == "Status" or gone["data"] == {"b": [1]}
        assert (await rig.call("GET", f"{path}/a")).status == 404
    await rig.store.storage.create(
        "/registry/pods/default/a",
        protobuf.write({"metadata": {"name": "a", "namespace": "default", "uid": "u"}}, "v1", "Pod"),
    )
    last = await rig.ok("DELETE", f"{PODS}/a")
    assert (last["kind"], last["metadata"]["uid"]) == ("Pod", "u")
    assert int(last["metadata"]["resourceVersion"]) == rig.store.storage.revision


LONGEST = (1 << 63) - 1


async def kept(rig: Rig) -> Any:
    """The metadata of the pod as the store has it;
    what is served of a time of an earlier version differs from that."""
    kv = await rig.storage.get("/registry/pods/default/a")
    return orjson.loads(kv.value)["metadata"]


@pytest.mark.parametrize("grace", [LONGEST, LONGEST - 1, 253402300800, 1 << 62, 10**10])
async def test_a_long_grace_wraps_as_go_wraps_it(rig: Rig, grace: int) -> None:
    """The stored object can be read in every form, also after the period was made shorter;
    and the pod can be deleted."""
    await bound(rig)
    await delete(rig, gracePeriodSeconds=grace)
    metadata = await kept(rig)
    wrapped = ctypes.c_int64(grace * 10**9).value // 10**9
    assert metadata["deletionTimestamp"] == later(wrapped)
    assert metadata["deletionGracePeriodSeconds"] == grace
    how = {"accept": "application/vnd.kubernetes.protobuf"}
    assert (await rig.call("GET", PODS, headers=how)).status == 200
    await delete(rig, gracePeriodSeconds=60)
    metadata = await live(rig)
    # The part of a second that a wrapped period has is lost when the time is stored.
    assert metadata["deletionTimestamp"] in (later(60), later(59))
    assert metadata["deletionGracePeriodSeconds"] == 60
    assert (await delete(rig, gracePeriodSeconds=0)).gone


async def test_the_grace_of_a_pod_wraps(rig: Rig) -> None:
    await rig.ok("POST", PODS, pod("a", spec={"nodeName": "n", "terminationGracePeriodSeconds": LONGEST}))
    await delete(rig)
    assert (await kept(rig))["deletionTimestamp"] == later(-1)


@pytest.mark.parametrize("asked", [-LONGEST - 1, -1, 0, 1, 30, LONGEST - 1, LONGEST])
@pytest.mark.parametrize("first", [1, 30, 253402300800, LONGEST])
async def test_every_period_can_follow_every_other(rig: Rig, first: int, asked: int) -> None:
    await bound(rig)
    await delete(rig, gracePeriodSeconds=first)
    done = await delete(rig, gracePeriodSeconds=asked)
    if not done.gone:
        assert not times.fault((await kept(rig))["deletionTimestamp"], times.SECONDS)
        assert (await delete(rig, gracePeriodSeconds=0)).gone


class Witness(AdmissionPlugin):
    """Keeps the old objects of deletes."""

    name = "Witness"

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.wanted = True

    def wants(self, a: Any) -> bool:
        return self.wanted

    def validate(self, a: Any) -> None:
        if a.operation == "DELETE":
            self.seen.append(copy.deepcopy(a.old))


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("more", [{}, {"finalizers": [F]}, {"annotations": {"managedFields": "}"}}])
async def test_a_delete_that_reads_the_metadata_alone(wanted: bool, more: Any, runner: Any) -> None:
    """It leaves what one that reads the whole object does, and a plugin sees all of it."""
    witness = Witness()
    async with Rig((witness,)) as rig:
        made, deleted = {}, {}
        for name, settle in (("part", None), ("whole", nothing_to_settle)):
            await bound(rig, name, **more)
            made[name] = await rig.ok("GET", f"{PODS}/{name}")
            record = rig.catalog.get(*POD)
            assert record is not None
            record = replace(record, strategy=replace(record.strategy, settle=settle))
            witness.wanted = wanted
            write = Write(rig.store, record, context(rig, record, name), rig.chain)
            done = await deletion.delete(write, {"gracePeriodSeconds": 0})
            assert done.value is not None
            deleted[name] = orjson.loads(done.value)
            assert (await live(rig, name) is None) is not bool(more.get("finalizers"))
        assert witness.seen == ([made["part"], made["whole"]] if wanted else [])
        part, whole = deleted["part"], deleted["whole"]
        assert list(part) == list(whole) and list(part["metadata"]) == list(whole["metadata"])
        for one in (part, whole):
            for member in ("name", "uid", "resourceVersion", "creationTimestamp"):
                one["metadata"].pop(member)
            for entry in one["metadata"]["managedFields"]:
                entry.pop("time")
        assert part == whole


async def nothing_to_settle(ctx: Any, obj: Any, old: Any) -> None:
    """With a hook, a delete reads the object whole."""
