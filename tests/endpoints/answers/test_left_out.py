"""A stored object that cannot be shown in some form fails alone."""

import json
from typing import Any

import orjson
import pytest
from harness import CONFIG_MAPS, Answer, Rig

from pilothouse import wire
from pilothouse.endpoints.answers.left_out import LeftOut

PROTOBUF = "application/vnd.kubernetes.protobuf"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
BAD = "/registry/configmaps/default/bad"


async def damage(rig: Rig, **members: Any) -> None:
    """Change what is stored, as a tool for the store may do it."""
    kv = await rig.storage.get(BAD)
    obj = orjson.loads(kv.value)
    obj.update(members)
    await rig.storage.update(kv.key, orjson.dumps(obj), kv.mod)


@pytest.fixture
def damaged(rig: Rig, runner: Any) -> Rig:
    """The config maps a, bad and c; the one between cannot be written in protobuf, nor as a row."""

    async def make() -> None:
        for name in ("a", "bad", "c"):
            await rig.config_map(name)
        labels = {"metadata": {**(await rig.ok("GET", f"{CONFIG_MAPS}/bad"))["metadata"], "labels": {"x": 5}}}
        await damage(rig, **labels, data=5)

    runner.run(make())
    return rig


def count(rig: Rig) -> float:
    found: LeftOut = rig.responder.left_out
    return sum(found._metrics.objects.values.values())


async def listed(rig: Rig, accept: str, query: str = "") -> Answer:
    return await rig.call("GET", CONFIG_MAPS + query, headers={"accept": accept})


def names(data: bytes) -> list[bytes]:
    """The names of the objects in a list in protobuf: those of its items' metadata."""
    raw = dict(wire.parse(data[4:]))[2]
    return [dict(wire.parse(dict(wire.parse(item))[1]))[1] for number, item in wire.parse(raw) if number == 2]


async def test_a_list_in_protobuf_leaves_it_out(damaged: Rig) -> None:
    answer = await listed(damaged, PROTOBUF)
    assert answer.status == 200 and names(answer.body) == [b"a", b"c"]
    (warning,) = answer.warnings
    assert 'configmaps "default/bad" cannot be shown in this form' in warning
    assert count(damaged) == 1


async def test_a_table_leaves_it_out(damaged: Rig) -> None:
    answer = await listed(damaged, TABLE)
    assert [row["object"]["metadata"]["name"] for row in answer.body["rows"]] == ["a", "c"]
    assert len(answer.warnings) == 1


async def test_stored_json_is_sent_as_it_is(damaged: Rig) -> None:
    answer = await listed(damaged, "application/json")
    assert [item["metadata"]["name"] for item in answer.body["items"]] == ["a", "bad", "c"]
    assert not answer.warnings


async def test_get_says_which_object_it_is(damaged: Rig) -> None:
    for accept in (PROTOBUF, TABLE):
        answer = await damaged.call("GET", f"{CONFIG_MAPS}/bad", headers={"accept": accept})
        assert answer.status == 500
        said = answer.body if accept == PROTOBUF else answer.body["message"].encode()
        assert b'Internal error occurred: configmaps "default/bad" cannot be shown in this form' in said
        assert (await damaged.call("GET", f"{CONFIG_MAPS}/a", headers={"accept": accept})).status == 200


async def test_other_errors_stay(damaged: Rig) -> None:
    """A list that is refused is refused, whatever is in it."""
    accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    assert (await listed(damaged, accept)).status == 406
    assert count(damaged) == 0


@pytest.mark.parametrize("accept", [PROTOBUF, TABLE, PARTIAL, "application/yaml"])
async def test_a_long_list_leaves_it_out(damaged: Rig, accept: str) -> None:
    """A long list is streamed: the object is met when the headers are gone,
    so the log and the metric tell of it."""
    damaged.responder.stream_above = 1
    answer = await listed(damaged, accept)
    assert answer.status == 200 and answer.stream is not None
    await damaged.settle()
    stream = answer.stream
    while not stream.closed:
        await damaged.settle()
    assert not stream.aborted
    if accept == TABLE:
        assert [r["object"]["metadata"]["name"] for r in json.loads(stream.data)["rows"]] == ["a", "c"]
    elif accept == PROTOBUF:
        assert names(stream.data) == [b"a", b"c"]
    assert (count(damaged) > 0) == (accept != "application/yaml")


async def test_a_long_list_of_nothing_else(rig: Rig) -> None:
    await rig.config_map("bad")
    await damage(rig, data=5)
    rig.responder.stream_above = 1
    answer = await listed(rig, TABLE)
    assert answer.stream is not None
    while not answer.stream.closed:
        await rig.settle()
    assert json.loads(answer.stream.data)["rows"] == []


async def test_watches_skip_it(damaged: Rig) -> None:
    for accept in (PROTOBUF, TABLE):
        watch = await damaged.watch(f"{CONFIG_MAPS}?watch=1", headers={"accept": accept})
        await damaged.settle()
        before = len(watch.data)
        await damage(damaged, data=6)
        await damaged.settle()
        assert not watch.closed and len(watch.data) == before
        await damaged.config_map(f"later{len(accept)}")
        assert len(watch.data) > before
        if accept == TABLE:
            shown = [event["object"]["rows"][0]["object"]["metadata"]["name"] for event in watch.events()]
            assert "bad" not in shown and len(shown) == 4


async def test_it_can_be_deleted(damaged: Rig) -> None:
    """The delete is carried out, and the answer says so in words that need no object."""
    answer = await damaged.call("DELETE", f"{CONFIG_MAPS}/bad", headers={"accept": PROTOBUF})
    assert answer.status == 200
    assert await damaged.fail(404, "GET", f"{CONFIG_MAPS}/bad")
