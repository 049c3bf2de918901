"""A server whose authorizers come from --authorization-config:
a real webhook, its conditions, and changes of the file."""

import http.server
import json
import pathlib
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from eventually import eventually

from pilothouse.testing.server import InProcess

TOKENS = "jane-token,jane,1,dev\njoe-token,joe,2,dev\n"


class Webhook(http.server.ThreadingHTTPServer):
    """Allows jane whatever she asks, and fails for others while `broken`."""

    broken = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(review["spec"])
        allowed = review["spec"]["user"] == "jane"
        body = json.dumps({**review, "status": {"allowed": allowed, "reason": "by the webhook"}}).encode()
        self.send_response(403 if self.server.broken else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    server = Webhook()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def configuration(kubeconfig: pathlib.Path, *conditions: str) -> str:
    webhook = {
        "timeout": "5s",
        "cacheAuthorizedRequests": False,
        "cacheUnauthorizedRequests": False,
        "subjectAccessReviewVersion": "v1",
        "matchConditionSubjectAccessReviewVersion": "v1",
        "failurePolicy": "Deny",
        "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": str(kubeconfig)},
        "matchConditions": [{"expression": text} for text in conditions],
    }
    return json.dumps(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AuthorizationConfiguration",
            "authorizers": [
                {"type": "Webhook", "name": "mine.example", "webhook": webhook},
                {"type": "Node", "name": "node"},
                {"type": "RBAC", "name": "rbac"},
            ],
        }
    )


class Cluster:
    def __init__(self, server: InProcess, file: pathlib.Path, kubeconfig: pathlib.Path) -> None:
        self.server, self.file, self.kubeconfig = server, file, kubeconfig

    def configure(self, *conditions: str) -> None:
        self.file.write_text(configuration(self.kubeconfig, *conditions))

    def ask(self, token: str, path: str = "/api/v1/namespaces/default/pods") -> tuple[int, Any]:
        request = urllib.request.Request(
            self.server.url + path, headers={"Authorization": f"Bearer {token}"} if token else {}
        )
        context = ssl.create_default_context(cafile=str(self.server.ca_file))
        if not token:
            context = self.server.context()
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as err:
            with err:
                return err.code, json.load(err)["message"]


@pytest.fixture(scope="module")
def cluster(webhook: Webhook, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("authorization")
    kubeconfig, file, tokens = folder / "kubeconfig", folder / "config.yaml", folder / "tokens.csv"
    tokens.write_text(TOKENS)
    kubeconfig.write_text(
        json.dumps(
            {
                "current-context": "w",
                "contexts": [{"name": "w", "context": {"cluster": "w"}}],
                "clusters": [
                    {"name": "w", "cluster": {"server": f"http://127.0.0.1:{webhook.server_address[1]}/"}}
                ],
            }
        )
    )
    file.write_text(configuration(kubeconfig))
    with InProcess([f"--authorization-config={file}", f"--token-auth-file={tokens}"]) as server:
        yield Cluster(server, file, kubeconfig)


def test_the_webhook_decides(cluster: Cluster, webhook: Webhook) -> None:
    assert cluster.ask("jane-token")[0] == 200
    code, message = cluster.ask("joe-token")
    assert code == 403 and message.endswith('in the namespace "default": by the webhook')
    assert webhook.asked[-1]["resourceAttributes"]["resource"] == "pods"
    webhook.broken = True
    try:
        code, message = cluster.ask("joe-token")
        assert code == 500 and message.startswith(
            'Internal Server Error: "/api/v1/namespaces/default/pods": POST http://127.0.0.1:'
        )
    finally:
        webhook.broken = False
    _, metrics = cluster.ask("", "/metrics")
    assert (
        'apiserver_authorization_decisions_total{decision="allowed",name="mine.example",type="Webhook"}'
        in metrics
    )


@pytest.mark.slow
def test_a_new_configuration_comes_into_force(cluster: Cluster, webhook: Webhook) -> None:
    cluster.configure("request.user != 'jane'")
    eventually(lambda: cluster.ask("jane-token")[0] == 403, "the new conditions", 20)
    seen = len(webhook.asked)
    assert cluster.ask("jane-token")[0] == 403 and len(webhook.asked) == seen
    _, metrics = cluster.ask("", "/metrics")
    assert 'automatic_reloads_total{apiserver_id_hash="sha256:' in metrics
