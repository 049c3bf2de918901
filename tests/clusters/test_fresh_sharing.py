"""Clusters change nothing that they have in common."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from clusters.rig import MAPS, ClusterRig
from eventually import aeventually
from harness import Stream

from pilothouse.api import meta
from pilothouse.clusters.directory import ClusterPlace
from pilothouse.storage.base_state import BaseState
from pilothouse.storage.interface import KeyValue

RBAC = "/apis/rbac.authorization.k8s.io/v1"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
HPAS = "autoscaling/{}/namespaces/default/horizontalpodautoscalers"
PROTOBUF = "application/vnd.kubernetes.protobuf"


def fingerprint(base: BaseState) -> tuple[dict[str, str], dict[str, bytes], dict[str, bytes]]:
    """All that clusters share of a base state: decoded objects, entries, pairs."""
    decoded = {key: json.dumps(obj, sort_keys=True) for key, obj in base.decoded.items()}
    entries = {key: bytes(entry.value) for key, entry in base.entries.items()}
    return decoded, entries, {key: kv.value for key, kv in base.current.items()}


def kept(before: Any, after: Any) -> None:
    """Everything is as it was; more may be there, made on first use."""
    for old, new in zip(before, after, strict=True):
        for key, value in old.items():
            assert new[key] == value, key


async def changes(rig: ClusterRig, cluster: str) -> None:
    """Change objects that every fresh cluster has, in all the ways that there are."""
    role = f"{RBAC}/clusterroles/system:basic-user"
    live = await rig.ok("GET", role, cluster=cluster)
    live["rules"].append({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})
    await rig.ok("PUT", role, live, cluster=cluster)
    some: list[tuple[str, Any, str]] = [
        ("clusterroles/system:discovery", {"rules": []}, "application/merge-patch+json"),
        (
            "clusterroles/system:node",
            [{"op": "replace", "path": "/rules/0/verbs", "value": ["*"]}],
            "application/json-patch+json",
        ),
        (
            "clusterrolebindings/cluster-admin",
            {"metadata": {"labels": {"changed": cluster}}},
            "application/strategic-merge-patch+json",
        ),
    ]
    for path, change, media in some:
        await rig.ok("PATCH", f"{RBAC}/{path}", change, cluster=cluster, content_type=media)
    applied = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "view", "labels": {"applied": cluster}},
    }
    path = f"{RBAC}/clusterroles/view?fieldManager=t&force=true"
    media = "application/apply-patch+yaml"
    await rig.ok("PATCH", path, applied, cluster=cluster, content_type=media)
    extra = {
        "metadata": {
            "name": "more",
            "labels": {"rbac.authorization.k8s.io/aggregate-to-edit": "true"},
        },
        "rules": [{"apiGroups": ["more.example"], "resources": ["*"], "verbs": ["*"]}],
    }
    await rig.ok("POST", f"{RBAC}/clusterroles", extra, cluster=cluster)

    async def aggregated() -> bool:
        edit = await rig.ok("GET", f"{RBAC}/clusterroles/edit", cluster=cluster)
        return "more.example" in json.dumps(edit)

    await aeventually(aggregated, "the aggregated role")
    await rig.ok("DELETE", f"{RBAC}/clusterroles/system:public-info-viewer", cluster=cluster)
    flows = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/service-accounts"
    body: Any = {"spec": {"matchingPrecedence": 1234}}
    await rig.ok("PATCH", flows, body, cluster=cluster, content_type="application/merge-patch+json")
    body = {"status": {"conditions": None}}
    path = f"{flows}/status"
    await rig.ok("PATCH", path, body, cluster=cluster, content_type="application/merge-patch+json")
    await rig.ok("DELETE", f"{MAPS}/kube-root-ca.crt", cluster=cluster)
    await rig.ok("DELETE", "/api/v1/namespaces/kube-node-lease", cluster=cluster)
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"configmaps": "10"}}}
    await rig.ok("POST", "/api/v1/namespaces/default/resourcequotas", quota, cluster=cluster)
    await rig.keep(cluster, "counted", n="1")
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    live = await rig.ok("GET", account, cluster=cluster)
    live["secrets"] = [{"name": "x"}]
    await rig.ok("PUT", account, live, cluster=cluster)
    for path in ("clusterroles", "clusterrolebindings"):
        for accept in ("application/json;as=Table;v=v1;g=meta.k8s.io", PROTOBUF, "application/yaml"):
            answer = await raw(rig, f"{RBAC}/{path}", cluster, accept)
            assert answer


async def raw(rig: ClusterRig, path: str, cluster: str, accept: str) -> bytes:
    """The body of an answer, as bytes."""
    from pilothouse.server.request import Request

    headers = {"host": "localhost", "accept": accept}
    request = Request(
        "GET",
        f"/clusters/{cluster}{path}",
        headers,
        list(headers.items()),
        b"",
        ("127.0.0.1", 1),
        rig.identity(cluster).chain,
    )
    answer: Any = rig.router.handle(request)
    if not hasattr(answer, "status"):
        answer = await answer
    assert answer.status == 200, answer.body
    if answer.start is not None:
        stream = Stream(answer.on_done)
        answer.start(stream)
        await aeventually(lambda: stream.closed, "the end of the list")
        return stream.data
    body = answer.body
    return body if isinstance(body, bytes) else b"".join(bytes(one) for one in body)


async def test_changes_stay_in_their_cluster(rig: ClusterRig) -> None:
    for name in ("share-a", "share-b"):
        await rig.make(name)
        await rig.call("GET", MAPS, cluster=name)
    one, two = rig.open("share-a").storage, rig.open("share-b").storage
    assert one.base is two.base
    assert one.base.entries and one.base.decoded
    path = f"{RBAC}/clusterroles"
    theirs = await rig.ok("GET", path, cluster="share-b")
    before = fingerprint(one.base)
    await changes(rig, "share-a")
    kept(before, fingerprint(one.base))
    assert await rig.ok("GET", path, cluster="share-b") == theirs
    await rig.make("share-c")
    items = (await rig.ok("GET", path, cluster="share-c"))["items"]
    assert [one["rules"] for one in items] == [one["rules"] for one in theirs["items"]]


async def test_a_change_counts_where_it_was_made_only(rig: ClusterRig) -> None:
    """A role that everybody has is changed: one cluster's users get the right, the others' do not."""
    for name in ("right-a", "right-b"):
        await rig.make(name)
    path = f"{RBAC}/clusterroles/system:basic-user"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
    patch = [{"op": "add", "path": "/rules/-", "value": rule}]
    jane = {name: rig.identity(name, "jane", ()) for name in ("right-a", "right-b")}
    for name, identity in jane.items():
        assert (await rig.call("GET", MAPS, cluster=name, identity=identity)).status == 403
    await rig.ok("PATCH", path, patch, cluster="right-a", content_type="application/json-patch+json")
    assert (await rig.call("GET", MAPS, cluster="right-a", identity=jane["right-a"])).status == 200
    assert (await rig.call("GET", MAPS, cluster="right-b", identity=jane["right-b"])).status == 403


async def test_readers_of_two_clusters_have_one_object(rig: ClusterRig) -> None:
    for name in ("same-a", "same-b"):
        await rig.make(name)
        await rig.call("GET", MAPS, cluster=name)

    def found(name: str) -> Any:
        readers = rig.open(name).cluster.registry.readers
        return readers.get("clusterroles.rbac.authorization.k8s.io", "", "edit")

    assert found("same-a") is found("same-b")
    body = {"metadata": {"labels": {"x": "y"}}}
    path = f"{RBAC}/clusterroles/edit"
    await rig.ok("PATCH", path, body, cluster="same-a", content_type="application/merge-patch+json")
    assert found("same-a")["metadata"]["labels"]["x"] == "y"
    assert "x" not in found("same-b")["metadata"]["labels"]


async def test_messages_of_copies_have_their_own_lengths(rig: ClusterRig) -> None:
    """An object that two copies share has been listed in one version by one, in another by the other."""
    await rig.make("hpa-base")

    def scaler(name: str) -> Any:
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d" * 40}
        metrics = [
            {
                "type": "Resource",
                "resource": {"name": one, "target": {"type": "Utilization", "averageUtilization": 50}},
            }
            for one in ("memory", "cpu")
        ]
        return {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name},
            "spec": {"scaleTargetRef": reference, "maxReplicas": 3, "metrics": metrics},
        }

    path = f"/apis/{HPAS.format('v2')}"
    await rig.ok("POST", path, scaler("shared"), cluster="hpa-base")
    for name in ("hpa-a", "hpa-b"):
        await rig.make(name, copyOf="hpa-base")
        await rig.ok("POST", path, scaler("own"), cluster=name)
        rig.open(name).cluster.handlers.responder.stream_above = 0  # as long lists are made
    for _ in range(2):
        for name, version in (("hpa-a", "v1"), ("hpa-b", "v2")):
            await raw(rig, f"/apis/{HPAS.format(version)}/own", name, PROTOBUF)
            whole(await raw(rig, f"/apis/{HPAS.format(version)}", name, PROTOBUF))
    for name, version in (("hpa-b", "v2"), ("hpa-a", "v1"), ("hpa-b", "v1"), ("hpa-a", "v2")):
        body = await raw(rig, f"/apis/{HPAS.format(version)}", name, PROTOBUF)
        again = await raw(rig, f"/apis/{HPAS.format(version)}", "hpa-base", PROTOBUF)
        assert body.count(b"shared") == again.count(b"shared")
        whole(body)


def whole(body: bytes) -> None:
    """The outer message of a protobuf answer is as long as it says."""
    assert body[:4] == b"k8s\0"
    rest, found = body[4:], b""
    while rest:
        tag, rest = _number(rest)
        size, rest = _number(rest)
        assert size <= len(rest), "a part is shorter than it says"
        if tag >> 3 == 2:
            found = rest[:size]
        rest = rest[size:]
    while found:
        tag, found = _number(found)
        assert tag in (0x0A, 0x12), hex(tag)
        size, found = _number(found)
        assert size <= len(found)
        found = found[size:]


def _number(text: bytes) -> tuple[int, bytes]:
    value = shift = at = 0
    while True:
        byte = text[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, text[at:]


def definition(*selectable: str) -> Any:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {"color": {"type": "string"}, "size": {"type": "string"}},
            }
        },
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "selectableFields": [{"jsonPath": one} for one in selectable],
    }
    return {
        "metadata": {"name": "balls.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "balls", "kind": "Ball"},
            "versions": [version],
        },
    }


async def test_copies_select_by_their_own_fields(rig: ClusterRig) -> None:
    """Each copy's definition says by which fields the objects that they share are selected."""
    await rig.make("ball-base")
    await rig.ok("POST", DEFINITIONS, definition(".spec.color"), cluster="ball-base")
    path = "/apis/example.com/v1/namespaces/default/balls"

    async def served() -> bool:
        return (await rig.call("GET", path, cluster="ball-base")).status == 200

    await aeventually(served, "the definition")
    for name, color, size in (("one", "red", "s"), ("two", "blue", "l")):
        ball = {
            "apiVersion": "example.com/v1",
            "kind": "Ball",
            "metadata": {"name": name},
            "spec": {"color": color, "size": size},
        }
        await rig.ok("POST", path, ball, cluster="ball-base")
    for name in ("ball-a", "ball-b"):
        await rig.make(name, copyOf="ball-base")

    async def selected(cluster: str, field: str) -> Any:
        answer = await rig.call("GET", f"{path}?fieldSelector={field}", cluster=cluster)
        if answer.status != 200:
            return answer.status
        return [one["metadata"]["name"] for one in answer.body["items"]]

    for name in ("ball-base", "ball-a", "ball-b"):
        assert await selected(name, "spec.color%3Dred") == ["one"], name
        assert await selected(name, "spec.color!%3Dred,metadata.name%3Dtwo") == ["two"], name
    live = await rig.ok("GET", f"{DEFINITIONS}/balls.example.com", cluster="ball-b")
    live["spec"]["versions"][0]["selectableFields"] = [{"jsonPath": ".spec.size"}]
    await rig.ok("PUT", f"{DEFINITIONS}/balls.example.com", live, cluster="ball-b")

    async def changed() -> bool:
        return bool(await selected("ball-b", "spec.size%3Dl") == ["two"])

    await aeventually(changed, "the other field", seconds=3)
    assert await selected("ball-b", "spec.color%3Dred") == 400
    assert await selected("ball-b", "spec.size!%3Ds") == ["two"]
    assert await selected("ball-b", "spec.size%3Dl,metadata.name!%3Done") == ["two"]
    watch = (await rig.call("GET", f"{path}?watch=1&fieldSelector=spec.size%3Ds", cluster="ball-b")).stream
    assert watch is not None
    await aeventually(lambda: watch.data, "the first events")
    assert watch.seen() == [("ADDED", "one")]
    watch.close()
    for name in ("ball-base", "ball-a"):
        assert await selected(name, "spec.color%3Dred") == ["one"], name
        assert await selected(name, "spec.size%3Dl") == 400


