"""`pilothouse token` with a server."""

import base64
import json
import pathlib
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from pilothouse import cli
from pilothouse.testing.server import InProcess

RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with InProcess() as started:
        yield started


@pytest.fixture(autouse=True)
def fresh(server: InProcess) -> Iterator[None]:
    yield
    server.reset()


def read(server: InProcess, path: str) -> Any:
    with urllib.request.urlopen(server.url + path, context=server.context(), timeout=10) as answer:
        return json.loads(answer.read())


def secret(server: InProcess, token: str) -> dict[str, str]:
    found = read(server, f"/api/v1/namespaces/kube-system/secrets/bootstrap-token-{token.partition('.')[0]}")
    assert found["type"] == "bootstrap.kubernetes.io/token"
    return {key: base64.b64decode(text).decode() for key, text in found["data"].items()}


def run(server: InProcess, *arguments: str) -> int:
    return cli.main(["token", *arguments, f"--data-dir={server.directory}"])


def test_create(server: InProcess, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, "create", "--description=for n1") == 0
    token = capsys.readouterr().out.strip()
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", token)
    data = secret(server, token)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", data.pop("expiration"))
    assert data == {
        "token-id": token[:6],
        "token-secret": token[7:],
        "usage-bootstrap-signing": "true",
        "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
        "description": "for n1",
    }
    bindings = {b["metadata"]["name"]: b for b in read(server, f"{RBAC}/clusterrolebindings")["items"]}
    made = {
        name: (b["roleRef"]["name"], b["subjects"][0]["name"])
        for name, b in bindings.items()
        if name.startswith("kubeadm:") and name != "kubeadm:cluster-admins"
    }
    nodes, requests = (
        "system:bootstrappers:kubeadm:default-node-token",
        "system:certificates.k8s.io:certificatesigningrequests",
    )
    assert made == {
        "kubeadm:get-nodes": ("kubeadm:get-nodes", nodes),
        "kubeadm:kubelet-bootstrap": ("system:node-bootstrapper", nodes),
        "kubeadm:node-autoapprove-bootstrap": (f"{requests}:nodeclient", nodes),
        "kubeadm:node-autoapprove-certificate-rotation": (f"{requests}:selfnodeclient", "system:nodes"),
    }
    assert run(server, "create") == 0, "what is there already is left alone"


