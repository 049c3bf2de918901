"""The front proxy that a server makes for itself: what it may say, and that nobody else may."""

import json
import pathlib
import ssl
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from pilothouse.pki import CertificateAuthority
from pilothouse.testing.server import InProcess

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
CONFIG_MAP = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
HEADERS = {
    "X-Remote-User": "jane",
    "X-Remote-Group": "dev",
    "X-Remote-Uid": "u1",
    "X-Remote-Extra-Scope": "a",
}


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with InProcess() as started:
        yield started


def context(server: InProcess, name: str) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(server.ca_file))
    made.load_cert_chain(server.directory / f"{name}.crt", server.directory / f"{name}.key")
    return made


def who(server: InProcess, trust: ssl.SSLContext, headers: dict[str, str]) -> Any:
    request = urllib.request.Request(server.url + REVIEWS, b'{"spec": {}}', headers, method="POST")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, context=trust, timeout=10) as answer:
        return json.loads(answer.read())["status"]["userInfo"]


def test_it_speaks_for_others(server: InProcess) -> None:
    user = who(server, context(server, "front-proxy-client"), HEADERS)
    assert (user["username"], user["uid"], user["groups"]) == ("jane", "u1", ["dev", "system:authenticated"])
    assert user["extra"] == {"scope": ["a"]}
    with pytest.raises(urllib.error.HTTPError, match="401"):
        who(server, context(server, "front-proxy-client"), {})


def test_nobody_else_does(server: InProcess) -> None:
    assert who(server, context(server, "admin"), HEADERS)["username"] == "kubernetes-admin"


def test_its_ca_signs_for_no_other_name(server: InProcess, tmp_path: pathlib.Path) -> None:
    data = server.directory
    authority = CertificateAuthority.load(data / "front-proxy-ca.crt", data / "front-proxy-ca.key")
    cert, key = authority.issue("other", server=False)
    (tmp_path / "pair").write_bytes(cert + key)
    trust = ssl.create_default_context(cafile=str(server.ca_file))
    trust.load_cert_chain(tmp_path / "pair")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        who(server, trust, HEADERS)


def test_aggregated_servers_find_its_ca(server: InProcess) -> None:
    with urllib.request.urlopen(server.url + CONFIG_MAP, context=server.context(), timeout=10) as answer:
        data = json.loads(answer.read())["data"]
    assert data["requestheader-client-ca-file"] == (server.directory / "front-proxy-ca.crt").read_text()
    assert data["requestheader-allowed-names"] == '["front-proxy-client"]'
    assert data["client-ca-file"] == server.ca_file.read_text()
