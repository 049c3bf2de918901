"""Exec and port-forward with the clients in Python, which speak WebSockets of versions 4 and 5."""

import asyncio
import gc
import socketserver
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import kr8s
import kubernetes
import lightkube
import pytest
from clients.cluster_streams import fill
from clients.drivers import Raw
from kr8s.objects import Pod
from kubernetes.stream import portforward, stream
from streaming_kubelet import StreamingKubelet

from pilothouse.testing.ports import free_ports
from pilothouse.testing.server import APIServer, InProcess

pytestmark = [
    pytest.mark.filterwarnings("ignore:Kubernetes version:UserWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # they leave sockets open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

SCRIPT = ["sh", "-c", "cat; echo err >&2; exit 4"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[APIServer]:
    with StreamingKubelet(tmp_path_factory.mktemp("kubelet")) as kubelet, InProcess() as server:
        raw = Raw(server)
        fill(raw, kubelet)
        yield server
        raw.connection.close()
    gc.collect()  # what the clients leave open is warned about here, where it is overlooked


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a web server in the pod."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + b"page" * 50_000)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def core(server: APIServer) -> Any:
    return kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(str(server.kubeconfig)))


@pytest.mark.parametrize("pod", ["old", "new"])
def test_kubernetes(server: APIServer, pod: str) -> None:
    asked = {"stdin": True, "stdout": True, "stderr": True, "tty": False, "_preload_content": False}
    shell = stream(
        core(server).connect_get_namespaced_pod_exec,
        pod,
        "default",
        command=["sh", "-c", "head -c 5; echo err >&2; exit 4"],
        **asked,
    )
    shell.write_stdin("hello")
    shell.run_forever(timeout=30)
    assert (shell.read_stdout(), shell.read_stderr(), shell.returncode) == ("hello", "err\n", 4)


@pytest.mark.parametrize("pod", ["old", "new"])
def test_kubernetes_forwards_ports(server: APIServer, pod: str, web: int) -> None:
    forward = portforward(core(server).connect_get_namespaced_pod_portforward, pod, "default", ports=str(web))
    connection = forward.socket(web)
    connection.setblocking(True)
    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
    got = b""
    while len(got) < 200_019 and (data := connection.recv(1 << 16)):
        got += data
    assert got == b"HTTP/1.0 200 OK\r\n\r\n" + b"page" * 50_000
    forward.close()


@pytest.mark.parametrize("pod", ["old", "new"])
def test_lightkube(server: APIServer, pod: str) -> None:
    client = lightkube.Client(lightkube.KubeConfig.from_file(str(server.kubeconfig)).get())
    done = client.exec(pod, command=SCRIPT, stdin="hello" * 100_000, stdout=True, stderr=True)
    assert (done.stdout, done.stderr, done.exit_code) == ("hello" * 100_000, "err\n", 4)


@pytest.mark.parametrize("pod", ["old", "new"])
def test_kr8s(server: APIServer, pod: str, web: int) -> None:
    api = kr8s.api(kubeconfig=str(server.kubeconfig))
    found = Pod.get(pod, namespace="default", api=api)
    done = found.exec(["sh", "-c", "echo out; echo err >&2"])
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 0)
    with (
        found.portforward(remote_port=web, local_port=free_ports(1)[0]) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer,
    ):
        assert answer.read() == b"page" * 50_000


@pytest.mark.parametrize("pod", ["old", "new"])
def test_kubernetes_asyncio(server: APIServer, pod: str) -> None:
    from kubernetes_asyncio.client import CoreV1Api as AsyncCore
    from kubernetes_asyncio.config import new_client_from_config
    from kubernetes_asyncio.stream import WsApiClient

    async def run() -> tuple[str, int]:
        plain = await new_client_from_config(str(server.kubeconfig))
        await plain.close()
        asked = {"command": ["sh", "-c", "echo out; exit 4"], "stdout": True, "stderr": True}
        async with WsApiClient(plain.configuration) as api:
            exec_: Any = AsyncCore(api).connect_get_namespaced_pod_exec
            out, code = "", -1
            async with await exec_(pod, "default", _preload_content=False, **asked) as socket:
                async for message in socket:
                    channel, text = message.data[0], message.data[1:].decode()
                    if channel == 1:
                        out += text
                    elif channel == 3:
                        code = WsApiClient.parse_error_data(text)
            return out, code

    assert asyncio.run(run()) == ("out\n", 4)
