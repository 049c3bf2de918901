"""A stock kubelet, kube-proxy, controller manager and scheduler, and kubectl's streams through all of them.

PILOTHOUSE_NODE_BIN=/folder/with/the/programs make test-node
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import threading
from typing import Any

import pytest
from node.rig.image import NAME
from node.rig.kubelet import NODE
from node.rig.node import Node

pytestmark = pytest.mark.slow

SIZE = 100 << 20
LINES = 12_000


def pod(name: str, script: str, **spec: Any) -> dict[str, Any]:
    """A pod that runs a shell script; members of `container` go to its container."""
    container = {
        "name": "c",
        "image": NAME,
        "command": ["/bin/sh", "-c", script],
        **spec.pop("container", {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1, **spec},
    }


SERVE = "httpd -f -p 8080 -h /www"
WEB: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod("web", SERVE)["spec"]},
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}
PAGE = "served by the rig\n"


@pytest.fixture(scope="module")
def client(node: Node) -> str:
    """A pod to work in, beside a deployment and its service."""
    node.apply(WEB, SERVICE, pod("client", "sleep infinity"))
    node.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
    node.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=90s")
    return "client"


def in_pod(node: Node, name: str, script: str) -> str:
    return node.kubectl("exec", name, "--", "sh", "-c", script)


def test_a_deployment_behind_a_service(node: Node, client: str) -> None:
    address = node.kubectl("get", "service", "web", "-o=jsonpath={.spec.clusterIP}")
    node.until(
        lambda: (
            node.run("exec", client, "--", "wget", "-T1", "-qO-", f"http://{address}").stdout == PAGE.encode()
        ),
        "an answer of the service",
    )
    assert {in_pod(node, client, f"wget -T5 -qO- http://{address}") for _ in range(10)} == {PAGE}
    port = node.kubectl("get", "service", "web", "-o=jsonpath={.spec.ports[0].nodePort}")
    assert (
        node.namespace.run("busybox", "wget", "-T5", "-qO-", f"http://{node.namespace.address}:{port}")
        == PAGE
    )


def test_exec(node: Node, client: str) -> None:
    done = node.run("exec", client, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout) == (7, b"out\n")
    assert done.stderr.startswith(b"err\n") and b"exit code 7" in done.stderr
    data = os.urandom(1 << 20)
    done = node.run("exec", "-i", client, "--", "cat", stdin=data)
    assert (done.returncode, done.stdout) == (0, data)


def test_attach(node: Node) -> None:
    echo = 'while read line; do echo "got $line"; done; echo end'
    node.apply(pod("echo", echo, restartPolicy="Never", container={"stdin": True, "stdinOnce": True}))
    node.kubectl("wait", "--for=condition=Ready", "pod/echo", "--timeout=60s")
    done = node.run("attach", "-i", "echo", stdin=b"a\nb\n")
    assert done.stdout.decode().split("\n")[-4:] == ["got a", "got b", "end", ""], done.stderr
    node.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/echo", "--timeout=60s")


def test_cp_both_ways(node: Node, client: str, tmp_path: pathlib.Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(os.urandom(SIZE))
    node.kubectl("cp", str(there), f"{client}:/tmp/big", seconds=300)
    digest = hashlib.sha256(there.read_bytes()).hexdigest()
    assert in_pod(node, client, "sha256sum /tmp/big").split()[0] == digest
    node.kubectl("cp", f"{client}:/tmp/big", str(back), seconds=300)
    assert hashlib.sha256(back.read_bytes()).hexdigest() == digest
    in_pod(node, client, "rm /tmp/big")


LOAD = """
import sys, threading, urllib.request
good = []
def work():
    for _ in range(50):
        with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/", timeout=30) as answer:
            good.append(answer.read() == sys.argv[2].encode())
threads = [threading.Thread(target=work) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(good), all(good))
"""


def test_port_forward_under_load(node: Node, client: str) -> None:
    command = node.command("port-forward", "deployment/web", ":8080")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout is not None
            port = forward.stdout.readline().split(" -> ")[0].rpartition(":")[2]
            threading.Thread(
                target=forward.stdout.read, daemon=True
            ).start()  # it says something for each connection
            assert node.namespace.run(sys.executable, "-c", LOAD, port, PAGE) == "800 True\n"
        finally:
            forward.terminate()


def test_logs_follow_over_a_rotation(node: Node) -> None:
    """A kubelet may leave out what was written between its last look at a file and the file's rotation,
    nothing else."""
    script = (
        f"i=0; while [ $i -lt {LINES} ]; do echo line $i of a log that is rotated; "
        "i=$((i + 1)); [ $((i % 100)) -eq 0 ] && sleep 0.1; done; true"
    )
    node.apply(pod("writer", script, restartPolicy="Never"))
    node.kubectl("wait", "--for=condition=Ready", "pod/writer", "--timeout=60s")
    said = node.kubectl("logs", "-f", "writer", seconds=180).splitlines()
    numbers = [int(line.split()[1]) for line in said]
    assert said == [f"line {i} of a log that is rotated" for i in numbers]
    assert numbers == sorted(set(numbers)) and (numbers[0], numbers[-1]) == (0, LINES - 1)
    assert len(numbers) > 0.95 * LINES
    written = [path.name for path in (node.directory / "pods").glob("default_writer_*/c/*")]
    assert len(written) > 1, "the log was rotated meanwhile"


def test_a_debug_container(node: Node, client: str) -> None:
    """The container's input stays open:
    containerd lets go of the output of a debug container when the input ends."""
    flags = ["-i", f"--image={NAME}", "--container=debugger"]
    command = node.command("debug", client, *flags, "--", "sh", "-c", 'read line; echo "debugged $line"')
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as attached:
        assert attached.stdin is not None and attached.stdout is not None
        attached.stdin.write(b"this\n")
        attached.stdin.flush()
        assert attached.stdout.readline() == b"debugged this\n"
        assert attached.wait(30) == 0
    names = node.kubectl("get", "pod", client, "-o=jsonpath={.spec.ephemeralContainers[*].name}")
    assert names == "debugger"


def test_the_server_starts_again_in_between(node: Node, client: str) -> None:
    held = subprocess.Popen(
        node.command("exec", "-i", client, "--", "cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert held.stdin is not None and held.stdout is not None
    held.stdin.write(b"before\n")
    held.stdin.flush()
    assert held.stdout.readline() == b"before\n"
    node.server.stop(seconds=90)
    held.stdin.close()
    assert held.wait(30) != 0, "the stream ends with the server"
    held.stdout.close()
    node.start_server()
    node.kubectl("scale", "deployment/web", "--replicas=3")
    node.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
    assert in_pod(node, client, "echo still here") == "still here\n"


def test_a_node_is_drained_while_an_exec_is_open(node: Node, client: str) -> None:
    with subprocess.Popen(
        node.command("exec", "-i", client, "--", "cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as held:
        assert held.stdin is not None and held.stdout is not None
        held.stdin.write(b"before\n")
        held.stdin.flush()
        assert held.stdout.readline() == b"before\n"
        node.kubectl("drain", NODE, "--force", "--ignore-daemonsets", "--timeout=90s")
        assert held.wait(30) != 0, "the container was killed"
    assert node.run("get", "pod", client).returncode != 0
    node.kubectl("uncordon", NODE)
    node.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
