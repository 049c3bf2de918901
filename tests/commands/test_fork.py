"""`pilothouse fork` with a server, and with a data directory."""

import json
import pathlib
from collections.abc import Iterator

import pytest

from pilothouse import cli
from pilothouse.testing.server import InProcess

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with InProcess(["--test-api", "--storage-backend=sqlite"]) as started:
        started.root.call("POST", MAPS, {"metadata": {"name": "a"}, "data": {"a": "b"}})
        yield started


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = cli.main(["fork", *words])
    found = capsys.readouterr()
    return status, found.out + found.err


@pytest.mark.parametrize("source", ["--data-dir", "--kubeconfig"])
def test_a_state_is_saved_and_a_server_starts_from_it(
    server: InProcess, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, source: str
) -> None:
    named = server.kubeconfig if source == "--kubeconfig" else server.directory
    file = tmp_path / "state"
    status, text = run(capsys, "save", str(file), f"{source}={named}", "-o", "json")
    assert status == 0, text
    told = json.loads(text)
    assert file.stat().st_mode & 0o777 == 0o600 and told["size"] == file.stat().st_size
    assert {"ca.key", "sa.key", "front-proxy-ca.key"} <= set(told["keys"])
    with InProcess([f"--from-state={file}"]) as other:
        assert other.root.call("GET", f"{MAPS}/a")["data"] == {"a": "b"}
        assert (other.directory / "sa.key").read_bytes() == (server.directory / "sa.key").read_bytes()


def test_what_is_in_a_state_is_told(
    server: InProcess, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    run(capsys, "save", str(tmp_path / "state"), f"--data-dir={server.directory}")
    text = run(capsys, "show", str(tmp_path / "state"))[1]
    assert "\nobjects   " in text and "\nkeys      admin.crt, " in text


def test_what_cannot_be_saved(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    file = str(tmp_path / "state")
    status, text = run(capsys, "save", file, f"--data-dir={tmp_path}")
    assert status == 1 and text == f"Error: {tmp_path}/state.db does not exist\n"
    with InProcess() as plain:
        status, text = run(capsys, "save", file, f"--kubeconfig={plain.kubeconfig}")
    assert status == 1 and "does not tell its state: start it with --test-api or --simulate" in text
    assert not pathlib.Path(file).exists()
    pathlib.Path(file).write_text("no state")
    status, text = run(capsys, "show", file)
    assert status == 1 and "is no state that `pilothouse fork save` has written" in text
    assert run(capsys, "show")[0] == 2 and run(capsys, "keep", file)[0] == 2
