"""`pilothouse doctor`."""

import asyncio
import pathlib
from collections.abc import Iterator

import pytest

from pilothouse import cli, pki
from pilothouse.commands import checkup, checkup_port, doctor
from pilothouse.commands.findings import Finding, error
from pilothouse.configuration import options
from pilothouse.configuration.config import Config
from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.testing.ports import free_ports
from pilothouse.testing.server import InProcess


def flags(directory: pathlib.Path) -> list[str]:
    return [f"--data-dir={directory}", "--bind-address=127.0.0.1", f"--secure-port={free_ports(1)[0]}"]


def state(directory: pathlib.Path) -> dict[str, tuple[object, ...]]:
    """Everything below a directory, with modes, times and contents."""
    out: dict[str, tuple[object, ...]] = {}
    for path in (directory, *sorted(directory.rglob("*"))):
        found = path.stat()
        content = path.read_bytes() if path.is_file() else b""
        out[str(path)] = (found.st_mode, found.st_uid, found.st_mtime_ns, content)
    return out


def test_the_command(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = flags(tmp_path)
    pki.prepare(options.parse(given))
    assert cli.main(["doctor", *given]) == 0
    assert f"ok       port          port {given[-1].partition('=')[2]} is free" in capsys.readouterr().out
    (tmp_path / "x.crt").write_text("x")
    assert cli.main(["doctor", *given]) == 1
    assert capsys.readouterr().err == "Error: 1 of these is an error\n"


@pytest.mark.parametrize("more", [[], ["--store"]])
def test_nothing_is_changed(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    """Neither a directory that others can enter, nor a missing one, nor a store with a log of changes."""
    data, own = tmp_path / "data", tmp_path / "own"
    pki.prepare(options.parse(flags(data)))

    async def write() -> dict[str, bytes]:
        store = SqliteStorage(data)
        await store.start()
        await store.create("/registry/configmaps/default/a", b"{}")
        left = {name: (data / name).read_bytes() for name in ("state.db", "state.db-wal")}
        await store.close()
        return left

    for name, content in asyncio.run(write()).items():  # as a server leaves them that is killed
        (data / name).write_bytes(content)
    data.chmod(0o755)
    own.mkdir(0o755)
    before = state(tmp_path)
    for directory in (data, own, tmp_path / "missing" / "deep"):
        cli.main(["doctor", *more, *flags(directory)])
    said = capsys.readouterr().out
    assert "1 objects were looked at" in said if more else "a durable write takes" in said
    assert state(tmp_path) == before


def test_the_objects_of_a_server_that_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with InProcess(["--storage-backend=sqlite"]) as server:
        assert cli.main(["doctor", "--store", f"--data-dir={server.directory}"]) == 0
    assert "objects were looked at" in capsys.readouterr().out


def test_a_check_that_fails_does_not_end_the_others(tmp_path: pathlib.Path) -> None:
    def broken(config: Config) -> Iterator[Finding]:
        yield from checkup.limits(config)
        raise KeyError("x")

    found = list(doctor._host(options.parse(flags(tmp_path)), (broken, checkup_port.port)))
    assert found[-2] == ("broken", error("this could not be looked at: KeyError: 'x'"))
    assert found[-1][0] == "port" and found[-1][1].text.endswith("is free")


def test_a_store_that_is_missing_is_told(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--store", f"--data-dir={tmp_path}/x"]) == 1
    assert f"{tmp_path}/x/state.db does not exist" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
