"""The objects `clusters.pilothouse.dev` decide which clusters there are, and what they may hold."""

import asyncio
from typing import Any

import pytest
from clusters.rig import CLUSTERS, MAPS, ClusterRig, bearer, cluster_of
from eventually import aeventually
from harness import Answer

from pilothouse.clusters.brought import bring
from pilothouse.clusters.definition import DEFINITION, FINALIZER

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE: dict[str, Any] = {"content_type": "application/merge-patch+json"}


async def rowless(rig: ClusterRig, uid: str) -> None:
    """Wait until the journal has nothing of a cluster."""

    async def gone() -> bool:
        pairs = await rig.directory.journal.range(f"/keyspaces/{uid}")
        return not pairs.items and await rig.directory.records.read(uid) is None

    await aeventually(gone, "the rows to be gone")


async def test_a_cluster_tells_where_it_is(rig: ClusterRig) -> None:
    obj = await rig.make("told")
    assert obj["status"]["url"] == f"https://127.0.0.1:{rig.port}/clusters/told"
    [condition] = obj["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Ready", "True", "Served")
    assert condition["observedGeneration"] == obj["metadata"]["generation"]
    assert obj["metadata"]["finalizers"] == [FINALIZER]


async def test_a_cluster_has_its_finalizer_from_the_first_write_on(rig: ClusterRig) -> None:
    made = cluster_of("whole")
    made["metadata"]["finalizers"] = ["example.com/mine"]
    answer = await rig.call("POST", CLUSTERS, made)
    assert answer.status == 201
    assert answer.body["metadata"]["finalizers"] == ["example.com/mine", FINALIZER]
    assert len(answer.body["metadata"]["managedFields"]) == 1


async def test_kubectl_has_columns(rig: ClusterRig) -> None:
    await rig.make("columns")
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    table = await rig.ok("GET", f"{CLUSTERS}/columns", accept=accept)
    assert [one["name"] for one in table["columnDefinitions"]] == [
        "Name",
        "Ready",
        "Objects",
        "Bytes",
        "URL",
        "Age",
    ]
    assert table["rows"][0]["cells"][:2] == ["columns", "True"]


@pytest.mark.parametrize("name", ["a.b", "x" * 64, "1.2.3.4", "-a", "a_b", "A"], ids=lambda name: name[:8])
async def test_a_name_is_a_dns_label(rig: ClusterRig, name: str) -> None:
    answer = await rig.call("POST", CLUSTERS, cluster_of(name))
    assert answer.status == 422
    assert name not in rig.directory.places


async def test_a_source_cannot_be_changed(rig: ClusterRig) -> None:
    await rig.make("fixed-source")
    await rig.make("fixed", copyOf="fixed-source")
    for change in ({"copyOf": "other"}, {"copyOf": None}):
        answer = await rig.call("PATCH", f"{CLUSTERS}/fixed", {"spec": change}, **MERGE)
        assert answer.status == 422, change
    answer = await rig.call("PATCH", f"{CLUSTERS}/fixed-source", {"spec": {"copyOf": "fixed"}}, **MERGE)
    assert answer.status == 422


async def test_limits_are_kept_and_can_be_changed(rig: ClusterRig) -> None:
    await rig.make("limited", limits={"objects": 230, "bytes": "1Mi"})
    made = 0
    while (answer := await _map(rig, "limited", f"m{made}", "x")).status == 201:
        made += 1
        assert made < 230
    assert answer.status >= 500
    assert "limit of 230 objects" in answer.body["message"]
    assert rig.open("limited").storage.count == 230
    assert (
        await rig.call("PUT", f"{MAPS}/m0", {"metadata": {"name": "m0"}}, cluster="limited")
    ).status == 200
    assert (await rig.call("DELETE", f"{MAPS}/m0", cluster="limited")).status == 200
    assert (await _map(rig, "limited", "again", "x")).status == 201
    await rig.ok("PATCH", f"{CLUSTERS}/limited", {"spec": {"limits": {"objects": 1000}}}, **MERGE)
    large = "x" * 500_000
    assert (await _map(rig, "limited", "large", large)).status == 201
    answer = await _map(rig, "limited", "larger", large)
    assert answer.status >= 500
    assert "bytes" in answer.body["message"]
    await rig.ok("PATCH", f"{CLUSTERS}/limited", {"spec": {"limits": None}}, **MERGE)
    assert (await _map(rig, "limited", "larger", large)).status == 201


@pytest.mark.parametrize("limits", [{"objects": 1}, {"bytes": "1Ki"}, {"bytes": 1}])
async def test_a_cluster_that_holds_too_much_from_the_start_is_read(
    rig: ClusterRig, limits: dict[str, Any]
) -> None:
    name = f"full-{len(str(limits))}"
    await rig.make(name, limits=limits)
    assert (await rig.call("GET", MAPS, cluster=name)).status == 200
    assert "limit of" in (await _map(rig, name, "more", "x")).body["message"]


async def _map(rig: ClusterRig, cluster: str, name: str, text: str) -> Answer:
    return await rig.call("POST", MAPS, {"metadata": {"name": name}, "data": {"x": text}}, cluster=cluster)


async def test_a_deleted_cluster_is_served_no_more(rig: ClusterRig) -> None:
    await rig.make("gone")
    uid = rig.directory.places["gone"].uid
    await rig.keep("gone", "kept", n="1")
    await rig.delete("gone")
    assert (await rig.call("GET", MAPS, cluster="gone")).status == 404
    await rowless(rig, uid)


async def test_a_watch_ends_with_its_cluster(rig: ClusterRig) -> None:
    await rig.make("watched")
    stream = (await rig.call("GET", f"{MAPS}?watch=1", cluster="watched")).stream
    assert stream is not None
    await rig.delete("watched")
    await aeventually(lambda: stream.closed, "the end of the watch")


