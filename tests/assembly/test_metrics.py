"""A whole server with the flags of metrics."""

import asyncio
import pathlib
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from e2e.http_client import Connection

from pilothouse.api.values.identity import RequestInfo
from pilothouse.assembly.server import Server
from pilothouse.configuration import options

DEFINITIONS, SERIES = 200, 3000
CODES = {
    "get": (200, 404),
    "list": (200, 410),
    "watch": (200, 410),
    "create": (201, 409),
    "update": (200, 409),
    "patch": (200, 404),
    "delete": (200, 404),
    "deletecollection": (200, 403),
}
"""The status codes of ordinary requests."""


@asynccontextmanager
async def running(directory: pathlib.Path, *flags: str) -> AsyncIterator[tuple[Server, Connection]]:
    """A server, and an administrator's connection to it."""
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    given = [f"--data-dir={directory}", "--bind-address=127.0.0.1", f"--secure-port={port}"]
    server = Server(options.parse([*given, "--storage-backend=memory", *flags]), sockets=[sock])
    await server.start()
    tls = ssl.create_default_context(cafile=str(directory / "ca.crt"))
    tls.load_cert_chain(directory / "admin.crt", directory / "admin.key")
    admin = Connection(port, tls)
    try:
        yield server, admin
    finally:
        await admin.end()
        await server.stop(drain=1.0)


async def lines(server: Server) -> list[str]:
    text = (await server.host.metrics.expose()).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


def definition(number: int) -> Any:
    group, plural = f"g{number}.example.com", f"widgets{number}"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": f"Widget{number}"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


async def use_everything(server: Server, admin: Connection) -> None:
    """Definitions with an object each, and one request of each verb,
    each scope and the usual codes about every resource."""
    for number in range(DEFINITIONS):
        status, answer = await admin.request(
            "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition(number)
        )
        assert status == 201, answer
    for number in range(DEFINITIONS):
        path = f"/apis/g{number}.example.com/v1/namespaces/default/widgets{number}"
        kind = {
            "apiVersion": f"g{number}.example.com/v1",
            "kind": f"Widget{number}",
            "metadata": {"name": "a"},
        }
        status, answer = await admin.request("POST", path, kind)
        assert status == 201, answer
    catalog = server.cluster.registry.catalog
    for resource in list(catalog.all()):
        for verb in resource.verbs:
            for name, namespace in (("", ""), ("", "default"), ("a", "default")):
                info = RequestInfo(
                    "", verb, True, "", resource.group, resource.version, namespace, resource.plural
                )
                info.name = name
                for code in CODES[verb]:
                    server.cluster.handlers.requests.observe(info, resource, code, 0.01, 100, 1000, {}, {}, 0)


@pytest.mark.slow
def test_the_small_profile_shows_few_series_whatever_is_served(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with running(tmp_path, "--metrics-profile=small") as (server, admin):
            idle = await lines(server)
            await use_everything(server, admin)
            found = await lines(server)
            assert len(found) < SERIES
            assert [line for line in found if "widgets" in line] == []
            assert 'apiserver_storage_objects{resource="custom"} 200' in found
            assert [line for line in idle if 'resource="daemonsets' in line] == [], (
                "an idle resource has none"
            )
            server.host.metrics.limits = None
            assert len(await lines(server)) > 23_000, "all of them without the profile"

    asyncio.run(main())


HIDDEN = {
    "apiserver_flowcontrol_request_concurrency_limit": "apiserver_flowcontrol_nominal_limit_seats",
    "apiserver_flowcontrol_request_concurrency_in_use": "apiserver_flowcontrol_current_executing_seats",
    "apiserver_request_slo_duration_seconds": "apiserver_request_sli_duration_seconds",
    "apiserver_storage_db_total_size_in_bytes": "apiserver_storage_size_bytes",
}
"""Metrics that have been deprecated for so long that they are hidden, and what shows the same."""


def sample(name: str, found: list[str]) -> list[str]:
    """The values of a metric without its buckets, in their order."""
    return [line.rpartition(" ")[2] for line in found if re.match(f"{name}(_sum|_count)?[{{ ]", line)]


def test_hidden_metrics_are_shown_on_request(tmp_path: pathlib.Path) -> None:
    async def main(*flags: str) -> list[str]:
        async with running(tmp_path / str(len(flags)), *flags) as (server, admin):
            assert (await admin.request("GET", "/api/v1/namespaces"))[0] == 200
            return await lines(server)

    found = asyncio.run(main())
    assert not any(sample(name, found) for name in HIDDEN)
    found = asyncio.run(main("--show-hidden-metrics-for-version=1.35"))
    for name, same in HIDDEN.items():
        assert sample(name, found) == sample(same, found) != []


def test_the_flags_leave_out_what_they_say(tmp_path: pathlib.Path) -> None:
    (tmp_path / "labels.yaml").write_text("'apiserver_request_total,verb': 'GET'\n")
    flags = [
        f"--allow-metric-labels-manifest={tmp_path / 'labels.yaml'}",
        "--disabled-metrics=apiserver_request_duration_seconds,process_open_fds",
    ]

    async def main() -> None:
        async with running(tmp_path / "data", *flags) as (server, admin):
            assert (await admin.request("GET", "/api/v1/namespaces/default"))[0] == 200
            assert (await admin.request("GET", "/api/v1/namespaces"))[0] == 200
            found = await lines(server)
            verbs = {re.sub('.*verb="', "", line)[:4] for line in found if "apiserver_request_total{" in line}
            assert verbs == {'GET"', "unex"}
            assert not any(re.match("apiserver_request_duration|process_open_fds", line) for line in found)
            assert "cardinality_enforcement_unexpected_categorizations_total 1" in found

    asyncio.run(main())
