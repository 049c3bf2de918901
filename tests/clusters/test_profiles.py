"""Logical clusters are published as ClusterProfiles."""

import asyncio
import base64
from typing import Any

import yaml
from clusters.rig import CLUSTERS, ClusterRig, identity_of, running
from eventually import aeventually

FLAGS = ["--clusters-profiles=fleet"]
PROFILES = "/apis/multicluster.x-k8s.io/v1alpha1/namespaces/fleet/clusterprofiles"
LATER = "/apis/multicluster.x-k8s.io/v1alpha2/namespaces/fleet/clusterprofiles"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
DEFINITION = f"{DEFINITIONS}/clusterprofiles.multicluster.x-k8s.io"


async def profile(rig: ClusterRig, name: str, healthy: str = "True") -> Any:
    """A profile, once its cluster is as healthy."""

    async def found() -> Any:
        answer = await rig.call("GET", f"{PROFILES}/{name}")
        conditions = answer.body.get("status", {}).get("conditions") if answer.status == 200 else None
        return answer.body if conditions and conditions[0]["status"] == healthy else None

    return await aeventually(found, f"the profile {name}")


async def gone(rig: ClusterRig, path: str) -> None:
    async def found() -> bool:
        return (await rig.call("GET", path)).status == 404

    await aeventually(found, f"the end of {path}")


async def entered(rig: ClusterRig, provider: Any) -> Any:
    """The namespaces that a consumer lists by an access provider and its Secret."""
    assert provider["name"] == "kubeconfig-secretreader"
    (extension,) = provider["cluster"]["extensions"]
    assert extension["name"] == "client.authentication.k8s.io/exec"
    where = extension["extension"]
    secret = await rig.ok("GET", f"/api/v1/namespaces/{where['namespace']}/secrets/{where['name']}")
    config = yaml.safe_load(base64.b64decode(secret["data"][where["key"]]))
    assert config["clusters"][0]["cluster"]["server"] == provider["cluster"]["server"]
    user = config["users"][0]["user"]
    pair = (base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key"))
    name = provider["cluster"]["server"].rpartition("/")[2]
    return await rig.ok("GET", "/api/v1/namespaces", cluster=name, identity=identity_of(*pair))


def test_a_consumer_finds_its_way_into_a_cluster(rig: ClusterRig, runner: asyncio.Runner) -> None:
    async def main() -> None:
        obj = await rig.make("found")
        made = await profile(rig, "found")
        assert made["metadata"]["labels"] == {"x-k8s.io/cluster-manager": "pilothouse"}
        assert made["spec"] == {"displayName": "found", "clusterManager": {"name": "pilothouse"}}
        status = made["status"]
        assert status["version"]["kubernetes"] == (await rig.ok("GET", "/version"))["gitVersion"]
        ids = {one["name"]: one["value"] for one in status["properties"]}
        assert set(ids) == {"cluster.clusterset.k8s.io", "clusterset.k8s.io/cluster-id"}
        assert set(ids.values()) == {obj["metadata"]["uid"]}
        assert status["conditions"][0]["type"] == "ControlPlaneHealthy"
        (provider,) = status["accessProviders"]
        assert provider["cluster"]["server"] == obj["status"]["url"]
        ca = (rig.data / "ca.crt").read_bytes()
        assert base64.b64decode(provider["cluster"]["certificate-authority-data"]) == ca
        assert (await entered(rig, provider))["kind"] == "NamespaceList"
        assert status["credentialProviders"] == status["accessProviders"], "for clients of before"
        later = await rig.ok("GET", f"{LATER}/found")
        assert later["status"]["accessProviders"] == status["accessProviders"]
        assert "credentialProviders" not in later["status"]

    runner.run(main())


def test_the_secret_that_a_cluster_names_is_told(rig: ClusterRig, runner: asyncio.Runner) -> None:
    async def main() -> None:
        await rig.make("named", kubeconfigSecret={"namespace": "default", "name": "mine"})
        (provider,) = (await profile(rig, "named"))["status"]["accessProviders"]
        assert provider["cluster"]["extensions"][0]["extension"] == {
            "namespace": "default",
            "name": "mine",
            "key": "value",
        }
        await entered(rig, provider)
        assert (await rig.call("GET", "/api/v1/namespaces/fleet/secrets/named-kubeconfig")).status == 404

    runner.run(main())


def test_a_profile_goes_with_its_cluster(rig: ClusterRig, runner: asyncio.Runner) -> None:
    async def main() -> None:
        await rig.make("leaving")
        await profile(rig, "leaving")
        await rig.delete("leaving")
        await gone(rig, f"{PROFILES}/leaving")
        await gone(rig, "/api/v1/namespaces/fleet/secrets/leaving-kubeconfig")

    runner.run(main())


def test_a_cluster_that_is_not_served_is_not_healthy(rig: ClusterRig, runner: asyncio.Runner) -> None:
    async def main() -> None:
        body = {"apiVersion": "pilothouse.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": "orphan"}}
        await rig.ok("POST", CLUSTERS, {**body, "spec": {"copyOf": "nothing"}})
        found = await profile(rig, "orphan", "False")
        assert found["status"]["conditions"][0]["reason"] == "SourceNotFound"

    runner.run(main())


