"""Secrets with kubeconfigs for logical clusters."""

import asyncio
import base64
import datetime
import pathlib
from typing import Any

import pytest
import yaml
from clusters.rig import CLUSTERS, ClusterRig, cluster_of, encoded, identity_of
from cryptography import x509
from eventually import aeventually

from pilothouse import pki
from pilothouse.api.yaml import kubeconfigs
from pilothouse.authn.x509 import scope_unit

SECRETS = "/api/v1/namespaces/default/secrets"
SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def place(name: str) -> Any:
    return {"namespace": "default", "name": name}


def read(secret: Any) -> Any:
    """The kubeconfig in a Secret; both members have the same."""
    data = secret["data"]
    assert data["kubeconfig"] == data["value"]
    return yaml.safe_load(base64.b64decode(data["value"]))


def certificate(secret: Any) -> x509.Certificate:
    text = read(secret)["users"][0]["user"]["client-certificate-data"]
    return x509.load_pem_x509_certificate(base64.b64decode(text))


async def written(rig: ClusterRig, name: str, other_than: str = "") -> Any:
    """A Secret, once it has a kubeconfig, and another one than that."""

    async def found() -> Any:
        answer = await rig.call("GET", f"{SECRETS}/{name}")
        value = answer.body.get("data", {}).get("value") if answer.status == 200 else None
        return answer.body if value and value not in (other_than, encoded("junk")) else None

    return await aeventually(found, f"the Secret {name}")


async def condition(rig: ClusterRig, cluster: str, status: str) -> Any:
    async def found() -> Any:
        obj = await rig.ok("GET", f"{CLUSTERS}/{cluster}")
        known = {one["type"]: one for one in (obj.get("status") or {}).get("conditions") or ()}
        told = known.get("KubeconfigSecretWritten")
        return told if told and told["status"] == status else None

    return await aeventually(found, f"the condition of {cluster}")