@pytest.mark.parametrize("how", ["delete", "finalizers", "early"])
async def test_a_new_cluster_of_a_name_has_nothing_of_the_old(rig: ClusterRig, how: str) -> None:
    name = f"again-{how}"
    rig.journal.turns = 5 if how == "early" else 0
    if how == "early":  # its object goes before the controller has put the finalizer on it
        await rig.ok("POST", CLUSTERS, cluster_of(name))
    else:
        await rig.make(name)
    old = rig.directory.places[name].uid
    await rig.keep(name, "secret", n="old")
    token, identity = await _token(rig, name), rig.identity(name)
    assert (await rig.call("GET", MAPS, cluster=name, identity=identity)).status == 200
    stream = (await rig.call("GET", f"{MAPS}?watch=1", cluster=name)).stream
    assert stream is not None
    if how == "delete":
        await rig.delete(name)
    else:
        await rig.ok("DELETE", f"{CLUSTERS}/{name}?propagationPolicy=Background")
        await rig.call("PATCH", f"{CLUSTERS}/{name}", {"metadata": {"finalizers": None}}, **MERGE)
        await rig.gone(name)
    await rig.make(name)
    assert rig.directory.places[name].uid != old
    assert (await rig.call("GET", f"{MAPS}/secret", cluster=name)).status == 404
    assert rig.open(name).uid == rig.directory.places[name].uid
    answer = await rig.call("GET", "/api", cluster=name, authorization=bearer(token))
    assert answer.status == 401
    assert (await rig.call("GET", MAPS, cluster=name, identity=identity)).status == 401
    assert stream.closed
    await rowless(rig, old)
    await rig.keep(name, "secret", n="new")
    await rig.directory.suspend(name)
    assert (await rig.ok("GET", f"{MAPS}/secret", cluster=name))["data"] == {"n": "new"}
    rig.journal.turns = 0


async def test_a_body_that_an_old_cluster_accepted_is_not_the_new_ones(rig: ClusterRig) -> None:
    await rig.make("replaced")
    identity = rig.identity("replaced")

    async def replace() -> None:
        await rig.delete("replaced")
        await rig.make("replaced")

    path, body = f"/clusters/replaced{MAPS}", {"metadata": {"name": "late"}}
    answer = await rig.send("POST", path, body, identity=identity, judged=True, between=replace)
    assert answer.status == 401
    assert (await rig.call("GET", f"{MAPS}/late", cluster="replaced")).status == 404


async def _token(rig: ClusterRig, cluster: str) -> str:
    async def account() -> bool:
        path = "/api/v1/namespaces/default/serviceaccounts/default"
        return (await rig.call("GET", path, cluster=cluster)).status == 200

    await aeventually(account, "the service account")
    return await rig.token(cluster)


async def test_a_tenants_objects_make_no_clusters(rig: ClusterRig) -> None:
    """A tenant may bring the definition of clusters; nobody follows the objects there."""
    await rig.make("tenant")
    definition = await rig.ok("GET", f"{DEFINITIONS}/clusters.pilothouse.dev")
    definition["metadata"] = {"name": "clusters.pilothouse.dev"}
    await rig.ok("POST", DEFINITIONS, definition, cluster="tenant")

    async def served() -> bool:
        return (await rig.call("POST", CLUSTERS, cluster_of("of-tenant"), cluster="tenant")).status == 201

    await aeventually(served, "the definition")
    await rig.settle()
    assert "of-tenant" not in rig.directory.places
    assert (await rig.call("GET", "/version", cluster="of-tenant", identity=rig.identity(""))).status == 404
    assert (await rig.call("GET", f"{CLUSTERS}/of-tenant")).status == 404
    await rig.ok("DELETE", f"{CLUSTERS}/of-tenant", cluster="tenant")


async def test_many_are_made_and_deleted_at_once(rig: ClusterRig) -> None:
    names = [f"many-{number}" for number in range(20)]
    await asyncio.gather(*(rig.make(name) for name in names))
    await asyncio.gather(*(rig.keep(name, "kept", n=name) for name in names))
    for name in names:
        assert (await rig.ok("GET", f"{MAPS}/kept", cluster=name))["data"] == {"n": name}
    uids = [rig.directory.places[name].uid for name in names]
    await asyncio.gather(*(rig.delete(name) for name in names))
    for uid in uids:
        await rowless(rig, uid)


async def test_the_definition_is_brought_up_to_date(rig: ClusterRig) -> None:
    live = await rig.ok("GET", f"{DEFINITIONS}/clusters.pilothouse.dev")
    assert live["spec"]["group"] == DEFINITION["spec"]["group"]
    live["spec"]["versions"][0]["additionalPrinterColumns"] = []
    await rig.ok("PUT", f"{DEFINITIONS}/clusters.pilothouse.dev", live)
    await bring(rig.server.cluster.writers(0).client("kube-apiserver"), DEFINITION)
    live = await rig.ok("GET", f"{DEFINITIONS}/clusters.pilothouse.dev")
    assert len(live["spec"]["versions"][0]["additionalPrinterColumns"]) == 5


async def test_a_suspended_cluster_leaves_memory(rig: ClusterRig) -> None:
    obj: Any = await rig.make("sleeps", suspend=True)
    assert obj["spec"]["suspend"] is True
    assert rig.directory.places["sleeps"].suspend
    await rig.ok("PATCH", f"{CLUSTERS}/sleeps", {"spec": {"suspend": False}}, **MERGE)
    assert not rig.directory.places["sleeps"].suspend
