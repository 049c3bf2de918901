"""A snapshot of a server with logical clusters has all of them, and they go on where it is restored."""

import asyncio
import json
import pathlib

import pytest
from clusters.rig import MAPS, ClusterRig, running

from pilothouse import cli
from pilothouse.clusters import snapshot


async def run(*words: str) -> int:
    return await asyncio.to_thread(cli.main, ["snapshot", *words])


async def test_clusters_go_on_in_another_directory(
    runner: asyncio.Runner, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Objects are there again, and clients that have seen later revisions are told to list once more."""
    old, new, file = tmp_path / "old", tmp_path / "new", tmp_path / "file"
    async with running(old, backend="sqlite") as rig:
        await rig.make("kept")
        await rig.keep("kept", "a", n="1")
        assert await run("save", str(file), f"--data-dir={old}", "-o", "json") == 0
        late = await rig.keep("kept", "late", n="2")
        await rig.make("later")
    told = json.loads(capsys.readouterr().out)
    assert told["clusters"]["keys"] > 100 and snapshot.beside(file).name == "file.clusters"
    assert await run("verify", str(file)) == 0
    assert "clusters " in capsys.readouterr().out
    assert await run("restore", str(file), f"--data-dir={new}") == 0
    for name in ("ca.crt", "ca.key", "sa.key"):
        (new / name).write_bytes((old / name).read_bytes())
    async with running(new, backend="sqlite") as rig:
        assert (await rig.ok("GET", f"{MAPS}/a", cluster="kept"))["data"] == {"n": "1"}
        assert (await rig.call("GET", f"{MAPS}/late", cluster="kept")).status == 404
        assert (await rig.call("GET", MAPS, cluster="later")).status == 404
        seen = late["metadata"]["resourceVersion"]
        query = f"watch=true&resourceVersion={seen}"
        answer = await rig.call("GET", f"{MAPS}?{query}", cluster="kept")
        assert answer.stream is not None
        (event,) = answer.stream.events()
        assert event["type"] == "ERROR" and event["object"]["code"] == 410
        found = await rig.ok("GET", MAPS, cluster="kept")
        assert int(found["metadata"]["resourceVersion"]) > int(seen)


async def test_nothing_is_overwritten_and_without_clusters_nothing_is_made(
    runner: asyncio.Runner, tmp_path: pathlib.Path
) -> None:
    data, file = tmp_path / "data", tmp_path / "file"
    rig = ClusterRig(data, backend="sqlite")
    await rig.start()
    await rig.stop()
    assert await run("save", str(file), f"--data-dir={data}") == 0
    assert await run("restore", str(file), f"--data-dir={data}") == 1
    (data / "clusters" / "state.db").unlink()
    assert await run("restore", str(file), f"--data-dir={data}") == 1
    assert not snapshot.exists(data), "its own store is there"
    assert await run("save", str(tmp_path / "lone"), f"--data-dir={data}") == 0
    assert not snapshot.beside(tmp_path / "lone").exists()
