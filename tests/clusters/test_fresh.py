"""The objects of a fresh cluster are made once, and every cluster begins with them."""

import pathlib

from clusters.rig import CLUSTERS, MAPS, ClusterRig, running
from eventually import aeventually

from pilothouse.assembly.state_file import StateFile, keys_in, objects_of
from pilothouse.clusters import fresh
from pilothouse.clusters.fresh import digest_of
from pilothouse.controllers.bootstrap import BootstrapObject

ROLE = BootstrapObject("rbac.authorization.k8s.io", "v1", "clusterroles", {"metadata": {"name": "a"}})


def test_a_digest_tells_objects_apart() -> None:
    other = BootstrapObject("rbac.authorization.k8s.io", "v1", "clusterroles", {"metadata": {"name": "b"}})
    lease = BootstrapObject("coordination.k8s.io", "v1", "leases", {"metadata": {"name": "server"}})
    assert digest_of([ROLE]) == digest_of([ROLE, lease])
    assert digest_of([ROLE]) != digest_of([other])
    assert digest_of([ROLE]) != digest_of([])


async def test_every_cluster_begins_with_the_same_state(rig: ClusterRig) -> None:
    await rig.make("first")
    before = (await rig.journal.range("/bases/")).items
    await rig.make("second")
    for name in ("first", "second"):
        await rig.call("GET", "/version", cluster=name)
    assert (await rig.journal.range("/bases/")).items == before != []
    assert rig.open("first").storage.base is rig.open("second").storage.base


async def test_a_fresh_cluster_has_what_controllers_bring(rig: ClusterRig) -> None:
    await rig.make("whole")
    for namespace in fresh.NAMESPACES:
        for path in ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):
            answer = await rig.call("GET", f"/api/v1/namespaces/{namespace}/{path}", cluster="whole")
            assert answer.status == 200, (namespace, path)
    own = await rig.ok("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles")
    theirs = await rig.ok("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles", cluster="whole")
    names = [{one["metadata"]["name"] for one in found["items"]} for found in (own, theirs)]
    assert names[0] == names[1]
    leases = await rig.ok("GET", "/apis/coordination.k8s.io/v1/leases", cluster="whole")
    assert leases["items"] == []


async def test_a_cluster_gets_what_a_newer_server_brings(runner: object, directory: pathlib.Path) -> None:
    """The digest of the fresh objects changes with the server. The first wake writes what is missing."""
    role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/view"
    async with running(directory, backend="sqlite") as rig:
        await rig.make("older")
        await rig.keep("older", "kept", n="1")
        identity = await rig.ok("GET", "/api/v1/namespaces/kube-system", cluster="older")
        await rig.ok("DELETE", role, cluster="older")
        digest = rig.directory._digest
    async with running(directory, backend="sqlite") as rig:  # at another address: other fresh objects
        assert rig.directory._digest != digest
        assert (await rig.call("GET", role, cluster="older")).status == 200
        assert (await rig.ok("GET", f"{MAPS}/kept", cluster="older"))["data"] == {"n": "1"}
        again = await rig.ok("GET", "/api/v1/namespaces/kube-system", cluster="older")
        assert again["metadata"]["uid"] == identity["metadata"]["uid"]

        async def told() -> bool:
            record = await rig.directory.records.read(rig.directory.places["older"].uid)
            return record is not None and record.filled == rig.directory._digest

        await aeventually(told, "the record")
        await rig.make("newer", copyOf="older")
        assert (await rig.call("GET", role, cluster="newer")).status == 200
        other = await rig.ok("GET", "/api/v1/namespaces/kube-system", cluster="newer")
        assert other["metadata"]["uid"] != identity["metadata"]["uid"]


async def test_a_full_cluster_is_opened_by_a_newer_server(runner: object, directory: pathlib.Path) -> None:
    """Missing objects are written when there is room for them."""
    role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/view"
    async with running(directory, backend="sqlite") as rig:
        await rig.make("full")
        await rig.ok("DELETE", role, cluster="full")
        patch = {"spec": {"limits": {"objects": 5}}}
        media = "application/merge-patch+json"
        await rig.ok("PATCH", f"{CLUSTERS}/full", patch, content_type=media)
    async with running(directory, backend="sqlite") as rig:
        assert (await rig.call("GET", MAPS, cluster="full")).status == 200
        assert (await rig.call("GET", role, cluster="full")).status == 404
        await rig.ok("PATCH", f"{CLUSTERS}/full", {"spec": {"limits": None}}, content_type=media)
        await rig.directory.suspend("full")

        async def written() -> bool:
            return (await rig.call("GET", role, cluster="full")).status == 200

        await aeventually(written, "the role")


async def test_clusters_begin_with_the_state_of_a_file(runner: object, tmp_path: pathlib.Path) -> None:
    file, data = tmp_path / "state", tmp_path / "data"
    async with running(tmp_path / "source") as rig:
        await rig.ok("POST", MAPS, {"metadata": {"name": "kept"}})
        page = await rig.server.cluster.registry.storage.range("", counted=False)
        state = StateFile(objects_of(page.items, page.revision), keys_in(rig.data), 0.0)
        file.write_bytes(state.pack())
    flags = (f"--from-state={file}", "--clusters-from-state")
    async with running(data, *flags, backend="sqlite") as rig:
        for name in ("one", "other"):
            await rig.make(name)
            await rig.ok("GET", f"{MAPS}/kept", cluster=name)
        await rig.ok("DELETE", f"{MAPS}/kept", cluster="one")
        slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
        told = await rig.ok("GET", slices, cluster="one")
        assert told["ports"][0]["port"] == rig.port, "what tells of the server is that of this one"
    async with running(data, backend="sqlite") as rig:
        assert (await rig.call("GET", f"{MAPS}/kept", cluster="one")).status == 404
        await rig.ok("GET", f"{MAPS}/kept", cluster="other")
        await rig.make("fresh")
        assert (await rig.call("GET", f"{MAPS}/kept", cluster="fresh")).status == 404
