"""A server with logical clusters starts, stops and keeps its data as one without them does."""

import asyncio
import base64
import pathlib
import time

import pytest
import yaml
from clusters.rig import MAPS, ClusterRig, encoded, running
from clusters.wire import Connection
from eventually import aeventually

pytestmark = pytest.mark.usefixtures("runner")
SECRETS = "/api/v1/namespaces/default/secrets"
TEXT = "a-very-secret-text-of-a-cluster"


async def test_watches_of_clusters_end_with_the_server(directory: pathlib.Path) -> None:
    rig = ClusterRig(directory)
    await rig.start()
    await rig.make("watched")
    async with Connection(rig.port, rig.context(rig.identity("watched"))) as connection:
        await connection.send("GET", f"/clusters/watched{MAPS}?watch=1")
        await connection.head()
        began = time.monotonic()
        stopping = asyncio.create_task(rig.server.stop())  # which would wait a minute for what does not end
        async with asyncio.timeout(10):
            await connection.rest()
            await stopping
        assert time.monotonic() - began < 5


async def test_writes_that_are_under_way_at_the_end_are_kept(directory: pathlib.Path) -> None:
    acknowledged: list[int] = []
    async with running(directory, backend="sqlite") as rig:
        await rig.make("busy")

        async def write(number: int) -> None:
            body = {"metadata": {"name": f"m{number}"}}
            answer = await rig.call("POST", MAPS, body, cluster="busy")
            if answer.status == 201:
                acknowledged.append(number)

        tasks = [asyncio.create_task(write(number)) for number in range(200)]
        await aeventually(lambda: acknowledged, "the first answers")
    await asyncio.gather(*tasks, return_exceptions=True)
    assert acknowledged
    async with running(directory, backend="sqlite", port=rig.port) as rig:
        for number in acknowledged:
            assert (await rig.call("GET", f"{MAPS}/m{number}", cluster="busy")).status == 200


async def test_secrets_of_clusters_are_encrypted_at_rest(
    directory: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    key = base64.b64encode(b"k" * 32).decode()
    provider = {"aescbc": {"keys": [{"name": "k1", "secret": key}]}}
    config = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": [provider, {"identity": {}}]}],
    }
    path = tmp_path / "encryption.yaml"
    path.write_text(yaml.safe_dump(config))
    flag = f"--encryption-provider-config={path}"
    async with running(directory, flag, backend="sqlite") as rig:
        await rig.make("sealed")
        body = {"metadata": {"name": "s"}, "data": {"x": encoded(TEXT)}}
        await rig.ok("POST", SECRETS, body, cluster="sealed")
        await rig.make("sealed-copy", copyOf="sealed")
        rows = (await rig.directory.journal.range("/keyspaces/")).items
        assert any("/registry/secrets/default/s" in row.key for row in rows)
        assert not any(encoded(TEXT).encode() in row.value for row in rows)
    async with running(directory, flag, backend="sqlite") as rig:
        for name in ("sealed", "sealed-copy"):
            found = await rig.ok("GET", f"{SECRETS}/s", cluster=name)
            assert found["data"] == {"x": encoded(TEXT)}
