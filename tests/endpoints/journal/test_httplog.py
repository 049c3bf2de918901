"""The line of the log for each request. The form is that of kube-apiserver v1.36.2 with --v=3."""

import asyncio
import contextlib
import io
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from harness import CONFIG_MAPS, PODS, Rig

from pilothouse import logs
from pilothouse.endpoints.observer import Observer
from pilothouse.server.request import Request

AGENT = {"User-Agent": "kubectl/v1.36.2", "Audit-Id": "one"}
AS_JANE = {"Impersonate-User": "jane", "Impersonate-Group": "system:masters"}


@contextlib.asynccontextmanager
async def logged(
    stream: io.StringIO, level: int = 3, modules: tuple[tuple[str, int], ...] = (), form: str = "json"
) -> AsyncIterator[Rig]:
    """A server that writes its log to `stream`."""
    listener = logs.setup(form, level, modules, stream)
    try:
        async with Rig() as rig:
            yield rig
    finally:
        logs.flush(listener)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """The lines of requests, without those of namespaces that the rig has made."""
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [one for one in found if one["msg"] == "HTTP" and one["URI"] != "/api/v1/namespaces"]


async def test_a_request(runner: asyncio.Runner, stream: io.StringIO) -> None:
    async with logged(stream, form="text") as rig:
        await rig.call("GET", f"{CONFIG_MAPS}?limit=5", headers=AGENT)
    last = stream.getvalue().splitlines()[-1]
    assert re.fullmatch(
        r'I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ httplog\.py:\d+\] "HTTP" verb="LIST"'
        r' URI="/api/v1/namespaces/default/configmaps\?limit=5" latency="[\d.]+(ms|µs)"'
        r' userAgent="kubectl/v1\.36\.2" audit-ID="one" srcIP=":0" user="admin" resp=200',
        last,
    ), last


async def test_each_request_has_one_line(runner: asyncio.Runner, stream: io.StringIO) -> None:
    """Reads that are alike, too, of which other servers make a plan."""
    async with logged(stream) as rig:
        await rig.config_map("a")
        for _ in range(3):
            await rig.call("GET", f"{CONFIG_MAPS}/a")
        assert rig.pipeline.planner is None
        await rig.call("GET", f"{CONFIG_MAPS}/none")
        await rig.call("GET", "/version", user="")
        await rig.call("GET", f"{CONFIG_MAPS}/a", user="nobody-knows")
        await rig.call("GET", f"{CONFIG_MAPS}/%zz")
    assert [(one["verb"], one["user"], one["resp"]) for one in lines(stream)] == [
        ("POST", "admin", 201),
        *[("GET", "admin", 200)] * 3,
        ("GET", "admin", 404),
        ("GET", "system:anonymous", 403),
        ("GET", "system:anonymous", 401),
        ("GET", "system:anonymous", 400),
    ]
    assert all(one["v"] == 3 and one["audit-ID"] and "auditID" not in one for one in lines(stream))


async def test_a_watch_is_told_when_it_ends(runner: asyncio.Runner, stream: io.StringIO) -> None:
    async with logged(stream) as rig:
        watch = await rig.watch(f"{CONFIG_MAPS}?watch=1", headers=AS_JANE)
        await rig.call("GET", "/version")
        watch.close()
    [version, line] = lines(stream)
    assert version["URI"] == "/version", "the watch was open at that time"
    assert (line["verb"], line["user"], line["impersonatedUser"]) == ("WATCH", "admin", "jane")


async def test_a_request_that_is_given_up_has_one_line(runner: asyncio.Runner, stream: io.StringIO) -> None:
    """Its end may be told twice: when it is cancelled, and when its connection ends."""
    async with logged(stream) as rig:
        response = await rig.respond("GET", "/version")
        response.on_done(0, ConnectionResetError())
        response.on_done(0, None)
    assert len(lines(stream)) == 1


async def test_verbs(runner: asyncio.Runner, stream: io.StringIO) -> None:
    apply = {"Content-Type": "application/apply-patch+yaml"}
    merge = {"Content-Type": "application/merge-patch+json"}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    async with logged(stream) as rig:
        await rig.call("PATCH", f"{CONFIG_MAPS}/a?fieldManager=x", config_map, headers=apply)
        await rig.call("PATCH", f"{CONFIG_MAPS}/a", {}, headers=merge)
        await rig.call("DELETE", CONFIG_MAPS)
        await rig.call("HEAD", "/healthz")
    assert [one["verb"] for one in lines(stream)] == ["APPLY", "PATCH", "DELETECOLLECTION", "HEAD"]


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (f"{PODS}/p/exec?command=mysql&command=-psecret", f"{PODS}/p/exec"),
        (f"{PODS}/p/proxy/login?token=secret", f"{PODS}/p/proxy/login"),
        ("/nothing/here?token=secret", "/nothing/here"),
        (f"{PODS}?labelSelector=a%3Db", f"{PODS}?labelSelector=a%3Db"),
        (f"{CONFIG_MAPS}/%zz?token=secret", f"{CONFIG_MAPS}/%zz"),
    ],
)
async def test_queries_that_may_carry_anything_are_left_out(
    target: str, shown: str, runner: asyncio.Runner, stream: io.StringIO
) -> None:
    async with logged(stream) as rig:
        await rig.call("GET", target)
    assert [one["URI"] for one in lines(stream)] == [shown]
    assert "secret" not in stream.getvalue()


async def test_addresses(runner: asyncio.Runner, stream: io.StringIO) -> None:
    async with logged(stream) as rig:
        for peer in (("10.0.0.1", 4242), ("fd00::1", 4242)):
            request = Request("GET", "/version", {}, [], b"", peer)
            response: Any = rig.pipeline.handle(request)
            response.on_done(0, None)
    assert [one["srcIP"] for one in lines(stream)] == ["10.0.0.1:4242", "[fd00::1]:4242"]


async def test_the_cluster(runner: asyncio.Runner, stream: io.StringIO) -> None:
    async with logged(stream) as rig:
        for cluster in (None, "", "shop"):
            request = Request("GET", "/version", {}, [])
            request.cluster = cluster
            response: Any = rig.pipeline.handle(request)
            response.on_done(0, None)
    assert [one.get("cluster") for one in lines(stream)] == [None, None, "shop"]


async def test_one_file_alone(runner: asyncio.Runner, stream: io.StringIO) -> None:
    async with logged(stream, 0, (("httplog", 3),)) as rig:
        await rig.call("GET", "/version")
    assert [one["resp"] for one in lines(stream)] == [200]


async def test_below_its_level_nobody_asks(runner: asyncio.Runner, stream: io.StringIO) -> None:
    async with logged(stream, 2) as rig:
        await rig.call("GET", "/version")
        assert type(rig.pipeline.stages.observer) is Observer and rig.pipeline.planner is not None
    assert lines(stream) == []
