"""The addresses of kubelets and how their certificates are checked."""

from pathlib import Path

import pytest
from backend import Backend
from harness import PODS, Rig
from kubelets import kubelet, node, pod

from pilothouse import errors
from pilothouse.endpoints.streams.kubelet import PORT, Kubelets, trust_of
from pilothouse.outbound.http import INSECURE


async def test_kubelets_are_checked_and_know_us(rig: Rig, tmp_path: Path) -> None:
    async with Backend(tmp_path, kubelet) as backend:
        ca = tmp_path / "ca.crt"
        ca.write_bytes(backend.ca)
        cert, key = backend.client_files("apiserver")
        rig.handlers.streams.kubelets = Kubelets(rig.readers, ["InternalIP"], trust_of(str(ca), cert, key))
        await node(rig, backend)
        await pod(rig, "a")
        assert (await rig.call("GET", f"{PODS}/a/log")).body == "hello\n"
        assert backend.clients == ["apiserver"]
        async with Backend(tmp_path, kubelet, clients_of=backend) as other:
            await node(rig, other, name="n2")
            await pod(rig, "b", "n2")
            message = await rig.fail(500, "GET", f"{PODS}/b/log")
            assert "failed to verify certificate" in message
            answer = await rig.call("GET", f"{PODS}/b/log?insecureSkipTLSVerifyBackend=true")
            assert answer.body == "hello\n"


async def test_a_kubelet_that_is_not_there(rig: Rig, tmp_path: Path) -> None:
    async with Backend(tmp_path, kubelet) as backend:
        await node(rig, backend)
    await pod(rig, "a")
    where = f"127.0.0.1:{backend.port}"
    assert await rig.fail(500, "GET", f"{PODS}/a/log") == (
        f'Get "https://{where}/containerLogs/default/a/c": dial tcp {where}: connect: connection refused'
    )


async def test_the_preferred_address_of_a_node(rig: Rig) -> None:
    addresses = [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "n"}]
    await rig.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n"}, "status": {"addresses": addresses}})
    found = Kubelets(rig.readers, ["Hostname", "InternalIP"], INSECURE).of("n")
    assert (found.host, found.port, found.base) == ("n", PORT, f"https://n:{PORT}")
    with pytest.raises(errors.Unknown, match=r"known addresses: \[{InternalIP 10.0.0.1} {Hostname n}\]"):
        Kubelets(rig.readers, ["ExternalIP"], INSECURE).of("n")
    with pytest.raises(errors.NotFound, match='pods "x" not found'):
        Kubelets(rig.readers, ["Hostname"], INSECURE).of("x", "pods")


def test_kubelets_are_not_checked_without_a_ca() -> None:
    assert trust_of("", "", "").insecure
