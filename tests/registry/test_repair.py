"""Pods that an earlier version stored with a time of deletion that no client can read."""

import json
from typing import Any

import orjson
import pytest
from harness import PODS, Rig, pod

from pilothouse import wire
from pilothouse.api.values import times
from pilothouse.registry import repair

KEY = "/registry/pods/default/a"
DELETED = times.to_unix("2026-01-02T03:04:05Z")[0]
LONGEST = (1 << 63) - 1
PROTOBUF = {"accept": "application/vnd.kubernetes.protobuf"}


def stored(grace: Any, when: str = "", **members: Any) -> bytes:
    """A pod as the earlier version left it: its time of deletion is any number of seconds away."""
    when = when or times.from_unix(DELETED + grace) + "Z"
    metadata = {
        "name": "a",
        "namespace": "default",
        "uid": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "deletionTimestamp": when,
        **members,
    }
    if grace is not None:
        metadata["deletionGracePeriodSeconds"] = grace
    return orjson.dumps({"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": pod("a")["spec"]})


def deletion_time(value: bytes) -> str:
    found: str = orjson.loads(value)["metadata"]["deletionTimestamp"]
    return found


@pytest.mark.parametrize(
    ("grace", "when"),
    [
        (LONGEST, "2026-01-02T03:04:04Z"),  # 2**63 - 1 seconds in nanoseconds wrap to one second less
        (253402300800, "1872-03-31T09:00:13Z"),
    ],
)
def test_a_period_wraps_as_go_wraps_it(grace: int, when: str) -> None:
    assert deletion_time(repair.settled(KEY, stored(grace))) == when


def test_a_time_that_can_be_read_stays() -> None:
    value = stored(30)
    assert repair.settled(KEY, value) is value
    assert repair.settled("/registry/configmaps/default/a", stored(LONGEST)) == stored(LONGEST)


def test_a_text_that_is_no_time_becomes_the_time_of_creation() -> None:
    assert deletion_time(repair.settled(KEY, stored(None, "someday"))) == "2026-01-01T00:00:00Z"


def test_only_the_metadata_counts() -> None:
    """A member of the same name elsewhere changes nothing."""
    value = orjson.dumps({"metadata": {"name": "a"}, "spec": {"deletionTimestamp": "100000-"}})
    assert repair.settled(KEY, value) is value


async def test_the_pods_of_an_old_store_can_be_read_and_deleted(rig: Rig) -> None:
    await rig.ok("POST", PODS, pod("a", spec={"nodeName": "n"}))
    kv = await rig.storage.get(KEY)
    old = orjson.loads(kv.value)
    old["metadata"] |= orjson.loads(stored(LONGEST))["metadata"] | {"uid": old["metadata"]["uid"]}
    await rig.storage.update(KEY, orjson.dumps(old), kv.mod)
    for accept in ("application/json", "application/yaml", *PROTOBUF.values()):
        for path in (PODS, f"{PODS}/a", "/api/v1/pods"):
            assert (await rig.call("GET", path, headers={"accept": accept})).status == 200
    watch = await rig.watch("/api/v1/pods?watch=1", headers=PROTOBUF)
    body = watch.data
    assert int.from_bytes(body[:4], "big") == len(body) - 4
    assert dict(wire.parse(body[4:]))[1] == b"ADDED"
    patched = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"a": "b"}}}
    how = {"content-type": "application/apply-patch+yaml"}
    await rig.ok("PATCH", f"{PODS}/a?fieldManager=t", json.dumps(patched).encode(), headers=how)
    await rig.ok("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
    await rig.fail(404, "GET", f"{PODS}/a")
