"""Streams of pods against a server in another process: its end, its memory, and who leaves first."""

import contextlib
import json
import pathlib
import signal
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from clients.cluster_streams import PODS, fill
from clients.drivers import Raw
from eventually import eventually
from streaming_kubelet import StreamingKubelet
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from pilothouse.testing.server import Subprocess

pytestmark = pytest.mark.slow

V5 = "v5.channel.k8s.io"


class Site:
    """A server, a kubelet, and clients of exec."""

    def __init__(self, server: Subprocess, kubelet: StreamingKubelet) -> None:
        self.server, self.kubelet = server, kubelet

    def exec(self, pod: str, command: str, protocol: str = V5, **more: Any) -> ClientConnection:
        """A WebSocket to a command; its window is small, so that what is not read is held elsewhere."""
        query = f"command=sh&command=-c&command={command}&stdin=1&stdout=1"
        return self.connect(f"{PODS}/{pod}/exec?{query}", subprotocols=[protocol], **more)

    def connect(self, target: str, **more: Any) -> ClientConnection:
        """A WebSocket to any path."""
        options: dict[str, Any] = {"ssl": self.server.context(), "max_size": None, "compression": None}
        url = self.server.url.replace("https", "wss") + target
        return connect(url, **(options | {"close_timeout": 0.5} | more))

    def memory(self) -> int:
        process = self.server.process
        assert process is not None
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmRSS"))


@contextlib.contextmanager
def started(folder: pathlib.Path) -> Iterator[Site]:
    """A site whose kubelet has a folder."""
    with StreamingKubelet(folder) as kubelet, Subprocess() as server:
        raw = Raw(server)
        fill(raw, kubelet)
        raw.connection.close()
        yield Site(server, kubelet)


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Iterator[Site]:
    """For a test that ends the server, or measures its memory."""
    with started(tmp_path) as site:
        yield site


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For tests that leave the server as it is."""
    with started(tmp_path_factory.mktemp("standing")) as site:
        yield site


def received(connection: ClientConnection) -> tuple[dict[int, bytes], int]:
    """The bytes that came by each channel, and the code of the close."""
    out: dict[int, bytes] = {}
    try:
        while True:
            data = connection.recv(timeout=20)
            assert isinstance(data, bytes)
            out[data[0]] = out.get(data[0], b"") + data[1:]
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        return out, closed.rcvd.code


@pytest.mark.parametrize("pod", ["old", "new"])
def test_a_shutdown_ends_what_is_open(site: Site, pod: str) -> None:
    process = site.server.process
    assert process is not None
    with site.exec(pod, "echo%20ready;%20cat".replace(";", "%3B")) as open_:
        while open_.recv(timeout=10) != b"\x01ready\n":
            pass
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        if pod == "old":
            assert received(open_)[1] == 1001, "going away"
        else:
            with pytest.raises(ConnectionClosed):
                open_.recv(timeout=10)
        assert process.wait(10) == 0
        assert time.monotonic() - start < 5
    eventually(lambda: site.kubelet.open == 0, "the kubelet to be left")


@pytest.mark.parametrize("pod", ["old", "new"])
def test_a_client_that_does_not_read_costs_no_memory(site: Site, pod: str) -> None:
    before = site.memory()
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(site.exec(pod, "exec%20cat%20/dev/zero", max_queue=1))
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert site.memory() - before < 24 << 20
            time.sleep(0.01)
        with site.exec(pod, "exit%203") as other:
            out, code = received(other)
            assert code == 1000 and json.loads(out[3])["reason"] == "NonZeroExitCode", "others are served"
    eventually(lambda: site.kubelet.open == 0, "the kubelet to be left")


@pytest.mark.parametrize("pod", ["old", "new"])
def test_a_command_that_does_not_read_costs_no_memory(site: Site, pod: str) -> None:
    before = site.memory()
    part = b"\x00" + b"x" * (1 << 20)
    sent = 0
    with site.exec(pod, "exec%20sleep%20100") as client:
        client.recv(timeout=10)
        client.socket.settimeout(1)
        with contextlib.suppress(TimeoutError, OSError, ConnectionClosed):
            for _ in range(200):
                client.send(part)
                sent += len(part)
        assert sent < 200 * len(part), "somebody takes it all"
        assert site.memory() - before < 24 << 20


def test_a_kubelet_that_never_answers_holds_nobody(standing: Site) -> None:
    raw = Raw(standing.server)
    from clients.cluster_streams import create_pod

    create_pod(raw, "never", "n-old")
    with standing.exec("never", "true") as waiting:
        assert waiting.recv(timeout=10) == b"\x01"
        eventually(lambda: len(standing.kubelet.hanging) == 1, "the kubelet to be asked")
        assert raw.ok("GET", f"{PODS}/never")["metadata"]["name"] == "never"
    raw.connection.close()


def test_garbage_after_the_upgrade_ends_only_its_connection(standing: Site) -> None:
    with standing.exec("old", "exec%20cat") as good:
        good.recv(timeout=10)
        for garbage in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x82\x05hello",
            struct.pack(">BBQ", 0x82, 0xFF, 1 << 63),
        ):
            with standing.exec("old", "exec%20cat") as bad:
                bad.socket.sendall(garbage)
                with pytest.raises(ConnectionClosed):  # noqa: PT012 -- it ends the loop
                    while bad.recv(timeout=10):
                        pass
        good.send(b"\x00still here")
        assert good.recv(timeout=10) == b"\x01still here"


def test_a_watch_and_a_log(standing: Site) -> None:
    raw = Raw(standing.server)
    maps = "/api/v1/namespaces/default/configmaps"
    with (
        standing.connect(f"{maps}?watch=1", max_queue=1) as watch,
        standing.connect(f"{PODS}/old/log?follow=1") as log,
    ):
        assert log.recv(timeout=10) == b"" and log.recv(timeout=10) == b"first\n"
        standing.kubelet.say(b"second\n")
        assert log.recv(timeout=10) == b"second\n"
        for number in range(12):  # less than what ends a watch that is not read
            raw.ok("POST", maps, {"metadata": {"name": f"m-{number}"}, "data": {"k": "x" * 300_000}})
        names: list[str] = []
        while len(names) < 12:
            event = json.loads(watch.recv(timeout=10))
            if event["object"]["metadata"]["name"].startswith("m-"):
                names.append(event["object"]["metadata"]["name"])
        assert names == [f"m-{number}" for number in range(12)], "also those that waited"
        assert watch.ping().wait(10)
    eventually(lambda: standing.kubelet.following == 0, "the kubelet to be left")
    raw.connection.close()
