"""Auditing of a whole server: what the flags make of it."""

import asyncio
import http.client
import http.server
import json
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from audit.kept import policy
from eventually import eventually

from pilothouse.assembly.audit import auditor
from pilothouse.audit.log_backend import LogBackend
from pilothouse.audit.webhook_backend import WebhookBackend
from pilothouse.configuration import options
from pilothouse.lifecycle import Opened
from pilothouse.metrics.instruments import MetricsRegistry
from pilothouse.outbound.http import Outbound
from pilothouse.testing.server import InProcess

ALL = policy({"level": "Metadata", "omitStages": ["RequestReceived"]})


@pytest.fixture
def policy_file(tmp_path: pathlib.Path) -> str:
    path = tmp_path / "policy.yaml"
    path.write_bytes(ALL)
    return f"--audit-policy-file={path}"


def lines(path: pathlib.Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def get(server: InProcess, path: str, audit_id: str) -> tuple[int, str]:
    host, _, port = server.url.removeprefix("https://").partition(":")
    connection = http.client.HTTPSConnection(host, int(port), context=server.context())
    connection.request("GET", path, headers={"Audit-ID": audit_id})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_a_server_writes_its_log(tmp_path: pathlib.Path, policy_file: str) -> None:
    path = tmp_path / "logs" / "audit.log"
    with InProcess([policy_file, f"--audit-log-path={path}"]) as server:
        assert get(server, "/api/v1/namespaces/default", "my-own")[0] == 200
        eventually(lambda: any(event["auditID"] == "my-own" for event in lines(path)), "the line")
        (event,) = (event for event in lines(path) if event["auditID"] == "my-own")
        assert (event["verb"], event["sourceIPs"]) == ("get", ["127.0.0.1"])
        assert event["objectRef"] == {
            "resource": "namespaces",
            "namespace": "default",
            "name": "default",
            "apiVersion": "v1",
        }
        _, metrics = get(server, "/metrics", "metrics")
        assert "\napiserver_audit_event_total " in metrics
        assert '\napiserver_audit_level_total{level="Metadata"} ' in metrics
        assert "\napiserver_audit_requests_rejected_total 0\n" in metrics
    assert any(event["auditID"] == "metrics" for event in lines(path)), "the end is written as well"


class Service(http.server.BaseHTTPRequestHandler):
    """Takes lists of events."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.headers["Authorization"], json.loads(body)))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Any]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.got = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def kubeconfig(tmp_path: pathlib.Path, port: int) -> str:
    path = tmp_path / "webhook.kubeconfig"
    path.write_text(
        json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}/audit"}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
            }
        )
    )
    return f"--audit-webhook-config-file={path}"


def test_a_server_sends_its_events(tmp_path: pathlib.Path, policy_file: str, service: Any) -> None:
    flags = [policy_file, kubeconfig(tmp_path, service.server_port), "--audit-webhook-batch-max-wait=10ms"]
    with InProcess(flags) as server:
        assert get(server, "/version", "my-own")[0] == 200

        def found() -> bool:
            return any(
                event["auditID"] == "my-own" and "kind" not in event
                for token, body in list(service.got)
                for event in body["items"]
                if token == "Bearer t" and body["kind"] == "EventList"
            )

        eventually(found, "the event")


def made(*flags: str) -> Any:
    """The auditor of a command line, and what it was opened with."""

    async def body() -> Any:
        async with Opened() as opened:
            config = options.parse(list(flags))
            return auditor(config.audit, Outbound(), MetricsRegistry(), opened)

    return asyncio.run(body())


def test_without_a_policy_nothing_is_recorded(tmp_path: pathlib.Path) -> None:
    assert made() is None
    path = tmp_path / "audit.log"
    assert made(f"--audit-log-path={path}") is None
    assert path.read_bytes() == b"", "upstream makes the file all the same"


def test_a_policy_without_back_ends_is_checked(tmp_path: pathlib.Path, policy_file: str) -> None:
    assert made(policy_file) is None
    path = tmp_path / "wrong.yaml"
    path.write_bytes(policy({}))
    with pytest.raises(
        ValueError, match=r"loading audit policy file: rules\[0\].level: Required value: from file"
    ):
        made(f"--audit-policy-file={path}")


def test_what_cannot_be_used_ends_the_start(tmp_path: pathlib.Path, policy_file: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match=r"ensureLogFile: open .*: file exists"):
        made(policy_file, f"--audit-log-path={tmp_path}/file/audit.log")
    (tmp_path / "webhook").write_text("{}")
    with pytest.raises(ValueError, match="initializing audit webhook: invalid configuration"):
        made(policy_file, f"--audit-webhook-config-file={tmp_path}/webhook")


def test_the_flags_configure_the_back_ends(tmp_path: pathlib.Path, policy_file: str) -> None:
    found = made(
        policy_file,
        f"--audit-log-path={tmp_path}/audit.log",
        "--audit-log-mode=blocking-strict",
        "--audit-log-format=legacy",
        "--audit-log-truncate-enabled",
        kubeconfig(tmp_path, 1),
        "--audit-webhook-mode=blocking",
    )
    log, webhook = found.backends
    assert isinstance(log, LogBackend) and isinstance(webhook, WebhookBackend)
    assert (log.strict, log.legacy, webhook.strict, webhook.waits) == (True, True, False, True)
    assert found.legacy
