"""`pilothouse doctor --store`."""

import asyncio
import pathlib
from typing import Any

import orjson
import pytest
from harness import CONFIG_MAPS, PODS, Rig, pod

from pilothouse import cli
from pilothouse.storage.interface import KeyValue
from pilothouse.storage.sqlite.backend import SqliteStorage

POD = "/registry/pods/default/a"
MAP = "/registry/configmaps/default/a"
LONGEST = (1 << 63) - 1


async def change(storage: Any, key: str, **members: Any) -> None:
    kv = await storage.get(key)
    obj = orjson.loads(kv.value)
    obj["metadata"] |= members
    await storage.update(key, orjson.dumps(obj), kv.mod)


@pytest.fixture
def old(tmp_path: pathlib.Path) -> pathlib.Path:
    """A store with a pod and a config map that clients cannot read, and a value that nobody can."""

    async def main() -> None:
        async with Rig(storage=SqliteStorage(tmp_path)) as rig:
            await rig.ok("POST", PODS, pod("a", spec={"nodeName": "n"}))
            await rig.config_map("a")
            when = "292277026653-12-04T15:30:07Z"
            await change(rig.storage, POD, deletionTimestamp=when, deletionGracePeriodSeconds=LONGEST)
            await change(rig.storage, MAP, labels={"a": 5})
            await rig.storage.create("/registry/secrets/default/a", b"k8s:enc:aescbc:v1:k:xxxx")

    asyncio.run(main())
    return tmp_path


def doctor(directory: pathlib.Path, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, list[str]]:
    status = cli.main(["doctor", "--store", f"--data-dir={directory}", *flags])
    return status, [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def stored(directory: pathlib.Path, key: str) -> KeyValue | None:
    async def main() -> KeyValue | None:
        storage = SqliteStorage(directory)
        await storage.start()
        try:
            return await storage.get(key)
        finally:
            await storage.close()

    return asyncio.run(main())


def test_what_clients_cannot_read_is_told(old: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = stored(old, POD)
    status, lines = doctor(old, capsys)
    assert status == 1 and len(lines) == 4
    assert lines[0].startswith(f"error store {MAP} cannot be read by clients: ") and "--remove" in lines[0]
    assert (
        lines[1]
        == f"error store {POD} has a time of deletion that clients cannot read: --repair writes one that they"
        " can read"
    )
    assert lines[2].startswith("error store /registry/secrets/default/a cannot be decoded: ")
    assert lines[3] == "ok store 5 objects were looked at"
    assert stored(old, POD) == before


def test_repair_writes_what_go_would_have_stored(
    old: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, lines = doctor(old, capsys, "--repair")
    assert lines[1] == f"warning store {POD} has a time of deletion that clients cannot read: repaired"
    kv = stored(old, POD)
    assert kv is not None
    metadata = orjson.loads(kv.value)["metadata"]
    assert len(metadata["deletionTimestamp"]) == len("2026-01-02T03:04:05Z")
    _, lines = doctor(old, capsys)
    assert not any(POD in line for line in lines) and stored(old, MAP) is not None


def test_remove_takes_the_rest(old: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """But not what may be read with a key that is not configured."""
    status, lines = doctor(old, capsys, "--repair", "--remove")
    assert status == 1 and lines[0].endswith(": removed")
    assert stored(old, MAP) is None and stored(old, "/registry/secrets/default/a") is not None

    async def read() -> None:
        async with Rig(storage=SqliteStorage(old), namespaces=()) as rig:
            assert (await rig.ok("GET", CONFIG_MAPS))["items"] == []
            await rig.ok("DELETE", f"{PODS}/a?gracePeriodSeconds=0")

    asyncio.run(read())


def test_a_store_in_use_is_read_and_not_changed(
    old: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        storage = SqliteStorage(old)
        await storage.start()
        try:
            status, lines = await asyncio.to_thread(doctor, old, capsys)
            assert status == 1 and len(lines) == 4
            status, lines = await asyncio.to_thread(doctor, old, capsys, "--repair")
            assert status == 1 and "is in use by another process" in lines[0]
        finally:
            await storage.close()

    asyncio.run(main())


def test_a_sound_store(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with Rig(storage=SqliteStorage(tmp_path)) as rig:
            await rig.ok("POST", PODS, pod("a", spec={"nodeName": "n"}))

    asyncio.run(main())
    assert doctor(tmp_path, capsys) == (0, ["ok store 3 objects were looked at"])


def test_there_is_no_store(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = doctor(tmp_path, capsys)
    assert status == 1 and lines == [f"error store {tmp_path}/state.db does not exist"]


def test_repair_needs_store(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--repair"]) != 0
    assert "--repair and --remove need --store" in capsys.readouterr().err
