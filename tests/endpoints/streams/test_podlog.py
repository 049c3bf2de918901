"""Logs of containers, with a real TLS server as kubelet."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from backend import Backend
from eventually import aeventually
from harness import PODS, Rig
from kubelets import LONG, kubelet, node, pod
from metric_samples import samples

from pilothouse.server.request import Response

LOGS = "kube_apiserver_pod_logs"


class Peer:
    """A client that takes nothing until it is asked to."""

    def __init__(self) -> None:
        self.taken, self.waiting, self.most = 0, 0, 0
        self.closed = asyncio.Event()
        self.callbacks: list[Any] = []

    def write(self, data: Any) -> None:
        self.waiting += len(data)
        self.most = max(self.most, self.waiting)

    def buffered(self) -> Any:
        return self.waiting

    def close(self) -> None:
        self.closed.set()

    def abort(self, error: BaseException | None = None) -> None:
        self.close()

    def on_close(self, callback: Any) -> None:
        pass

    def on_drain(self, callback: Any) -> None:
        self.callbacks.append(callback)

    def take(self) -> None:
        self.taken += self.waiting
        self.waiting = 0
        for callback in self.callbacks:
            callback()


async def test_logs_come_from_the_kubelet(rig: Rig, tmp_path: Path) -> None:
    async with Backend(tmp_path, kubelet) as backend:
        await node(rig, backend)
        await pod(rig, "a")
        answer = await rig.call("GET", f"{PODS}/a/log?follow=true&tailLines=5&sinceTime=2020-01-02T03:04:05Z")
        assert (answer.status, answer.body) == (200, "hello\n")
        assert answer.headers["content-type"] == "text/plain"
        assert (
            samples(rig.handlers.streams.metrics)[f'{LOGS}_insecure_backend_total{{usage="enforce_tls"}}']
            == "1"
        )
        assert backend.requests[0][:2] == (
            "GET",
            "/containerLogs/default/a/c?follow=true&sinceTime=2020-01-02T03%3A04%3A05Z&tailLines=5",
        )
        assert "authorization" not in backend.requests[0][2]


async def test_long_logs_go_no_faster_than_the_client(rig: Rig, tmp_path: Path) -> None:
    async with Backend(tmp_path, kubelet) as backend:
        await node(rig, backend)
        await pod(rig, "long")
        response = await rig.handle("GET", f"{PODS}/long/log")
        assert isinstance(response, Response) and response.start is not None
        peer = Peer()
        response.start(peer)
        while not peer.closed.is_set():
            await aeventually(lambda: peer.waiting or peer.closed.is_set(), "a part of the log, or its end")
            peer.take()
        peer.take()
        assert peer.taken == LONG and peer.most < 2 << 20


async def test_what_the_kubelet_refuses(rig: Rig, tmp_path: Path) -> None:
    async with Backend(tmp_path, kubelet) as backend:
        await node(rig, backend)
        await pod(rig, "gone")
        await pod(rig, "broken")
        missing = "the server could not find the requested resource ( pods/log gone)"
        assert await rig.fail(404, "GET", f"{PODS}/gone/log") == missing
        assert await rig.fail(500, "GET", f"{PODS}/broken/log") == "Internal error occurred: oops"


async def test_containers(rig: Rig) -> None:
    await pod(rig, "two", "", ("a", "b"))
    assert await rig.fail(400, "GET", f"{PODS}/two/log") == (
        "a container name must be specified for pod two, choose one of: [a b]"
    )
    assert await rig.fail(400, "GET", f"{PODS}/two/log?container=c") == "container c is not valid for pod two"
    assert (await rig.call("GET", f"{PODS}/two/log?container=a")).status == 204


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("tailLines=many", 400, 'strconv.ParseInt: parsing "many": invalid syntax'),
        (
            "tailLines=-1",
            422,
            'PodLogOptions "p" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
        ),
        (
            "limitBytes=0",
            422,
            'PodLogOptions "p" is invalid: limitBytes: Invalid value: 0: must be greater than 0',
        ),
    ],
)
async def test_log_options(rig: Rig, query: str, status: int, message: str) -> None:
    assert await rig.fail(status, "GET", f"{PODS}/p/log?{query}") == message


async def test_what_is_accepted_is_judged_first(rig: Rig) -> None:
    log = f"{PODS}/nobody/log"
    for accept in ("application/xml", "text/plain", "application/json;as=Table;v=v1;g=meta.k8s.io"):
        assert (await rig.call("GET", log, headers={"Accept": accept})).status == 406
    assert (await rig.call("GET", log, headers={"Accept": "text/html, */*"})).status == 404
    assert (await rig.call("HEAD", log)).status == 405
