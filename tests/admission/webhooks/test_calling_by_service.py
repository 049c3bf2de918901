"""Admission webhooks behind Services, and how the two sides know each other."""

import asyncio
import base64
import json
import pathlib
from typing import Any

import pytest
from backend import own_address
from harness import CONFIG_MAPS, config_map
from webhooks import MUTATING, VALIDATING, Hooked, allow

from pilothouse.outbound.kubeconfig import read_users

NOTHING = config_map("a", data={"a": "b"})


async def service(hooked: Hooked, **spec: Any) -> Any:
    """A Service, and the clientConfig of a webhook behind it."""
    port = hooked.server.port
    made = {"ports": [{"port": port}], **spec}
    await hooked.rig.ok(
        "POST", "/api/v1/namespaces/default/services", {"metadata": {"name": "hook"}, "spec": made}
    )
    reference = {"name": "hook", "namespace": "default", "path": "/a", "port": port}
    return {"service": reference, "caBundle": base64.b64encode(hooked.server.ca).decode()}


async def test_a_service_by_its_external_name(hooked: Hooked) -> None:
    config = await service(hooked, type="ExternalName", externalName="localhost")
    await hooked.validating("/a", allow, clientConfig=config)
    await hooked.rig.ok("POST", CONFIG_MAPS, NOTHING)
    (_, path, headers, _) = hooked.server.requests[0]
    assert path == "/a?timeout=10s"
    assert headers["host"] == [f"hook.default.svc:{hooked.server.port}"]
    assert headers["user-agent"] == ["kube-apiserver-admission"]
    assert headers["content-type"] == ["application/json"] and headers["accept"] == ["application/json, */*"]


async def test_a_service_by_its_endpoints(runner: asyncio.Runner, tmp_path: pathlib.Path) -> None:
    address = own_address()
    if not address:
        pytest.skip("not on this host: it has no address but the loopback one")
    hooked = Hooked(tmp_path, flags=("--enable-aggregator-routing",))
    hooked.server.address = address
    async with hooked:
        config = await service(hooked)
        await hooked.rig.ok(
            "POST",
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
            {
                "metadata": {"name": "hook-1", "labels": {"kubernetes.io/service-name": "hook"}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
                "ports": [{"name": "", "port": hooked.server.port, "protocol": "TCP"}],
            },
        )
        await hooked.validating("/a", allow, clientConfig=config)
        await hooked.rig.ok("POST", CONFIG_MAPS, NOTHING)
        assert len(hooked.server.asked("/a")) == 1


async def test_a_service_that_cannot_be_reached(hooked: Hooked) -> None:
    config = await service(hooked, type="ClusterIP", clusterIP="None")
    await hooked.mutating("/a", allow, clientConfig=config)
    lead = 'Internal error occurred: failed calling webhook "a.example.com": failed to call webhook: '
    shown = f'Post "https://hook.default.svc:{hooked.server.port}/a?timeout=10s": '
    assert await hooked.rig.fail(500, "POST", CONFIG_MAPS, NOTHING) == (
        f'{lead}{shown}cannot route to service with ClusterIP "None"'
    )
    await hooked.rig.ok("DELETE", f"{MUTATING}/a")
    del config["service"]["port"], config["service"]["path"]
    config["service"]["name"] = "gone"
    await hooked.mutating("/a", allow, clientConfig=config)
    assert await hooked.rig.fail(500, "POST", CONFIG_MAPS, NOTHING) == (
        f'{lead}Post "https://gone.default.svc:443/?timeout=10s": service "gone" not found'
    )


async def test_connections_are_kept(hooked: Hooked) -> None:
    await hooked.validating("/a", allow)
    for i in range(5):
        await hooked.rig.ok("POST", CONFIG_MAPS, config_map(f"m{i}"))
    assert len(hooked.server.asked("/a")) == 5 and len(hooked.server.addresses) == 1


async def test_credentials_by_host(runner: asyncio.Runner, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps({"users": [{"name": "*", "user": {"token": "other"}}]}))
    hooked = Hooked(tmp_path, users=read_users(path))
    async with hooked:
        cert, key = hooked.server.client_files("apiserver")
        users = [
            {
                "name": f"127.0.0.1:{hooked.server.port}",
                "user": {"client-certificate": cert, "client-key": key},
            },
            {"name": f"*.svc:{hooked.server.port}", "user": {"token": "service"}},
        ]
        path.write_text(json.dumps({"users": users}))
        known = read_users(path)
        for plugin in hooked.rig.chain.plugins[-2:]:
            caller = plugin._caller  # type: ignore[attr-defined]
            caller._parts = caller._parts._replace(users=known)
        await hooked.validating("/a", allow)
        await hooked.rig.ok("POST", CONFIG_MAPS, NOTHING)
        assert hooked.server.clients == ["apiserver"]
        await hooked.rig.ok("DELETE", f"{VALIDATING}/a")
        config = await service(hooked, type="ExternalName", externalName="localhost")
        await hooked.validating("/a", clientConfig=config)
        await hooked.rig.ok("POST", CONFIG_MAPS, config_map("b"))
        assert hooked.server.requests[-1][2]["authorization"] == ["Bearer service"]


async def test_a_credential_that_cannot_be_read(runner: asyncio.Runner, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps({"users": [{"name": "*", "user": {"tokenFile": str(tmp_path / "none")}}]}))
    async with Hooked(tmp_path, users=read_users(path)) as hooked:
        await hooked.validating("/a", allow)
        message = await hooked.rig.fail(500, "POST", CONFIG_MAPS, NOTHING)
        assert 'failed calling webhook "a.example.com": could not get REST client: ' in message
