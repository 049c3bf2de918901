"""Kubeconfig files for other services."""

import base64
import json
import pathlib
from typing import Any

import pytest

from pilothouse.outbound.kubeconfig import files_of, read_kubeconfig, read_users
from pilothouse.pki import CertificateAuthority


def kubeconfig(folder: pathlib.Path, url: str, ca: bytes, user: dict[str, Any]) -> pathlib.Path:
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "s", "user": "u"}}],
        "clusters": [
            {
                "name": "s",
                "cluster": {"server": url, "certificate-authority-data": base64.b64encode(ca).decode()},
            }
        ],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "webhook.kubeconfig"
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("user", "headers"),
    [
        ({}, []),
        ({"token": "t"}, [("Authorization", "Bearer t")]),
        ({"tokenFile": "token"}, [("Authorization", "Bearer from a file")]),
        ({"username": "u", "password": "p"}, [("Authorization", "Basic dTpw")]),
    ],
)
def test_who_asks(tmp_path: pathlib.Path, user: dict[str, Any], headers: list[tuple[str, str]]) -> None:
    (tmp_path / "token").write_text("from a file\n")
    url, found, trust = read_kubeconfig(kubeconfig(tmp_path, "https://h", b"pem", user))
    assert (url, found, trust.ca) == ("https://h", headers, b"pem")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "yaml: line 1: did not find expected node content"),
        ("[]", "the file must be an object"),
        ("text", "the file must be an object"),
        ("{}", "there is no current-context"),
        ("current-context: x\ncontexts: []", "there is no context x"),
        ("current-context: x\ncontexts: {x: y}", "contexts must be a list"),
        ("current-context: x\ncontexts: [x]", "each of contexts must be an object"),
        ("current-context: x\ncontexts: [{name: x, context: y}]", "the context x must be an object"),
        ("current-context: x\ncontexts: [{name: x}]", "no cluster is chosen"),
        (
            "current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\nclusters: [{name: c}]",
            "the cluster has no server",
        ),
    ],
)
def test_no_kubeconfig(tmp_path: pathlib.Path, text: str, why: str) -> None:
    path = tmp_path / "bad"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"^invalid configuration: {path}: {why}"):
        read_kubeconfig(path)
    assert files_of(str(path)) == [str(path)]


