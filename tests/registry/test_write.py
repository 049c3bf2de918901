"""Create and update without the verbs: retries, storage errors, undo."""

import asyncio
from typing import Any

import pytest
from example_scale import SCALE
from harness import ADMIN, CONFIG_MAPS, Rig, config_map
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse import errors
from pilothouse.admission.chain import AdmissionPlugin, Chain
from pilothouse.registry import write
from pilothouse.registry.strategy import WriteContext
from pilothouse.registry.write import Write
from pilothouse.storage import interface
from pilothouse.storage.memory import MemoryStorage

CONFIG_MAP = ("", "v1", "configmaps")
NOW = "2026-01-02T03:04:05Z"


def context(rig: Rig, name: str = "a", **more: Any) -> WriteContext:
    return WriteContext(
        user=ADMIN,
        verb="create",
        resource=rig.catalog.get(*CONFIG_MAP),
        namespace="default",
        name=name,
        now=NOW,
        readers=rig.readers,
        services=rig.services,
        **more,
    )


class Judge(AdmissionPlugin):
    """Asks a coroutine function of (new, old)."""

    def __init__(self, judge: Any) -> None:
        self.judge = judge

    async def validate(self, a: Any) -> None:
        await self.judge(a.obj, a.old)


def write_of(rig: Rig, ctx: Any, judge: Any = None) -> Write:
    return Write(rig.store, ctx.resource, ctx, Chain([Judge(judge)]) if judge is not None else None)


async def create(rig: Rig, ctx: Any, obj: Any, judge: Any = None) -> Any:
    async with write_of(rig, ctx, judge) as write:
        return await write.create(obj)


async def put(rig: Rig, name: str = "a", **data: Any) -> Any:
    """An update without conditions."""

    async def make(live: Any) -> dict[str, Any]:
        return {**live, "data": data}

    return await write_of(rig, context(rig, name)).update(make)


async def test_a_generated_name_is_tried_again_when_it_is_taken(rig: Rig) -> None:
    """Admission judges each try anew."""
    judged, taken = [], []

    async def judge(new: Any, old: Any) -> None:
        name = new["metadata"]["name"]
        judged.append(name)
        if len(judged) <= 3:  # somebody else takes the name before it is written
            value = (
                b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"%s","uid":"u"}}' % name.encode()
            )
            await rig.storage.create(f"/registry/configmaps/default/{name}", value)
            taken.append(name)

    written = await create(
        rig, context(rig, ""), {"metadata": {"generateName": "g-", "namespace": "default"}}, judge
    )
    assert written.created and len(judged) == 4 and len(set(judged)) == 4
    assert judged[-1].encode() in written.value and judged[-1] not in taken


async def test_a_generated_name_is_given_up_at_last(rig: Rig) -> None:
    async def judge(new: Any, old: Any) -> None:
        value = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","uid":"u"}}'
        await rig.storage.create(f"/registry/configmaps/default/{new['metadata']['name']}", value)

    with pytest.raises(errors.AlreadyExists) as caught:
        await create(
            rig, context(rig, ""), {"metadata": {"generateName": "g-", "namespace": "default"}}, judge
        )
    err = caught.value
    assert err.message.endswith(", the server was not able to generate a unique name for the object")
    assert err.details["retryAfterSeconds"] == 1 and ("Retry-After", "1") in err.headers


async def test_what_a_hook_took_is_given_back_when_a_write_fails(rig: Rig) -> None:
    """A write may fail by anything: a rule, a judge, the store,
    a bug, a cancellation before the store was asked."""
    given_back = []

    async def attempt(judge: Any, obj: Any) -> None:
        ctx = context(rig)
        ctx.undo.append(lambda: given_back.append(1))
        await create(rig, ctx, obj, judge)

    async def refuse(new: Any, old: Any) -> None:
        raise errors.Forbidden("no")

    async def bug(new: Any, old: Any) -> None:
        raise KeyError("bug")

    async def leave(new: Any, old: Any) -> None:
        raise asyncio.CancelledError

    await rig.config_map("taken")
    good = {"metadata": {"name": "a", "namespace": "default"}}
    for judge, obj, error in (
        (refuse, good, errors.Forbidden),
        (bug, good, KeyError),
        (leave, good, asyncio.CancelledError),
        (None, {"metadata": {"name": "A", "namespace": "default"}}, errors.Invalid),
        (None, {"metadata": {"name": "taken", "namespace": "default"}}, errors.AlreadyExists),
    ):
        given_back.clear()
        with pytest.raises(error):
            await attempt(judge, {"metadata": dict(obj["metadata"])})
        assert given_back == [1]
    given_back.clear()
    await attempt(None, {"metadata": dict(good["metadata"])})
    assert not given_back