def test_who_may_read_the_secret_is_the_administrator_of_the_cluster(
    rig: ClusterRig, runner: asyncio.Runner
) -> None:
    async def main() -> None:
        made = await rig.make("given", kubeconfigSecret=place("given"))
        secret = await rig.ok("GET", f"{SECRETS}/given")
        assert secret["type"] == "Opaque"
        (owner,) = secret["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("Cluster", "given", made["metadata"]["uid"])
        assert made["status"]["kubeconfigSecret"] == place("given")
        config = read(secret)
        assert config["clusters"][0]["cluster"]["server"] == made["status"]["url"]
        assert "extensions" not in config["clusters"][0], "plugins that read it refuse them"
        user = config["users"][0]["user"]
        identity = identity_of(
            *(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key"))
        )
        me = await rig.ok("POST", SELF, {}, cluster="given", identity=identity)
        assert me["status"]["userInfo"]["username"] == "kubernetes-admin"
        assert "system:masters" in me["status"]["userInfo"]["groups"]
        assert (await rig.call("GET", SECRETS, identity=identity)).status == 401, "not of the server"
        await rig.make("elsewhere")
        answer = await rig.call("GET", SECRETS, cluster="elsewhere", identity=identity)
        assert answer.status == 401

    runner.run(main())


def test_it_goes_with_the_cluster(rig: ClusterRig, runner: asyncio.Runner) -> None:
    async def main() -> None:
        await rig.make("leaving", kubeconfigSecret=place("leaving"))
        await rig.delete("leaving")

        async def gone() -> bool:
            return (await rig.call("GET", f"{SECRETS}/leaving")).status == 404

        await aeventually(gone, "the end of the Secret")

    runner.run(main())


def test_another_place_is_another_secret(rig: ClusterRig, runner: asyncio.Runner) -> None:
    async def main() -> None:
        obj = await rig.make("moving", kubeconfigSecret=place("first"))
        obj["spec"]["kubeconfigSecret"] = place("second")
        await rig.ok("PUT", f"{CLUSTERS}/moving", obj)
        await written(rig, "second")
        assert (await rig.call("GET", f"{SECRETS}/first")).status == 404
        obj = await rig.ok("GET", f"{CLUSTERS}/moving")
        del obj["spec"]["kubeconfigSecret"]
        await rig.ok("PUT", f"{CLUSTERS}/moving", obj)

        async def gone() -> bool:
            status = (await rig.ok("GET", f"{CLUSTERS}/moving"))["status"]
            there = (await rig.call("GET", f"{SECRETS}/second")).status == 200
            return not there and "kubeconfigSecret" not in status and len(status["conditions"]) == 1

        await aeventually(gone, "the end of the Secret and of what the status says of it")

    runner.run(main())


def test_what_is_deleted_or_changed_is_written_anew(rig: ClusterRig, runner: asyncio.Runner) -> None:
    async def main() -> None:
        await rig.make("kept", kubeconfigSecret=place("kept"))
        first = (await written(rig, "kept"))["data"]["value"]
        await rig.ok("DELETE", f"{SECRETS}/kept")
        second = await written(rig, "kept", first)
        second["data"]["value"] = encoded("junk")
        await rig.ok("PUT", f"{SECRETS}/kept", second)
        read(await written(rig, "kept"))

    runner.run(main())


def test_a_secret_of_somebody_else_is_left_alone(rig: ClusterRig, runner: asyncio.Runner) -> None:
    """A user who may create clusters overwrites no Secrets by that; the cluster is served all the same."""

    async def main() -> None:
        foreign = {"metadata": {"name": "foreign"}, "data": {"password": encoded("p")}}
        await rig.ok("POST", SECRETS, foreign)
        obj = await rig.make("greedy", kubeconfigSecret=place("foreign"))
        told = await condition(rig, "greedy", "False")
        assert told["reason"] == "Conflict" and "does not belong to the cluster greedy" in told["message"]
        assert (await rig.ok("GET", f"{SECRETS}/foreign"))["data"] == foreign["data"]
        assert "kubeconfigSecret" not in obj["status"]
        await rig.delete("greedy")
        assert (await rig.ok("GET", f"{SECRETS}/foreign"))["data"] == foreign["data"]

    runner.run(main())


def test_a_namespace_that_is_missing_is_told(rig: ClusterRig, runner: asyncio.Runner) -> None:
    async def main() -> None:
        await rig.make("lost", kubeconfigSecret={"namespace": "nowhere", "name": "a"})
        told = await condition(rig, "lost", "False")
        assert told["reason"] == "NotFound" and 'namespaces "nowhere" not found' in told["message"]

    runner.run(main())


@pytest.mark.parametrize("days", [20, 40])
def test_a_certificate_is_renewed_before_it_expires(
    rig: ClusterRig, runner: asyncio.Runner, days: int
) -> None:
    async def main() -> None:
        name = f"aging{days}"
        await rig.make(name, kubeconfigSecret=place(name))
        secret = await written(rig, name)
        config = read(secret)
        cert, key = rig.authority().issue("kubernetes-admin", ["system:masters"], server=False, days=days,
                                          unit=scope_unit(rig.directory.places[name].uid))  # fmt: skip
        server, ca = config["clusters"][0]["cluster"]["server"], (rig.data / "ca.crt").read_bytes()
        old = kubeconfigs.of_user(server, ca, cert=cert, key=key, name=name)
        secret["data"] = dict.fromkeys(("kubeconfig", "value"), base64.b64encode(old).decode())
        put = await rig.ok("PUT", f"{SECRETS}/{name}", secret)
        await rig.make(f"after{days}", kubeconfigSecret=place(f"after{days}"))  # it was looked at by then
        if days == 20:
            await written(rig, name, put["data"]["value"])
        left = certificate(
            await rig.ok("GET", f"{SECRETS}/{name}")
        ).not_valid_after_utc - datetime.datetime.now(datetime.UTC)
        assert (left.days > 300) == (days == 20)

    runner.run(main())


@pytest.mark.parametrize(
    ("member", "value"),
    [("unit", "clusters.pilothouse.dev:other"), ("ca", "another"), ("url", "https://other")],
)
def test_a_kubeconfig_that_is_not_for_the_cluster_is_replaced(
    rig: ClusterRig, runner: asyncio.Runner, tmp_path: pathlib.Path, member: str, value: str
) -> None:
    async def main() -> None:
        name = f"wrong-{member}"
        await rig.make(name, kubeconfigSecret=place(name))
        secret = await written(rig, name)
        unit = value if member == "unit" else scope_unit(rig.directory.places[name].uid)
        authority = pki.CertificateAuthority.create() if member == "ca" else rig.authority()
        cert, key = authority.issue("kubernetes-admin", ["system:masters"], server=False, unit=unit)
        url = value if member == "url" else read(secret)["clusters"][0]["cluster"]["server"]
        text = kubeconfigs.of_user(url, (rig.data / "ca.crt").read_bytes(), cert=cert, key=key, name=name)
        secret["data"] = dict.fromkeys(("kubeconfig", "value"), base64.b64encode(text).decode())
        put = await rig.ok("PUT", f"{SECRETS}/{name}", secret)
        right = await written(rig, name, put["data"]["value"])
        assert read(right)["clusters"][0]["cluster"]["server"].endswith(f"/clusters/{name}")
        units = certificate(right).subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
        assert [one.value for one in units] == [scope_unit(rig.directory.places[name].uid)]

    runner.run(main())


def test_a_place_must_be_whole(rig: ClusterRig, runner: asyncio.Runner) -> None:
    async def main() -> None:
        answer = await rig.call("POST", CLUSTERS, cluster_of("partly", kubeconfigSecret={"name": "a"}))
        assert (
            answer.status == 422
            and "spec.kubeconfigSecret.namespace: Required value" in answer.body["message"]
        )

    runner.run(main())
