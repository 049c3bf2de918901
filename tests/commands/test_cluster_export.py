"""`pilothouse cluster export`: a logical cluster goes on as a server of its own."""

import base64
import contextlib
import json
import pathlib
import shutil
from typing import Any

import pytest
from eventually import eventually

from pilothouse import cli
from pilothouse.commands.api import Api, ApiError
from pilothouse.storage.sqlite.file import DataDirectory, read_key
from pilothouse.testing.server import InProcess, Subprocess

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TOKEN = "/api/v1/namespaces/default/serviceaccounts/default/token"
OF_A_SERVER = ("kube-root-ca.crt", "extension-apiserver-authentication")
"""Objects that hold the CA of the server."""


def entered(server: InProcess, name: str) -> Api:
    target = server.directory / f"{name}.kubeconfig"
    flags = [f"--data-dir={server.directory}", f"--kubeconfig={server.kubeconfig}"]
    assert cli.main(["cluster", "kubeconfig", name, *flags, f"--write-kubeconfig={target}"]) == 0
    return Api(target)


def cluster(server: InProcess, *words: str) -> int:
    return cli.main(["cluster", *words, f"--kubeconfig={server.kubeconfig}"])


def export(server: InProcess, name: str, target: pathlib.Path, *flags: str) -> int:
    return cli.main(["cluster", "export", name, str(target), f"--data-dir={server.directory}", *flags])


def objects(api: Api) -> dict[tuple[str, str, str], Any]:
    """All objects of some kinds, by kind, namespace and name."""
    paths = ("namespaces", "configmaps", "serviceaccounts", "secrets", "services")
    found = {}
    for path in (*(f"/api/v1/{one}" for one in paths), DEFINITIONS, "/apis/example.com/v1/widgets"):
        for one in api.call("GET", path)["items"]:
            found[path, one["metadata"].get("namespace", ""), one["metadata"]["name"]] = one
    return found


WIDGETS = {
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [{"name": "v1", "served": True, "storage": True,
                      "schema": {"openAPIV3Schema": {"type": "object",
                                                     "x-kubernetes-preserve-unknown-fields": True}}}],
    },
}  # fmt: skip


