"""The client `lightkube`: typed objects, server-side apply, watch, wait, both sync and async."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from lightkube import ApiError, AsyncClient, Client, KubeConfig
from lightkube.models.apps_v1 import DeploymentCondition, DeploymentStatus
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Node
from lightkube.types import PatchType

from pilothouse.testing.server import APIServer

pytestmark = pytest.mark.slow


@pytest.fixture
def client(server: APIServer) -> Iterator[Client]:
    config = KubeConfig.from_file(server.kubeconfig)
    with contextlib.closing(Client(config=config, namespace="default", field_manager="tests")) as client:
        yield client


def test_objects_come_and_go(client: Client) -> None:
    client.create(ConfigMap(metadata=ObjectMeta(name="a", labels={"x": "y"}), data={"k": "v"}))
    found = client.get(ConfigMap, "a")
    assert found.data == {"k": "v"}
    found.data["k"] = "w"
    assert client.replace(found).data == {"k": "w"}
    patch = [{"op": "remove", "path": "/data/k"}]
    assert client.patch(ConfigMap, "a", patch, patch_type=PatchType.JSON).data is None
    assert [c.metadata.name for c in client.list(ConfigMap, labels={"x": "y"})] == ["a"]
    assert [
        c.metadata.name for c in client.list(ConfigMap, namespace="*", fields={"metadata.name": "a"})
    ] == ["a"]
    client.delete(ConfigMap, "a")
    with pytest.raises(ApiError) as missing:
        client.get(ConfigMap, "a")
    assert missing.value.status.code == 404 and missing.value.status.reason == "NotFound"


def test_apply(client: Client) -> None:
    applied = client.apply(ConfigMap(metadata=ObjectMeta(name="a"), data={"k": "v"}))
    assert applied.metadata.managedFields[0].manager == "tests"
    with pytest.raises(ApiError) as conflict:
        client.apply(ConfigMap(metadata=ObjectMeta(name="a"), data={"k": "w"}), field_manager="other")
    assert conflict.value.status.code == 409
    forced = client.apply(
        ConfigMap(metadata=ObjectMeta(name="a"), data={"k": "w"}), field_manager="other", force=True
    )
    assert forced.data == {"k": "w"}


def test_pages(client: Client) -> None:
    for n in range(5):
        client.create(Node(metadata=ObjectMeta(name=f"n{n}")))
    assert [n.metadata.name for n in client.list(Node, chunk_size=2)] == [f"n{n}" for n in range(5)]


async def test_watch_and_wait(server: APIServer, runner: asyncio.Runner) -> None:
    config = KubeConfig.from_file(server.kubeconfig)
    async with contextlib.aclosing(AsyncClient(config=config, namespace="default")) as client:
        await client.create(Namespace(metadata=ObjectMeta(name="spare")))
        listed = client.list(ConfigMap)
        assert [c.metadata.name async for c in listed] == ["kube-root-ca.crt"]
        version = (
            await listed.resourceVersion
            if asyncio.iscoroutine(listed.resourceVersion)
            else listed.resourceVersion
        )
        await client.create(ConfigMap(metadata=ObjectMeta(name="w")))
        async for how, item in client.watch(ConfigMap, resource_version=version, server_timeout=10):
            assert (how, item.metadata.name) == ("ADDED", "w")
            break
        web: Any = Deployment.from_dict(DEPLOYMENT)
        await client.create(web)
        waiting = asyncio.create_task(client.wait(Deployment, "web", for_conditions=["Available"]))
        web.status = DeploymentStatus(conditions=[DeploymentCondition(type="Available", status="True")])
        await client.patch(
            Deployment.Status, "web", {"status": {"conditions": [{"type": "Available", "status": "True"}]}}
        )
        assert (await asyncio.wait_for(waiting, 20)).metadata.name == "web"


DEPLOYMENT = {
    "metadata": {"name": "web"},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "example.org/web:1"}]},
        },
    },
}