async def test_a_dry_run_gives_back_what_it_took(rig: Rig) -> None:
    given_back = []
    ctx = context(rig, dry_run=True)
    ctx.undo.append(lambda: given_back.append(1))
    await create(rig, ctx, {"metadata": {"name": "a", "namespace": "default"}})
    assert given_back == [1]


class Broken(MemoryStorage):
    """A store that fails."""

    error: Exception | None = None

    async def create(self, key: str, value: Any, ttl: int = 0, author: bytes = b"") -> Any:
        if self.error is not None:
            raise self.error
        return await super().create(key, value, ttl, author)

    async def update(self, key: str, value: Any, expect: Any, ttl: int = 0, author: bytes = b"") -> Any:
        if self.error is not None:
            raise self.error
        return await super().update(key, value, expect, ttl, author)

    async def delete(self, key: str, expect: Any, last: Any = None, author: bytes = b"") -> Any:
        if self.error is not None:
            raise self.error
        return await super().delete(key, expect, last, author)


def test_a_store_that_cannot_be_written_is_a_500() -> None:
    async def main() -> None:
        storage = Broken()
        async with Rig(storage=storage) as rig:
            await rig.config_map("a")
            storage.error = interface.Unavailable("the disk is full")
            for call in (
                ("POST", CONFIG_MAPS, config_map("b")),
                ("PUT", CONFIG_MAPS + "/a", config_map("a", data={"k": "v"})),
                ("DELETE", CONFIG_MAPS + "/a"),
                ("DELETE", CONFIG_MAPS),
            ):
                answer = await rig.call(*call)
                assert (answer.status, answer.body["reason"]) == (500, "InternalError"), call
                assert "the disk is full" in answer.body["message"]

    asyncio.run(main())


class Racing(MemoryStorage):
    """A store in which somebody else writes the key before each of the first `races` updates."""

    races = 0
    lost = 0

    async def update(self, key: str, value: Any, expect: Any, ttl: int = 0, author: bytes = b"") -> Any:
        if self.races and "configmaps" in key:
            self.races -= 1
            current = await self.get(key)
            await super().update(key, current.value, current.mod)
        try:
            return await super().update(key, value, expect, ttl, author)
        except interface.RevisionConflict:
            self.lost += 1
            raise

    async def delete(self, key: str, expect: Any, last: Any = None, author: bytes = b"") -> Any:
        if self.races and "configmaps" in key:
            self.races -= 1
            current = await self.get(key)
            await super().update(key, current.value, current.mod)
        try:
            return await super().delete(key, expect, last, author)
        except interface.RevisionConflict:
            self.lost += 1
            raise


def racing(races: Any, scene: Any) -> None:
    async def main() -> None:
        storage = Racing()
        async with Rig(storage=storage) as rig:
            await rig.config_map("a")
            storage.races = races
            await scene(rig, storage)

    asyncio.run(main())


@pytest.mark.parametrize("races", [0, 1, 7])
def test_a_lost_race_is_run_again(races: int) -> None:
    async def scene(rig: Rig, storage: Any) -> None:
        written = await put(rig, n="1")
        assert written.changed and storage.lost == races
        assert (await rig.ok("GET", CONFIG_MAPS + "/a"))["data"] == {"n": "1"}

    racing(races, scene)


def test_a_race_that_is_always_lost_is_a_conflict() -> None:
    async def scene(rig: Rig, storage: Any) -> None:
        with pytest.raises(errors.Conflict, match="the object has been modified"):
            await put(rig, n="1")
        assert storage.lost == write.CONFLICT_ATTEMPTS

    racing(1000, scene)


@pytest.mark.parametrize("races", [0, 1, 7])
def test_a_delete_that_lost_a_race_is_tried_again(races: int) -> None:
    async def scene(rig: Rig, storage: Any) -> None:
        await rig.ok("DELETE", CONFIG_MAPS + "/a")
        assert storage.lost == races and (await rig.call("GET", CONFIG_MAPS + "/a")).status == 404

    racing(races, scene)


def test_a_lost_race_does_not_hide_an_old_version() -> None:
    """A write that names the version it saw is not run again with a newer one."""

    async def scene(rig: Rig, storage: Any) -> None:
        made = await rig.ok("GET", CONFIG_MAPS + "/a")
        answer = await rig.call("PUT", CONFIG_MAPS + "/a", {**made, "data": {"k": "v"}})
        assert answer.status == 409 and storage.lost == 1

    racing(1, scene)


async def test_what_changes_nothing_is_not_written(rig: Rig) -> None:
    await rig.config_map("a", data={"k": "v"})
    before = rig.storage.revision
    written = await put(rig, k="v")
    assert not written.changed and rig.storage.revision == before