@pytest.mark.slow
def test_a_server_of_its_own_goes_on_with_it(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Objects are those of the cluster to the last byte; what was deleted and what belongs to others is not
    there; clients with a revision of before list anew; tokens stay good with the key and the issuer."""
    file, key = tmp_path / "file", tmp_path / "sa.key"
    with InProcess(["--clusters", "--storage-backend=sqlite"]) as server:
        assert cluster(server, "create", "first", "other") == 0
        first = entered(server, "first")
        first.call("POST", CONFIG_MAPS, {"metadata": {"name": "inherited"}})
        first.call("POST", CONFIG_MAPS, {"metadata": {"name": "dropped"}})
        assert cluster(server, "copy", "first", "shop") == 0
        entered(server, "other").call("POST", CONFIG_MAPS, {"metadata": {"name": "foreign"}})
        shop = entered(server, "shop")
        made = shop.call("POST", CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"k": "old"}})
        shop.call("PUT", f"{CONFIG_MAPS}/a", {**made, "data": {"k": "new"}})
        shop.call("POST", DEFINITIONS, WIDGETS)
        path = "/apis/example.com/v1/namespaces/default/widgets"
        eventually(lambda: _served(shop, path), "the definition is served")
        shop.call("POST", path, {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}})
        token = shop.call("POST", TOKEN, {"spec": {"expirationSeconds": 3600}})["status"]["token"]
        shop.call("DELETE", f"{CONFIG_MAPS}/dropped")
        before = objects(shop)
        issuer = "https://kubernetes.default.svc/clusters/shop"
        capsys.readouterr()
        assert export(server, "shop", file, f"--token-key={key}", "-o", "json") == 0
        told = json.loads(capsys.readouterr().out)
        assert export(server, "shop", file) == 1, "a file is not overwritten"
    assert told["cluster"] == "shop" and file.stat().st_mode & 0o777 == key.stat().st_mode & 0o777 == 0o600
    assert cli.main(["snapshot", "verify", str(file)]) == 0
    lone = Subprocess(
        [
            "--storage-backend=sqlite",
            "--service-account-issuer=https://new",
            f"--service-account-issuer={issuer}",
        ]
    )
    assert cli.main(["snapshot", "restore", str(file), f"--data-dir={lone.directory}"]) == 0
    shutil.copy(key, lone.directory / "sa.key")
    with lone:
        api = Api(lone.kubeconfig)
        assert api.call("GET", f"{CONFIG_MAPS}/inherited")["metadata"]["uid"]
        after = objects(api)
        for name in ("dropped", "foreign"):
            with pytest.raises(ApiError, match="not found"):
                api.call("GET", f"{CONFIG_MAPS}/{name}")
        roots = [known for known in before if known[2] in OF_A_SERVER]
        assert roots, "their CA is that of the new server"
        assert {k: v for k, v in after.items() if k in before and k not in roots} == {
            k: v for k, v in before.items() if k not in roots
        }
        old = made["metadata"]["resourceVersion"]
        with pytest.raises(ApiError, match="is too old"):
            api.call("GET", f"{CONFIG_MAPS}?resourceVersion={old}&resourceVersionMatch=Exact")
        review = {"spec": {"token": token, "audiences": [issuer]}}
        found = api.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
        assert found.get("authenticated"), found


def _served(api: Api, path: str) -> bool:
    try:
        api.call("GET", path)
    except ApiError:
        return False
    return True


@pytest.mark.slow
def test_clusters_that_nobody_has_used_have_uids_of_their_own(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with InProcess(["--clusters", "--storage-backend=sqlite"]) as server:
        assert cluster(server, "create", "a", "b") == 0
        assert export(server, "a", tmp_path / "a") == export(server, "b", tmp_path / "b") == 0
        assert export(server, "none", tmp_path / "none") == 1
        assert f'there is no cluster "none" in {server.directory}' in capsys.readouterr().err
    for name in ("a", "b"):
        assert (
            cli.main(["snapshot", "restore", str(tmp_path / name), f"--data-dir={tmp_path}/of-{name}"]) == 0
        )
    uids = {_identity(tmp_path / f"of-{name}") for name in ("a", "b")}
    assert len(uids) == 2


def _identity(directory: pathlib.Path) -> str:
    with contextlib.closing(DataDirectory(directory).connect()) as db:
        found = read_key(db, "/registry/namespaces/kube-system", 0)
    assert found is not None
    return str(json.loads(found.value)["metadata"]["uid"])


@pytest.mark.slow
def test_the_server_tells_which_cluster_it_is_where_its_store_does_not(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The objects of all clusters are encrypted, and stay so."""
    secret = base64.b64encode(bytes(32)).decode()
    key = {"name": "k", "secret": secret}
    rule = {"resources": ["*.*"], "providers": [{"aesgcm": {"keys": [key]}}, {"identity": {}}]}
    (tmp_path / "encryption").write_text(
        json.dumps(
            {
                "kind": "EncryptionConfiguration",
                "apiVersion": "apiserver.config.k8s.io/v1",
                "resources": [rule],
            }
        )
    )
    flags = ["--storage-backend=sqlite", f"--encryption-provider-config={tmp_path}/encryption"]
    with InProcess(["--clusters", *flags]) as server:
        assert cluster(server, "create", "a") == 0
        entered(server, "a").call(
            "POST", CONFIG_MAPS, {"metadata": {"name": "x"}, "data": {"k": "hidden words"}}
        )
        assert export(server, "a", tmp_path / "a") == 0
        capsys.readouterr()
        assert export(server, "none", tmp_path / "none") == 1
        assert 'there is no cluster "none"' in capsys.readouterr().err
    assert b"hidden words" not in (tmp_path / "a").read_bytes()
    lone = Subprocess(flags)
    assert cli.main(["snapshot", "restore", str(tmp_path / "a"), f"--data-dir={lone.directory}"]) == 0
    with lone:
        assert Api(lone.kubeconfig).call("GET", f"{CONFIG_MAPS}/x")["data"] == {"k": "hidden words"}


def test_what_it_does_not_do(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    data = f"--data-dir={tmp_path}"
    assert cli.main(["cluster", "export", "a", data]) == 2
    assert "takes the name of a cluster and that of a file" in capsys.readouterr().err
    assert cli.main(["cluster", "export", "a", str(tmp_path / "file"), data]) == 1
    assert "there is no kubeconfig: say --kubeconfig or --data-dir" in capsys.readouterr().err
    DataDirectory(tmp_path).open().close()
    assert cli.main(["cluster", "export", "a", str(tmp_path / "file"), data]) == 1
    assert f'there is no cluster "a" in {tmp_path}/state.db' in capsys.readouterr().err