@pytest.mark.parametrize("strict", [False, True])
async def test_equal_definitions_are_told_apart_when_one_is_changed(rig: ClusterRig, strict: bool) -> None:
    """Definitions are compiled once where they are equal; a change is one cluster's own."""
    names = [f"def-{one}-{strict}".lower() for one in "ab"]
    path = "/apis/example.com/v1/namespaces/default/balls"
    ball = {
        "apiVersion": "example.com/v1",
        "kind": "Ball",
        "metadata": {"name": "x"},
        "spec": {"color": "red", "weight": 3},
    }
    for name in names:
        await rig.make(name)
        await rig.ok("POST", DEFINITIONS, definition(), cluster=name)
    live = await rig.ok("GET", f"{DEFINITIONS}/balls.example.com", cluster=names[0])
    spec = live["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    if strict:
        spec["required"] = ["must"]
        spec["properties"]["must"] = {"type": "string"}
    else:
        spec["properties"]["weight"] = {"type": "integer", "default": 7}
        spec["properties"]["taste"] = {"type": "string", "default": "sweet"}
    await rig.ok("PUT", f"{DEFINITIONS}/balls.example.com", live, cluster=names[0])

    async def told(name: str) -> Any:
        answer = await rig.call("POST", f"{path}?dryRun=All", ball, cluster=name)
        return (answer.status, answer.body.get("spec"))

    wanted = (422, None) if strict else (201, {"color": "red", "weight": 3, "taste": "sweet"})

    async def changed() -> bool:
        return bool(await told(names[0]) == wanted)

    await aeventually(changed, "the changed definition", seconds=3)
    assert await told(names[1]) == (201, {"color": "red"})
    await asyncio.sleep(0)


async def behind(rig: ClusterRig, name: str, base: str) -> None:
    """Have a cluster that begins with a base state."""
    place = rig.directory.places[name] = ClusterPlace(meta.new_uid())
    record = await rig.directory.records.read(rig.directory.places["ahead"].uid)
    assert record is not None
    await rig.directory.records.write(place.uid, replace(record, base=base))


async def test_what_controllers_had_left_to_do_is_done_in_each_copy(rig: ClusterRig) -> None:
    """Findings about a state are good for all that begin with it, also that something is missing."""
    await rig.make("ahead")
    await rig.call("GET", MAPS, cluster="ahead")
    known = rig.open("ahead").storage.base
    roles, flows = f"{RBAC}/clusterroles/view", "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/probes"
    services = "/apis/apiregistration.k8s.io/v1/apiservices/v1.apps"
    wanted = {path: await rig.ok("GET", path, cluster="ahead") for path in (roles, flows, services)}
    undone: dict[str, Any] = {
        "/registry/clusterroles/view": {"rules": []},
        "/registry/flowschemas/probes": {"status": {}},
        "/registry/apiregistration.k8s.io/apiservices/v1.apps": {"status": {}},
    }
    pairs = [
        KeyValue(
            kv.key, json.dumps(json.loads(kv.value) | undone.pop(kv.key, {})).encode(), kv.mod, kv.create
        )
        for kv in known.current.values()
        if kv.key != "/registry/configmaps/default/kube-root-ca.crt"
    ]
    assert not undone
    name, base = await rig.directory.records.add_base(pairs, known.revision)
    for cluster in ("behind-a", "behind-b"):
        await behind(rig, cluster, name)

        async def repaired(cluster: str = cluster) -> bool:
            now = {path: await rig.ok("GET", path, cluster=cluster) for path in wanted}
            there = (await rig.call("GET", f"{MAPS}/kube-root-ca.crt", cluster=cluster)).status == 200
            return there and all(essence(now[path]) == essence(wanted[path]) for path in wanted)

        await aeventually(repaired, cluster)
    assert base.judged and rig.open("behind-b").storage.base is base


def essence(obj: Any) -> Any:
    """The members that controllers have written, without times."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return obj.get("rules"), [{**one, "lastTransitionTime": ""} for one in conditions]
