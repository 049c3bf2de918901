"""kubectl against a kubelet that streams:
exec, attach, cp, port-forward, logs and debug, in all protocols it speaks."""

import contextlib
import hashlib
import os
import pathlib
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from clients.cluster_streams import PODS, create_pod, fill
from clients.drivers import BINARY, Kubectl, Raw
from eventually import eventually
from streaming_kubelet import StreamingKubelet

from pilothouse.testing.server import InProcess, Subprocess

pytestmark = pytest.mark.kubectl

SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}
WAYS = [
    pytest.param("old", {}, id="websocket-translated"),
    pytest.param("new", {}, id="websocket-to-kubelet"),
    pytest.param("old", SPDY, id="spdy"),
]
"""The pod, whose kubelet takes WebSockets itself if it is `new`, and the environment of kubectl."""


class Cluster:
    """kubectl, the kubelet, and plain requests to the server."""

    def __init__(self, kubectl: Kubectl, kubelet: StreamingKubelet, raw: Raw) -> None:
        self.kubectl, self.kubelet, self.raw = kubectl, kubelet, raw

    def start(self, *arguments: str, env: dict[str, str]) -> "subprocess.Popen[bytes]":
        pipe = subprocess.PIPE
        environment = self.kubectl.environment(**env)
        return subprocess.Popen([BINARY, *arguments], env=environment, stdin=pipe, stdout=pipe, stderr=pipe)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("streams")
    with StreamingKubelet(folder) as kubelet, InProcess() as server:
        raw = Raw(server)
        fill(raw, kubelet)
        yield Cluster(Kubectl(server, folder), kubelet, raw)
        raw.connection.close()


