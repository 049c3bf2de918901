"""The client `kubernetes-asyncio`: calls, a watch, and many calls at once.

It is imported by the tests: that takes long, and every worker imports this file.
"""

import asyncio
from typing import Any

import pytest

from pilothouse.testing.server import APIServer

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # it leaves sockets open


async def connect(server: APIServer) -> Any:
    from kubernetes_asyncio import config

    return await config.new_client_from_config(str(server.kubeconfig))


def test_calls_and_a_watch(server: APIServer) -> None:
    from kubernetes_asyncio import client, watch

    async def main() -> list[tuple[str, str]]:
        async with await connect(server) as api:
            core = client.CoreV1Api(api)
            version = (await core.list_namespaced_config_map("default")).metadata.resource_version
            for name in ("a", "b"):
                await core.create_namespaced_config_map("default", {"metadata": {"name": name}})
            await core.patch_namespaced_config_map("a", "default", {"data": {"x": "1"}})
            await core.delete_namespaced_config_map("b", "default")
            seen = []
            async with watch.Watch() as stream:
                async for event in stream.stream(
                    core.list_namespaced_config_map, "default", resource_version=version, timeout_seconds=10
                ):
                    seen.append((event["type"], event["object"].metadata.name))
                    if len(seen) == 4:
                        break
            return seen

    assert asyncio.run(main()) == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]


def test_many_at_once(server: APIServer) -> None:
    from kubernetes_asyncio import client

    async def main() -> int:
        async with await connect(server) as api:
            core = client.CoreV1Api(api)
            bodies = [{"metadata": {"name": f"c{n}", "labels": {"many": "yes"}}} for n in range(100)]
            await asyncio.gather(*(core.create_namespaced_config_map("default", body) for body in bodies))
            await core.delete_collection_namespaced_config_map("default", label_selector="many=yes,many!=no")
            return len((await core.list_namespaced_config_map("default", label_selector="many")).items)

    assert asyncio.run(main()) == 0
