"""A server with logical clusters ends: watches of all clusters, then what is on its way, then the stores."""

import asyncio
import contextlib
import time
from typing import Any

import pytest
from clusters.rig import MAPS, ClusterRig

LONG = 20.0
"""Seconds that a stop may take to drain; none of them are needed here."""


async def test_a_stop_ends_the_watches_of_clusters_and_keeps_what_was_written(
    runner: asyncio.Runner, tmp_path: Any
) -> None:
    rig = ClusterRig(tmp_path, backend="sqlite")
    await rig.start()
    await rig.make("watched")
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", rig.port, ssl=rig.context(rig.identity("watched"))
    )
    writer.write(f"GET /clusters/watched{MAPS}?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert b"200" in await reader.readline()
    writes = [asyncio.ensure_future(rig.keep("watched", f"m{number}", n="1")) for number in range(20)]
    await asyncio.sleep(0)
    begun = time.monotonic()
    await rig.server.stop(LONG)
    assert time.monotonic() - begun < LONG / 2
    told = await reader.read()
    assert told.endswith(b"0\r\n\r\n"), "the watch has ended properly"
    told_of = await asyncio.gather(*writes, return_exceptions=True)
    kept = [at for at, one in enumerate(told_of) if isinstance(one, dict)]
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    again = ClusterRig(tmp_path, backend="sqlite")
    await again.start()
    try:
        items = (await again.ok("GET", MAPS, cluster="watched"))["items"]
        assert {f"m{at}" for at in kept} <= {one["metadata"]["name"] for one in items}
        assert kept
    finally:
        await again.stop()


async def test_a_start_that_fails_closes_the_store_of_clusters(runner: asyncio.Runner, tmp_path: Any) -> None:
    rig = ClusterRig(tmp_path, backend="sqlite")
    (tmp_path / "clusters").write_text("no folder")
    with pytest.raises(Exception, match="clusters"):
        await rig.start()
    (tmp_path / "clusters").unlink()
    again = ClusterRig(tmp_path, backend="sqlite")
    await again.start()
    await again.stop()