@contextlib.contextmanager
def ended(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


@pytest.mark.parametrize(("pod", "env"), WAYS)
def test_exec_tells_output_errors_and_the_exit_code(cluster: Cluster, pod: str, env: dict[str, str]) -> None:
    done = cluster.kubectl.run("exec", pod, "--", "sh", "-c", "echo out; echo err >&2; exit 7", **env)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert done.stderr == "err\ncommand terminated with exit code 7\n"
    done = cluster.kubectl.run("exec", pod, "--", "true", **env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("pod", "env"), WAYS)
def test_exec_ends_standard_input(cluster: Cluster, pod: str, env: dict[str, str]) -> None:
    text = "line\n" * 20_000
    done = cluster.kubectl.run("exec", "-i", pod, "--", "sh", "-c", "cat; echo end", stdin=text, **env)
    assert (done.returncode, done.stdout) == (0, text + "end\n")


@pytest.mark.parametrize(("pod", "env"), WAYS)
def test_a_terminal_has_the_size_of_the_client_s(cluster: Cluster, pod: str, env: dict[str, str]) -> None:
    """kubectl sees a terminal of 33 lines and 77 columns,
    tells its size, and the command's terminal gets it."""
    script = "import fcntl, os, pty, struct, subprocess, sys, termios\n"
    script += "master, slave = pty.openpty()\n"
    script += "fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 33, 77, 0, 0))\n"
    script += "kubectl = subprocess.Popen(sys.argv[1:], stdin=slave, stdout=slave, stderr=slave)\n"
    script += "os.close(slave)\n"
    script += "out = b''\n"
    script += "while True:\n"
    script += "    try:\n        data = os.read(master, 4096)\n"
    script += "    except OSError:\n        break\n"
    script += "    out += data\n"
    script += "    if not data:\n        break\n"
    script += "print(out.decode(), kubectl.wait())\n"
    wait = "until [ \"$(stty size)\" = '33 77' ]; do sleep 0.01; done; stty size; exit 3"
    line = [str(BINARY), "exec", "-it", pod, "--", "sh", "-c", wait]
    environment = cluster.kubectl.environment(TERM="xterm", **env)
    command = ["python3", "-c", script, *line]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert "33 77" in done.stdout, done
    assert done.stdout.strip().endswith(" 3"), "the exit code"


@pytest.mark.parametrize(("pod", "env"), WAYS)
def test_attach(cluster: Cluster, pod: str, env: dict[str, str]) -> None:
    done = cluster.kubectl.run("attach", "-i", pod, stdin="to the container\n", **env)
    assert done.returncode == 0, done
    assert "attached\n" in done.stdout
    assert "to the container\n" in done.stdout


def copied(cluster: Cluster, pod: str, env: dict[str, str], folder: pathlib.Path, size: int) -> None:
    source = folder / "source"
    source.write_bytes(os.urandom(1 << 20) * (size >> 20))
    digest = hashlib.sha256(source.read_bytes()).digest()
    for origin, target in ((str(source), f"{pod}:{folder}/up"), (f"{pod}:{source}", f"{folder}/down")):
        done = cluster.kubectl.run("cp", origin, target, timeout=100, **env)
        assert done.returncode == 0, done.stderr
    for name in ("up", "down"):
        assert hashlib.sha256((folder / name).read_bytes()).digest() == digest


@pytest.mark.parametrize(("pod", "env"), WAYS)
def test_cp_both_ways(cluster: Cluster, pod: str, env: dict[str, str], tmp_path: pathlib.Path) -> None:
    copied(cluster, pod, env, tmp_path, 4 << 20)


@pytest.mark.slow
@pytest.mark.parametrize(("pod", "env"), WAYS)
def test_cp_of_32_megabytes_needs_no_memory(pod: str, env: dict[str, str], tmp_path: pathlib.Path) -> None:
    with StreamingKubelet(tmp_path) as kubelet, Subprocess() as server:
        raw = Raw(server)
        fill(raw, kubelet)
        there = Cluster(Kubectl(server, tmp_path), kubelet, raw)
        copied(there, pod, env, tmp_path, 1 << 20)
        before = peak_memory(server.process.pid)
        copied(there, pod, env, tmp_path, 32 << 20)
        assert peak_memory(server.process.pid) - before < 16 << 20
        raw.connection.close()


def peak_memory(pid: int) -> int:
    """The most bytes that a process has had."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))


class Echo(socketserver.BaseRequestHandler):
    """Sends back what comes, until its end."""

    def handle(self) -> None:
        while data := self.request.recv(1 << 16):
            self.request.sendall(data)


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """The port of a server in the pod."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def exchange(port: int, size: int, results: list[bool]) -> None:
    """Send bytes, end the sending, and read all of them back."""
    data = os.urandom(1 << 16) * (size >> 16)

    def send() -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        sender = threading.Thread(target=send)
        sender.start()
        back = bytearray()
        while len(back) < size and (part := connection.recv(1 << 16)):
            back += part
        sender.join()
    results.append(bytes(back) == data)


@pytest.mark.parametrize(("pod", "env"), WAYS)
def test_port_forward_of_several_connections_under_load(
    cluster: Cluster, echo: int, pod: str, env: dict[str, str]
) -> None:
    with ended(cluster.start("port-forward", pod, f":{echo}", env=env)) as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert line.startswith("Forwarding from 127.0.0.1:"), line
        port = int(line.split()[2].rpartition(":")[2])
        results: list[bool] = []
        threads = [threading.Thread(target=exchange, args=(port, 2 << 20, results)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [True] * 8
        for _ in range(3):
            exchange(port, 1 << 16, results)
        assert results == [True] * 11, "the connection serves further ones"


@pytest.mark.parametrize(("pod", "env"), WAYS)
def test_port_forward_to_a_port_where_nobody_listens(cluster: Cluster, pod: str, env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        closed = unused.getsockname()[1]
    with ended(cluster.start("port-forward", pod, f":{closed}", env=env)) as process:
        assert process.stdout is not None and process.stderr is not None
        port = int(process.stdout.readline().decode().split()[2].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            assert connection.recv(1) == b""
        said = process.stderr.readline().decode()
        assert "an error occurred forwarding" in said


def test_logs_follow_and_end_with_the_client(cluster: Cluster) -> None:
    with ended(cluster.start("logs", "-f", "old", env={})) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"first\n"
        for number in range(3):
            cluster.kubelet.say(b"line %d\n" % number)
            assert process.stdout.readline() == b"line %d\n" % number, "at once"
        assert cluster.kubelet.following == 1
    eventually(lambda: cluster.kubelet.following == 0, "the kubelet to be left")


def test_debug_attaches_to_an_ephemeral_container(cluster: Cluster) -> None:
    create_pod(cluster.raw, "broken", "n-old")
    line = ("debug", "broken", "-i", "--image=tools", "-c", "dbg", "--profile=general")
    with ended(cluster.start(*line, env={})) as process:

        def added() -> list[dict[str, Any]]:
            pod = cluster.raw.ok("GET", f"{PODS}/broken")
            return pod["spec"].get("ephemeralContainers", [])

        eventually(lambda: bool(added()), "the container")
        pod = cluster.raw.ok("GET", f"{PODS}/broken")
        state = {"name": "dbg", "image": "tools", "imageID": "i", "ready": True, "restartCount": 0}
        pod["status"]["ephemeralContainerStatuses"] = [{**state, "state": {"running": {}}}]
        cluster.raw.ok("PUT", f"{PODS}/broken/status", pod)
        out, err = process.communicate(b"look around\n", timeout=30)
    assert process.returncode == 0, err
    assert b"attached\nlook around\n" in out
    assert cluster.kubelet.requests[-1][1].startswith("/attach/default/broken/dbg?")


@pytest.mark.parametrize("env", [{}, SPDY], ids=["websocket", "spdy"])
def test_errors_of_the_kubelet(cluster: Cluster, env: dict[str, str]) -> None:
    done = cluster.kubectl.run("exec", "missing", "--", "ls", **env)
    assert done.returncode == 1
    assert 'unable to upgrade connection: container not found ("c")' in done.stderr
    done = cluster.kubectl.run("exec", "away", "--", "ls", **env)
    assert done.returncode == 1
    assert "connect: connection refused" in done.stderr
    assert "error dialing backend" in done.stderr or "error sending request" in done.stderr
    done = cluster.kubectl.run("port-forward", "away", ":80", **env)
    assert "error dialing backend: dial tcp 127.0.0.1:" in done.stderr


def test_who_may_not_create_may_not_connect_by_get(cluster: Cluster) -> None:
    kubectl = cluster.kubectl
    kubectl("create role looker --verb=get --resource=pods,pods/exec")
    kubectl("create rolebinding looker --role=looker --user=jane")
    said = kubectl.fails("exec old --as=jane -- ls")
    assert 'pods "old" is forbidden' in said
    kubectl("create role runner --verb=create --resource=pods/exec")
    kubectl("create rolebinding runner --role=runner --user=jane")
    assert kubectl("exec old --as=jane -- echo yes") == "yes\n"