def test_what_is_deleted_or_changed_is_written_anew(rig: ClusterRig, runner: asyncio.Runner) -> None:
    async def main() -> None:
        await rig.make("kept")
        first = await profile(rig, "kept")
        await rig.ok("DELETE", f"{PROFILES}/kept")
        second = await profile(rig, "kept")
        assert second["metadata"]["uid"] != first["metadata"]["uid"]
        second["status"]["accessProviders"][0]["cluster"]["server"] = "https://elsewhere"
        await rig.ok("PUT", f"{PROFILES}/kept/status", second)

        async def right() -> bool:
            found = await rig.ok("GET", f"{PROFILES}/kept")
            return bool(found["status"] == first["status"] | {"conditions": found["status"]["conditions"]})

        await aeventually(right, "the status is right again")

    runner.run(main())


def test_a_profile_of_another_manager_is_left_alone(rig: ClusterRig, runner: asyncio.Runner) -> None:
    async def main() -> None:
        foreign = {
            "apiVersion": "multicluster.x-k8s.io/v1alpha1",
            "kind": "ClusterProfile",
            "metadata": {"name": "taken"},
            "spec": {"clusterManager": {"name": "somebody"}},
        }
        await rig.ok("POST", PROFILES, foreign)
        await rig.ok("POST", CLUSTERS, {"apiVersion": "pilothouse.dev/v1alpha1", "kind": "Cluster",
                                        "metadata": {"name": "taken"}})  # fmt: skip

        async def told() -> Any:
            status = (await rig.ok("GET", f"{CLUSTERS}/taken")).get("status") or {}
            known = {one["type"]: one for one in status.get("conditions") or ()}
            return known if "ProfilePublished" in known else None

        known = await aeventually(told, "the condition")
        assert known["Ready"]["status"] == "True", "it is served all the same"
        assert known["ProfilePublished"]["status"] == "False"
        assert "does not belong to the cluster taken" in known["ProfilePublished"]["message"]
        await rig.delete("taken")
        assert "status" not in await rig.ok("GET", f"{PROFILES}/taken")

    runner.run(main())


def test_who_manages_a_profile_cannot_be_changed(rig: ClusterRig, runner: asyncio.Runner) -> None:
    async def main() -> None:
        await rig.make("fixed")
        found = await profile(rig, "fixed")
        found["spec"]["clusterManager"]["name"] = "other"
        answer = await rig.call("PUT", f"{PROFILES}/fixed", found)
        assert answer.status == 422 and "ClusterManager is immutable" in answer.body["message"]

    runner.run(main())


def test_a_definition_of_somebody_else_stays(rig: ClusterRig, runner: asyncio.Runner, tmp_path: Any) -> None:
    """Ours is brought up to date at a start, another one is not."""

    async def main() -> None:
        ours = await rig.ok("GET", DEFINITION)
        assert [one["name"] for one in ours["spec"]["versions"]] == ["v1alpha1", "v1alpha2"]
        first = ours["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for label, kept in (("somebody", True), ("pilothouse", False)):
            directory = tmp_path / label
            async with running(directory, backend="sqlite") as before:
                first["description"] = "another text"
                metadata = {
                    "name": ours["metadata"]["name"],
                    "labels": {"app.kubernetes.io/managed-by": label},
                }
                await before.ok("POST", DEFINITIONS, {"metadata": metadata, "spec": ours["spec"]})
            async with running(directory, *FLAGS, backend="sqlite") as after:
                found = await after.ok("GET", DEFINITION)
                texts = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"]
                assert (texts == "another text") == kept
                await after.make("a")
                await profile(after, "a")

    runner.run(main())


def test_without_the_flag_there_is_nothing(runner: asyncio.Runner, tmp_path: Any) -> None:
    async def main() -> None:
        async with running(tmp_path / "data") as plain:
            made = await plain.make("a")
            assert [one["type"] for one in made["status"]["conditions"]] == ["Ready"]
            assert (await plain.call("GET", DEFINITION)).status == 404
            assert (await plain.call("GET", "/api/v1/namespaces/fleet")).status == 404
            listed = await plain.ok("GET", "/api/v1/secrets")
            assert not [one for one in listed["items"] if one["metadata"]["name"].endswith("-kubeconfig")]

    runner.run(main())