def test_an_inline_certificate_leaves_no_file(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL reads certificates from files alone: the one that is made for it is removed."""
    cert, key = CertificateAuthority.create("ca").issue("webhook", server=False)
    user = {
        "client-certificate-data": base64.b64encode(cert).decode(),
        "client-key-data": base64.b64encode(key).decode(),
    }
    made = tmp_path / "made"
    made.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(made))
    trust = read_kubeconfig(kubeconfig(tmp_path, "https://h", b"", user)).trust
    assert (trust.cert, trust.key, trust.cert_file, trust.key_file) == (cert, key, "", "")
    trust.context()
    assert list(made.iterdir()) == []
    assert key.decode() not in repr(trust)


def test_a_certificate_in_files_is_relative_to_the_kubeconfig(tmp_path: pathlib.Path) -> None:
    cert, key = CertificateAuthority.create("ca").issue("webhook", server=False)
    (tmp_path / "c.pem").write_bytes(cert)
    (tmp_path / "k.pem").write_bytes(key)
    user = {"client-certificate": "c.pem", "client-key": "k.pem"}
    trust = read_kubeconfig(kubeconfig(tmp_path, "https://h", b"", user)).trust
    assert (trust.cert_file, trust.key_file) == (str(tmp_path / "c.pem"), str(tmp_path / "k.pem"))
    trust.context()


USERS = {
    "hook.ns.svc:8443": "exact",
    "*.ns.svc:8443": "namespace",
    "hook.ns.svc": "without port",
    "*.svc": "services",
    "default": "of the context",
}


@pytest.mark.parametrize(
    ("host", "token"),
    [
        ("hook.ns.svc:8443", "exact"),
        ("other.ns.svc:8443", "namespace"),
        ("hook.ns.svc:443", "without port"),
        ("other.ns.svc:443", "services"),
        ("other.ns.svc:444", "of the context"),
        ("example.com:443", "of the context"),
    ],
)
def test_users_by_host(tmp_path: pathlib.Path, host: str, token: str) -> None:
    path = tmp_path / "k"
    users = [{"name": name, "user": {"token": text}} for name, text in USERS.items()]
    context = {"contexts": [{"name": "c", "context": {"user": "default"}}], "current-context": "c"}
    path.write_text(json.dumps({"users": users, **context}))
    assert read_users(path).for_host(host).headers == [("Authorization", f"Bearer {token}")]
    path.write_text(json.dumps({"users": [*users, {"name": "*", "user": {}}], **context}))
    found = read_users(path).for_host(host).headers
    assert found == ([] if token == "of the context" else [("Authorization", f"Bearer {token}")])


def test_a_user_that_acts_as_another_one(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "k"
    user = {"as": "jane", "as-uid": "5", "as-groups": ["a", "b"], "as-user-extra": {"x/y": ["1"]}}
    path.write_text(json.dumps({"users": [{"name": "*", "user": user}]}))
    assert read_users(path).for_host("h:443").headers == [
        ("Impersonate-User", "jane"),
        ("Impersonate-Uid", "5"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-x%2Fy", "1"),
    ]


@pytest.mark.parametrize(
    "text", ["[", "[1]", "{users: [{user: {}}]}", "{users: [{name: a, user: {exec: {command: x}}}]}"]
)
def test_users_that_cannot_be_read(tmp_path: pathlib.Path, text: str) -> None:
    path = tmp_path / "k"
    path.write_text(text)
    with pytest.raises(ValueError, match="invalid configuration"):
        read_users(path)


def test_the_files_that_it_names(tmp_path: pathlib.Path) -> None:
    user = {"client-certificate": "tls.crt", "client-key": "/k", "tokenFile": "token"}
    path = kubeconfig(tmp_path, "https://h", b"pem", user)
    named = [str(path), f"{tmp_path}/tls.crt", "/k", f"{tmp_path}/token"]
    assert files_of(str(path)) == named, "the CA is inline"
    config = json.loads(path.read_text())
    config["clusters"][0]["cluster"] = {"server": "https://h", "certificate-authority": "ca.crt"}
    path.write_text(json.dumps(config))
    assert set(files_of(str(path))) == {*named, f"{tmp_path}/ca.crt"}


@pytest.mark.parametrize("text", ["{", "[]", "{}", None])
def test_what_is_no_kubeconfig_names_none(tmp_path: pathlib.Path, text: str | None) -> None:
    path = tmp_path / "bad"
    if text is not None:
        path.write_text(text)
    assert files_of(str(path)) == [str(path)]


@pytest.mark.parametrize(
    "text",
    [
        "password: *hunter2",
        "password: {hunter2: 1",
        "a: b\n password: hunter2\n c: d",
        "hunter2: 1\nhunter2: 2",
    ],
)
def test_an_error_quotes_no_password(tmp_path: pathlib.Path, text: str) -> None:
    """The error is told in the log and by an Event when the file has changed."""
    path = tmp_path / "bad"
    path.write_text(text)
    for read in (read_kubeconfig, read_users):
        try:
            read(path)
        except ValueError as error:
            assert "hunter2" not in str(error)


def test_another_context_than_the_current_one(tmp_path: pathlib.Path) -> None:
    path = kubeconfig(tmp_path, "https://a", b"", {"token": "t"})
    config = json.loads(path.read_text())
    config["contexts"].append({"name": "other", "context": {"cluster": "other"}})
    config["clusters"].append({"name": "other", "cluster": {"server": "https://b"}})
    path.write_text(json.dumps(config))
    found = read_kubeconfig(path, "other")
    assert (found.server, found.headers, read_kubeconfig(path).server) == ("https://b", [], "https://a")
    with pytest.raises(ValueError, match="there is no context none"):
        read_kubeconfig(path, "none")