def test_create_as_told(
    server: InProcess, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token, target = "abcdef.0123456789abcdef", tmp_path / "kubeconfig"
    more = ["--ttl=0", "--usages=authentication", "--groups=system:bootstrappers:mine"]
    assert run(server, "create", token, *more, f"--write-kubeconfig={target}", "--server=https://lb:1") == 0
    assert capsys.readouterr().out == f"{token}\n"
    assert secret(server, token) == {
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:mine",
    }
    names = [b["metadata"]["name"] for b in read(server, f"{RBAC}/clusterrolebindings")["items"]]
    assert "kubeadm:get-nodes" not in names, "only the group that they are for"
    assert target.stat().st_mode & 0o777 == 0o600
    config = yaml.safe_load(target.read_text())
    assert config["users"][0]["user"] == {"token": token}
    cluster = config["clusters"][0]["cluster"]
    assert cluster["server"] == "https://lb:1"
    assert base64.b64decode(cluster["certificate-authority-data"]) == server.ca_file.read_bytes()
    assert run(server, "create", token) == 1
    assert "already exists" in capsys.readouterr().err


def test_nodes_are_not_sent_to_the_loopback(server: InProcess, tmp_path: pathlib.Path) -> None:
    target = tmp_path / "kubeconfig"
    flags = [f"--write-kubeconfig={target}", "--advertise-address=192.0.2.7"]
    assert run(server, "create", *flags) == 0
    found = yaml.safe_load(target.read_text())["clusters"][0]["cluster"]["server"]
    assert found == f"https://192.0.2.7:{server.port}"


def test_list_and_delete(server: InProcess, capsys: pytest.CaptureFixture[str]) -> None:
    run(server, "create", "aaaaaa.0123456789abcdef", "--ttl=90m", "--description=a word or two")
    run(server, "create", "bbbbbb.0123456789abcdef", "--ttl=0", "--usages=signing", "--groups=")
    run(server, "create", "cccccc.0123456789abcdef", "--ttl=1s")
    capsys.readouterr()
    assert run(server, "list") == 0
    said = capsys.readouterr().out
    assert "0123456789abcdef" not in said, "the secret half of a token"
    head, *rows = [re.split(r" {3,}", line) for line in said.splitlines()]
    assert head == ["ID", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS"]
    assert [row[0] for row in rows] == ["aaaaaa", "bbbbbb", "cccccc"]
    assert rows[0][1] == "1h" and rows[0][3:] == [
        "signing,authentication",
        "a word or two",
        "system:bootstrappers:kubeadm:default-node-token",
    ]
    assert rows[1][1:] == ["<forever>", "<never>", "signing", "<none>", "<none>"]
    assert run(server, "delete", "aaaaaa", "bbbbbb.0123456789abcdef") == 0
    assert capsys.readouterr().out.splitlines() == [
        'bootstrap token "aaaaaa" deleted',
        'bootstrap token "bbbbbb" deleted',
    ]
    assert run(server, "delete", "aaaaaa") == 1
    assert capsys.readouterr().err.startswith(
        'Error: failed to delete bootstrap token "aaaaaa": secrets "bootstrap-token-'
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["dance"], 'unknown command "dance" for "pilothouse token"'),
        (["create", "short"], 'the bootstrap token "short" was not of the form'),
        (["create", "a", "b"], "takes one token at most"),
        (["create", "--usages=dancing"], "invalid bootstrap token usage string: dancing"),
        (["create", "--groups=system:masters"], 'bootstrap group "system:masters" is invalid'),
        (["create", "--usages=signing"], "token groups cannot be specified unless"),
        (["create", "--ttl=-1h"], "--ttl can not be a negative value"),
        (["delete"], "needs the ids of tokens"),
        (["delete", "../x"], "is neither a token nor the id of one"),
        (["list", "x"], "does not take any arguments"),
        (["list", "--ttl=1h"], "unknown flag: --ttl"),
    ],
)
def test_what_it_does_not_do(
    server: InProcess, capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    assert run(server, *arguments) == 2
    assert problem in capsys.readouterr().err


def test_a_token_that_nobody_is_told_is_not_left(server: InProcess, tmp_path: pathlib.Path) -> None:
    assert run(server, "create", f"--write-kubeconfig={tmp_path}") == 1
    path = "/api/v1/namespaces/kube-system/secrets?fieldSelector=type%3Dbootstrap.kubernetes.io/token"
    assert read(server, path)["items"] == []


def test_the_kubeconfig_of_the_environment(
    server: InProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """It counts where no flag names a server."""
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert cli.main(["token", "list"]) == 0
    assert cli.main(["token", "list", f"--data-dir={tmp_path}"]) == 1


def test_without_a_server(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["token", "list", f"--data-dir={tmp_path}"]) == 1
    assert "start the server, or say --kubeconfig or --data-dir" in capsys.readouterr().err
    path = tmp_path / "admin.kubeconfig"
    assert (
        cli.main(
            [
                "kubeconfig",
                "--create",
                f"--data-dir={tmp_path}",
                "--server=https://127.0.0.1:1",
                f"--write-kubeconfig={path}",
            ]
        )
        == 0
    )
    assert cli.main(["token", "list", f"--data-dir={tmp_path}"]) == 1
    assert "https://127.0.0.1:1/api/v1/namespaces/kube-system/secrets" in capsys.readouterr().err
    path.write_text("{}")
    assert cli.main(["token", "list", f"--data-dir={tmp_path}"]) == 1
    assert "invalid configuration" in capsys.readouterr().err
