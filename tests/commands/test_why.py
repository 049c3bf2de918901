"""`pilothouse why` with a server."""

import json
import pathlib
from collections.abc import Iterator

import pytest
import yaml

from pilothouse import cli
from pilothouse.commands.api import Api, ApiError
from pilothouse.testing.server import InProcess

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with InProcess() as started:
        yield started


def run(server: InProcess, *arguments: str) -> int:
    return cli.main(["why", *arguments, f"--data-dir={server.directory}"])


def refused(server: InProcess) -> str:
    """The ID of a request that is refused: an invalid object."""
    api = Api(server.kubeconfig)
    with pytest.raises(ApiError):
        api.call("POST", MAPS, {"metadata": {"name": "Bad_"}})
    found = api.call("GET", "/debug/requests?code=422&limit=1")
    return str(found["requests"][0]["auditID"])


@pytest.fixture(autouse=True)
def no_other_kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_a_request_is_explained(server: InProcess, capsys: pytest.CaptureFixture[str]) -> None:
    audit_id = refused(server)
    assert run(server, audit_id) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"request         {audit_id}\n                create {MAPS}\n")
    assert "why             The object is invalid: 1 cause.\n" in text
    assert "cause           metadata.name: Invalid value" in text
    assert "authorization   allowed by system:masters\n" in text
    assert "  admit  NamespaceLifecycle" in text
    assert text.rstrip().split("\n")[-1].startswith("kept by         process ")
    assert run(server, audit_id, "-o", "json") == 0
    (found,) = json.loads(capsys.readouterr().out)["requests"]
    assert found["auditID"] == audit_id


def test_requests_are_listed(server: InProcess, capsys: pytest.CaptureFixture[str]) -> None:
    audit_id = refused(server)
    assert run(server, "--code=422", "--user=kubernetes-admin", "--limit=1") == 0
    head, row, *rest = capsys.readouterr().out.rstrip().split("\n")
    assert head.split() == ["RECEIVED", "USER", "VERB", "PATH", "CODE", "TIME", "AUDIT-ID"]
    assert row.split()[1:5] == ["kubernetes-admin", "create", MAPS, "422"] and row.endswith(audit_id)
    assert rest in ([], ["(there are more: --limit)"])
    assert run(server, "--slow=9h", "-o=json") == 0
    assert json.loads(capsys.readouterr().out)["requests"] == []


def test_the_last_one(server: InProcess, capsys: pytest.CaptureFixture[str]) -> None:
    audit_id = refused(server)
    assert run(server, "--last", "--code=422") == 0
    assert capsys.readouterr().out.startswith(f"request         {audit_id}\n")
    assert run(server, "--last", "--slow=9h") == 1
    assert "no request is like that" in capsys.readouterr().err


def test_a_request_that_nobody_knows(server: InProcess, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, "nope") == 1
    said = capsys.readouterr().err
    assert (
        'Error: no server knows the request "nope": it has not ended yet, or too many have come since' in said
    )
    assert "Asked: process " in said


def test_who_may_not_ask(
    server: InProcess, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    config = yaml.safe_load(server.kubeconfig.read_text())
    config["users"][0]["user"] = {}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    assert run(server, "x", f"--kubeconfig={path}") == 1
    assert 'User "system:anonymous" cannot get path "/debug/requests/x"' in capsys.readouterr().err


def test_which_kubeconfig(
    server: InProcess,
    capsys: pytest.CaptureFixture[str],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = f"--data-dir={tmp_path}"
    assert cli.main(["why", elsewhere]) == 1
    assert (
        "there is no kubeconfig: say --kubeconfig or --data-dir, or set KUBECONFIG" in capsys.readouterr().err
    )
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube/config").write_text(server.kubeconfig.read_text())
    assert cli.main(["why", elsewhere]) == 0
    (tmp_path / ".kube/config").unlink()
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/missing:{server.kubeconfig}")
    assert cli.main(["why", elsewhere]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "b"], '"pilothouse why" takes one audit ID at most'),
        (["a", "--last"], "and none with --last"),
        (["-o", "name"], 'the output format "name", allowed formats are: json,table,wide,yaml'),
        (["--nope"], "unknown flag: --nope"),
        (["--slow", "--limit", "3"], "--slow needs a value, got the flag --limit"),
        (["--user", "--last"], "--user needs a value, got the flag --last"),
        (["--limit=0"], "--limit takes a positive number, got '0'"),
        (["--limit=-1"], "--limit takes a positive number"),
        (["--code=abc"], "--code takes a positive number, got 'abc'"),
    ],
)
def test_bad_command_lines(
    server: InProcess, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(server, *arguments) == 2
    assert said in capsys.readouterr().err