async def test_the_cache_shows_a_write_before_it_is_answered(rig: Rig) -> None:
    written = await create(rig, context(rig), {"metadata": {"name": "a", "namespace": "default"}})
    entry = rig.store.find(rig.catalog.get(*CONFIG_MAP), "default", "a")
    assert entry.value == written.value and entry.rev == rig.storage.revision
    with pytest.raises(errors.NotFound):
        rig.store.find(rig.catalog.get(*CONFIG_MAP), "default", "b")
    assert rig.store.entry(rig.catalog.get(*CONFIG_MAP), "default", "b") is None


@settings(max_examples=10 * SCALE)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), min_size=1, max_size=8))
def test_writers_at_once_are_as_good_as_one_after_another(writes: Any) -> None:
    """Each writer adds one to a counter of its own under retries: no write is lost."""

    async def main() -> None:
        async with Rig() as rig:
            await rig.config_map("a", data={})

            async def add(key: str) -> None:
                async def make(live: Any) -> dict[str, Any]:
                    await asyncio.sleep(0)
                    data = live.get("data") or {}
                    return {**live, "data": {**data, key: str(int(data.get(key, "0")) + 1)}}

                await write_of(rig, context(rig)).update(make)

            await asyncio.gather(*(add(key) for key, _ in writes))
            expected: dict[str, Any] = {}
            for key, _ in writes:
                expected[key] = str(int(expected.get(key, "0")) + 1)
            assert (await rig.ok("GET", CONFIG_MAPS + "/a"))["data"] == expected

    asyncio.run(main())


async def test_what_is_too_large_for_the_store_is_not_written(rig: Rig) -> None:
    rig.store.object_limit = 2000
    await rig.config_map("small", data={"k": "x" * 100})
    large = {"metadata": {"name": "large"}, "data": {"k": "x" * 2000}}
    answer = await rig.call("POST", CONFIG_MAPS, large)
    assert answer.status == 500 and answer.body["message"] == "etcdserver: request is too large"
    assert "reason" not in answer.body
    change = {"data": {"more": "x" * 2000}}
    headers = {"Content-Type": "application/merge-patch+json"}
    assert (await rig.call("PATCH", CONFIG_MAPS + "/small", change, headers=headers)).status == 500
    assert (await rig.ok("GET", CONFIG_MAPS + "/small"))["data"] == {"k": "x" * 100}
    assert (await rig.call("GET", CONFIG_MAPS + "/large")).status == 404


async def test_the_first_update_of_what_has_defaults_when_it_is_read_is_a_write(rig: Rig) -> None:
    """A claim has its phase, and a job labels, that kube-apiserver does not store with a new object."""
    claims = "/api/v1/namespaces/default/persistentvolumeclaims"
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    pod = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    labelled = {"metadata": {"labels": {"a": "b"}}, **pod}
    for path, body, changes in (
        (claims, spec, True),
        (jobs, {"template": pod}, True),
        (jobs, {"template": labelled}, False),
    ):
        made = await rig.ok("POST", path, {"metadata": {"name": "a"}, "spec": body})
        versions = [made["metadata"]["resourceVersion"]]
        for _ in range(2):
            nothing = {"metadata": {"labels": {"none": None}}}
            merge = {"Content-Type": "application/merge-patch+json"}
            patched = await rig.ok("PATCH", path + "/a", nothing, headers=merge)
            versions.append(patched["metadata"]["resourceVersion"])
        assert (versions[0] != versions[1]) is changes and versions[1] == versions[2]
        await rig.ok("DELETE", path + "/a?propagationPolicy=Background")


async def test_the_labels_of_a_job_come_back(rig: Rig) -> None:
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    pod = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    made = await rig.ok("POST", jobs, {"metadata": {"name": "a"}, "spec": {"template": pod}})
    bare = {**made, "metadata": {"name": "a"}, "status": {}}
    assert (await rig.ok("PUT", jobs + "/a/status", bare))["metadata"]["labels"] == made["metadata"]["labels"]


class Marks(AdmissionPlugin):
    """Sets members that only a delete sets."""

    def mutate(self, a: Any) -> None:
        a.obj["metadata"] |= {"deletionTimestamp": "someday", "deletionGracePeriodSeconds": 5, "uid": "u"}


async def test_admission_does_not_mark_a_new_object_as_deleted(rig: Rig) -> None:
    resource = rig.catalog.get(*CONFIG_MAP)
    assert resource is not None
    await Write(rig.store, resource, context(rig), Chain([Marks()])).create(config_map("a"))
    metadata = (await rig.ok("GET", f"{CONFIG_MAPS}/a"))["metadata"]
    assert (
        not metadata.keys() & {"deletionTimestamp", "deletionGracePeriodSeconds"} and metadata["uid"] != "u"
    )
