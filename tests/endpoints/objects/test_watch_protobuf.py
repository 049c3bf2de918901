"""Answers in protobuf, from request to frame."""

from collections.abc import Iterator
from typing import Any

import pytest
from harness import CONFIG_MAPS, PODS, Rig

from pilothouse.api import codec
from pilothouse.api.protobuf import _reader as protobuf
from pilothouse.api.protobuf.writer import write
from pilothouse.api.types import meta_kinds
from pilothouse.wire import parse

PROTOBUF = "application/vnd.kubernetes.protobuf"
CLIENT_GO = f"{PROTOBUF},application/json"
PARTIAL = f"{PROTOBUF};g=meta.k8s.io;v=v1;as=PartialObjectMetadata"


def read(data: bytes) -> dict[str, Any]:
    """A body as the JSON object that it stands for."""
    api_version, kind, raw = protobuf.read(data)
    group, _, version = api_version.rpartition("/")
    type_ = meta_kinds.for_answer(group, version, kind)
    return {"kind": kind, "apiVersion": api_version} | codec.prune(protobuf.decode(raw, type_), type_)


def fields(data: bytes) -> dict[int, bytes]:
    return dict(parse(data))


def events(data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Type and object of each frame."""
    while data:
        size = int.from_bytes(data[:4], "big")
        event, data = fields(data[4 : 4 + size]), data[4 + size :]
        yield event[1].decode(), read(fields(event[2])[1])


async def ask(rig: Any, method: str, path: str, body: bytes | None = None, accept: str = CLIENT_GO) -> Any:
    headers = {"Accept": accept, "Content-Type": PROTOBUF}
    answer = await rig.call(method, path, body, headers=headers)
    return answer if answer.stream else (answer.status, read(answer.body))


async def test_verbs(rig: Rig) -> None:
    body = write({"metadata": {"name": "a"}, "data": {"x": "y"}}, "v1", "ConfigMap")
    status, made = await ask(rig, "POST", CONFIG_MAPS, body)
    assert (status, made["kind"], made["data"]) == (201, "ConfigMap", {"x": "y"})
    made["data"]["z"] = "1"
    status, changed = await ask(rig, "PUT", f"{CONFIG_MAPS}/a", write(made, "v1", "ConfigMap"))
    assert (status, changed["data"]) == (200, {"x": "y", "z": "1"})
    assert (await ask(rig, "GET", f"{CONFIG_MAPS}/a")) == (200, changed)
    status, listed = await ask(rig, "GET", CONFIG_MAPS)
    assert (listed["kind"], len(listed["items"])) == ("ConfigMapList", 1)
    assert (await ask(rig, "GET", CONFIG_MAPS))[1]["items"] == listed["items"]
    options = write({"preconditions": {"uid": "x"}}, "v1", "DeleteOptions")
    assert (await ask(rig, "DELETE", f"{CONFIG_MAPS}/a", options))[0] == 409
    status, gone = await ask(rig, "DELETE", CONFIG_MAPS, write({}, "apps/v1", "DeleteOptions"))
    assert (status, gone["kind"], len(gone["items"])) == (200, "ConfigMapList", 1)


async def test_errors_and_metadata(rig: Rig) -> None:
    status, missing = await ask(rig, "GET", f"{CONFIG_MAPS}/x")
    assert (status, missing["kind"], missing["details"]["name"]) == (404, "Status", "x")
    status, broken = await ask(rig, "POST", CONFIG_MAPS, b"k8s\x00\x0a\xff")
    assert (status, broken["reason"]) == (400, "BadRequest")
    await rig.config_map("a")
    status, shown = await ask(rig, "GET", f"{CONFIG_MAPS}/a", accept=PARTIAL)
    assert shown["kind"] == "PartialObjectMetadata" and shown["metadata"]["name"] == "a"
    status, listed = await ask(rig, "GET", CONFIG_MAPS, accept=PARTIAL + "List")
    assert listed["items"][0]["metadata"]["name"] == "a"


async def test_subresources(rig: Rig) -> None:
    await rig.ok(
        "POST", PODS, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    )
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
    status, bound = await ask(rig, "POST", f"{PODS}/p/binding", write(binding, "v1", "Binding"))
    assert (status, bound["status"]) == (201, "Success")
    path = "/apis/apps/v1/namespaces/default/deployments"
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    await rig.ok("POST", path, {"metadata": {"name": "d"}, "spec": spec})
    _, scale = await ask(rig, "GET", f"{path}/d/scale")
    scale["spec"]["replicas"] = 3
    _, scaled = await ask(rig, "PUT", f"{path}/d/scale", write(scale, "autoscaling/v1", "Scale"))
    assert (scaled["kind"], scaled["spec"]) == ("Scale", {"replicas": 3})


@pytest.mark.parametrize("accept", [f"{PROTOBUF};stream=watch", PARTIAL])
async def test_watches(rig: Rig, accept: Any) -> None:
    await rig.config_map("a")
    query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    answer = await ask(rig, "GET", f"{CONFIG_MAPS}?{query}", accept=accept)
    assert answer.headers["content-type"] == f"{PROTOBUF};stream=watch"
    await rig.ok("DELETE", f"{CONFIG_MAPS}/a")
    seen = list(events(answer.stream.data))
    assert [kind for kind, _ in seen] == ["ADDED", "BOOKMARK", "DELETED"]
    assert seen[0][1]["metadata"]["name"] == "a"
    assert seen[1][1]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    kinds = {obj["kind"] for _, obj in seen}
    assert kinds == {"PartialObjectMetadata" if accept == PARTIAL else "ConfigMap"}


async def test_what_is_wrong_with_a_watch_is_told_in_it(rig: Rig) -> None:
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=99999"
    answer = await ask(rig, "GET", f"{CONFIG_MAPS}?{query}")
    [(kind, status)] = events(answer.stream.data)
    assert (kind, status["kind"], status["reason"]) == ("ERROR", "Status", "Timeout")


async def test_discovery(rig: Rig) -> None:
    _, groups = await ask(rig, "GET", "/apis")
    assert groups["kind"] == "APIGroupList"
    _, plain = await ask(rig, "GET", "/api/v1")
    assert (plain["kind"], plain["apiVersion"]) == ("APIResourceList", "")
    accept = f"{PROTOBUF};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    _, whole = await ask(rig, "GET", "/apis", accept=accept)
    found = await rig.ok("GET", "/apis", headers={"Accept": accept.replace(PROTOBUF, "application/json")})
    names = [i["metadata"]["name"] for i in found["items"]]
    assert [i["metadata"]["name"] for i in whole["items"]] == names
    resource = whole["items"][1]["versions"][0]["resources"][0]
    assert resource["responseKind"] == {
        "kind": found["items"][1]["versions"][0]["resources"][0]["responseKind"]["kind"]
    }
