"""Every command that prints something about a server prints it as JSON and YAML, too."""

import asyncio
import json
import pathlib
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
import yaml

from pilothouse import cli
from pilothouse.commands import output
from pilothouse.commands.names import COMMANDS
from pilothouse.process.version import GIT_VERSION
from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.testing.ports import free_ports
from pilothouse.testing.server import InProcess


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    """A data directory with a store of three objects."""

    async def write() -> None:
        store = SqliteStorage(tmp_path / "data")
        await store.start()
        for name in ("pods/a/b", "pods/a/c", "configmaps/a/b"):
            await store.create(f"/registry/{name}", b"{}")
        await store.close()

    asyncio.run(write())
    return tmp_path / "data"


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with InProcess(["--enable-bootstrap-token-auth"]) as server:
        yield server


def said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> Any:
    """The document that a command prints as JSON; its YAML has the same members."""
    assert cli.main([*words, "-o", "json"]) == status
    found = json.loads(capsys.readouterr().out)
    assert cli.main([*words, "-o=yaml"]) == status
    assert yaml.safe_load(capsys.readouterr().out).keys() == found.keys()
    return found


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "version") == {"gitVersion": GIT_VERSION}
    assert cli.main(["version", "extra"]) == 2
    assert cli.main(["version", "--help"]) == 0


def test_the_embedded_store(data: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = f"--data-dir={data}"
    found = said(capsys, "store", "stat", where)
    assert (found["keys"], found["rows"], found["compacted"]) == (3, 3, 1)
    assert found["resources"] == [
        {"name": "/registry/pods", "keys": 2, "bytes": 4},
        {"name": "/registry/configmaps", "keys": 1, "bytes": 2},
    ]
    assert said(capsys, "store", "check", where) == {"rows": 3, "keys": 3}
    assert said(capsys, "store", "compact", where)["bytes"] > 0


def test_snapshots(data: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "snapshot"
    assert cli.main(["snapshot", "save", str(file), f"--data-dir={data}", "-o", "json"]) == 0
    saved = json.loads(capsys.readouterr().out)
    assert (saved["store"], saved["keys"], len(saved["hash"])) == ("embedded", 3, 64)
    assert said(capsys, "snapshot", "verify", str(file)) == saved


def test_the_doctor_and_the_configuration(data: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [f"--data-dir={data}", "--bind-address=127.0.0.1", f"--secure-port={free_ports(1)[0]}"]
    found = said(capsys, "doctor", *flags)["items"]
    assert {"certificates", "disk", "port"} <= {one["check"] for one in found}
    assert {one["level"] for one in found} <= {"ok", "warning"}
    (data / "x.crt").write_text("x")
    broken = said(capsys, "doctor", *flags, status=1)["items"]
    assert [one["check"] for one in broken if one["level"] == "error"] == ["certificates"]
    assert said(capsys, "check-config")["errors"] == []
    wrong = said(capsys, "check-config", "--etcd-cafile=/none", status=1)
    assert wrong["errors"] == ["--etcd-cafile: open /none: no such file or directory"]


def test_tokens(server: InProcess, capsys: pytest.CaptureFixture[str]) -> None:
    where = f"--kubeconfig={server.kubeconfig}"
    assert cli.main(["token", "create", where, "--description=of a node", "-o", "json"]) == 0
    token = json.loads(capsys.readouterr().out)["token"]
    [found] = said(capsys, "token", "list", where)["items"]
    assert (found["id"], found["description"]) == (token[:6], "of a node")
    assert token[7:] not in json.dumps(found)
    assert cli.main(["token", "delete", token[:6], token[:6], where, "-o", "json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out) == {"items": [{"id": token[:6], "result": "deleted"}]}
    assert f'failed to delete bootstrap token "{token[:6]}"' in told.err


def test_a_kubeconfig_as_json(data: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["kubeconfig", f"--data-dir={data}", "--token=abc", "--server=https://a:1"]
    assert cli.main([*words, "--create"]) == 0
    config = yaml.safe_load(capfd.readouterr().out)
    assert cli.main([*words, "-o", "json"]) == 0
    assert json.loads(capfd.readouterr().out) == config
    assert config["users"][0]["user"] == {"token": "abc"}


SILENT = {"completion", "console", "envtest"}
"""Commands that print a script, an address or what another program prints."""


def test_all_commands_have_the_flag() -> None:
    modules = {name: import_module(f"pilothouse.commands.{name.replace('-', '_')}") for name in COMMANDS}
    without = {name for name, one in modules.items() if all(flag.short != "o" for flag in one.FLAGS)}
    assert without == SILENT


def test_rows_become_objects() -> None:
    """An object without a JSON form, such as an error of `pilothouse etcd status`, becomes its text."""
    rows = [("ENDPOINT", "DB SIZE", "LEADER"), ("a", "1 MiB", True), ("b", "-", OSError("gone"))]
    assert output.items(rows) == {
        "items": [
            {"endpoint": "a", "dbSize": "1 MiB", "leader": True},
            {"endpoint": "b", "dbSize": "-", "leader": "gone"},
        ]
    }


@pytest.mark.parametrize(
    "words",
    [
        ("version",),
        ("doctor",),
        ("check-config",),
        ("store", "stat"),
        ("snapshot", "verify", "x"),
        ("token", "delete", "aaaaaa"),
        ("cluster", "create", "a"),
        ("history", "purge", "cm/a"),
    ],
)
def test_other_forms_are_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*words, "-o", "xml"]) == 2
    assert 'output format "xml", allowed formats are: json,table,wide,yaml' in capsys.readouterr().err


@pytest.mark.parametrize("words", [("kubeconfig",), ("cluster", "kubeconfig", "a")])
def test_a_kubeconfig_is_no_table(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*words, "-o", "wide"]) == 2
    assert 'output format "wide", allowed formats are: json,yaml' in capsys.readouterr().err
