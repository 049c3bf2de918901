"""A create that goes through webhooks into etcd,
as one trace that a collector, the webhooks and etcd take part in."""

import asyncio
import json
import pathlib
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from eventually import eventually

pytest.importorskip("opentelemetry.sdk")

from collector import Collector, Received
from webhooks import WebhookServer, allow, label

from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.server import Subprocess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server"),
]

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{SPAN}-01", "baggage": "a=b"}
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def server(tmp_path: pathlib.Path, collector: Collector) -> Iterator[Subprocess]:
    file = tmp_path / "traces.yaml"
    file.write_text(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\n"
        f"endpoint: {collector.endpoint}\nsamplingRatePerMillion: 0\n"
    )
    (tmp_path / "etcd").mkdir()
    with (
        EtcdCluster(tmp_path / "etcd") as etcd,
        Subprocess(
            [
                f"--tracing-config-file={file}",
                f"--etcd-servers={etcd.urls[0]}",
                "--storage-backend=etcd3",
                "--v=2",
            ]
        ) as server,
    ):
        yield server


def call(server: Subprocess, method: str, path: str, body: Any = None, **headers: str) -> Any:
    request = urllib.request.Request(
        server.url + path,
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json", **headers},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=10, context=server.context()) as answer:
        return json.load(answer), answer.headers


async def test_one_trace(
    runner: asyncio.Runner, tmp_path: pathlib.Path, server: Subprocess, collector: Collector
) -> None:
    (tmp_path / "hooks").mkdir()
    seen: list[str] = []
    async with WebhookServer(tmp_path / "hooks") as hooks:
        for kind, path, hook in (("mutating", "/m", label("x")), ("validating", "/v", allow)):
            hooks.hooks[path] = hook
            body = {"metadata": {"name": kind}, "webhooks": [hooks.webhook(path)]}
            await asyncio.to_thread(call, server, "POST", f"{ADMISSION}/{kind}webhookconfigurations", body)
        hooks.heard = lambda headers: seen.append(headers.get("traceparent", ""))

        def created(name: str, **headers: str) -> Any:
            return call(server, "POST", CONFIG_MAPS, {"metadata": {"name": name}}, **headers)

        def hooked() -> bool:  # the server reads configurations a moment after they are written
            created(f"a{len(seen)}")
            return len(seen) >= 2

        await asyncio.to_thread(eventually, hooked, "both webhooks to be called")
        assert all(header.endswith("-00") for header in seen), "they are told that nothing is sampled"
        await asyncio.sleep(0)
        assert collector.spans == []
        seen.clear()
        made, head = await asyncio.to_thread(created, "traced", **SAMPLED)
    assert made["metadata"]["labels"] == {"x": "x"}
    await asyncio.to_thread(eventually, lambda: collector.named("Create"), "the spans", 20)
    _check_tree(collector.spans, head["Audit-Id"])
    posts = collector.named("HTTP POST")
    assert sorted(seen) == sorted(f"00-{TRACE}-{post.id}-01" for post in posts)


def _check_tree(spans: list[Received], audit_id: str) -> None:
    by_id = {span.id: span for span in spans}

    def path(span: Received) -> str:
        above = by_id.get(span.parent)
        return f"{path(above)}/{span.name}" if above else span.name.replace("/", "|")

    assert {span.trace_id for span in spans} == {TRACE}
    (root,) = [span for span in spans if span.parent not in by_id]
    assert root.parent == SPAN and root.service["service.name"] == "apiserver"
    assert root.service["service.instance.id"].startswith("apiserver-")
    assert root.attributes["http.response.status_code"] == 201 and root.attributes["audit-id"] == audit_id
    filters = "audit/constrainedimpersonation/priorityandfairness/authorization"
    verb = f"POST |api|v1|namespaces|{{:namespace}}|configmaps/{filters}/Create"
    found = {path(span).removeprefix(verb) for span in spans if path(span).startswith(verb)}
    assert found >= {
        "",
        "/Call mutating webhook",
        "/Call mutating webhook/HTTP POST",
        "/Call validating webhook",
        "/Call validating webhook/HTTP POST",
        "/Create etcd3",
        "/Create etcd3/etcdserverpb.KV/Txn",
        "/SerializeObject",
    }
    (txn,) = [span for span in spans if span.name == "etcdserverpb.KV/Txn"]
    assert (
        txn.attributes["rpc.response.status_code"] == "OK" and txn.attributes["server.address"] == "127.0.0.1"
    )
    for span in spans:
        above = by_id.get(span.parent)
        assert span.started <= span.ended
        if above is not None and span.kind == 3:
            assert above.started <= span.started and span.ended <= above.ended


def test_a_collector_that_is_not_there_keeps_nobody(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "traces.yaml"
    file.write_text(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\n"
        "endpoint: 127.0.0.1:9\nsamplingRatePerMillion: 1000000\n"
    )
    with Subprocess([f"--tracing-config-file={file}"]) as server:
        for _ in range(50):
            call(server, "GET", CONFIG_MAPS)
        request = urllib.request.Request(server.url + "/metrics")
        with urllib.request.urlopen(request, timeout=10, context=server.context()) as answer:
            text = answer.read().decode()
        assert "pilothouse_tracing_exported_spans_total 0" in text
