"""kubectl with a cluster that runs nothing and looks alive."""

import pathlib
import re
import urllib.request
from collections.abc import Iterator

import pytest
from clients.drivers import Kubectl

from pilothouse.testing.server import InProcess

pytestmark = [pytest.mark.kubectl, pytest.mark.slow]

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations:
        simulate.pilothouse.dev/logs: hello
        simulate.pilothouse.dev/exec-output: done
    spec:
      containers: [{name: c, image: nginx}]
"""


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with InProcess(["--simulate=nodes=2,cpu=2"]) as server:
        yield server


@pytest.fixture
def kubectl(server: InProcess, tmp_path: pathlib.Path) -> Iterator[Kubectl]:
    yield Kubectl(server, tmp_path)
    server.reset()


def test_a_deployment_rolls_out_and_survives_a_drain(kubectl: Kubectl) -> None:
    assert [line.split()[:2] for line in kubectl("get nodes --no-headers").splitlines()] == [
        ["node-0", "Ready"],
        ["node-1", "Ready"],
    ]
    kubectl("apply -f -", stdin=DEPLOYMENT)
    kubectl("rollout status deployment/web --timeout=20s")
    kubectl("wait --for=condition=Ready pod -l app=web --timeout=20s")
    assert kubectl("logs deployment/web").strip() == "hello"
    assert kubectl("exec deployment/web -- date").strip() == "done"
    kubectl("drain node-0 --timeout=20s")
    kubectl("rollout status deployment/web --timeout=20s")
    kubectl("wait --for=condition=Ready pod -l app=web --timeout=20s")
    found = kubectl("get pods -o custom-columns=N:.spec.nodeName --no-headers").split()
    assert found == ["node-1"] * 3
    assert "SchedulingDisabled" in kubectl("get node node-0")
    kubectl("uncordon node-0")
    assert "SchedulingDisabled" not in kubectl("get node node-0")


def test_commands_fail_as_annotations_say_and_logs_are_followed(kubectl: Kubectl) -> None:
    prefix = "--annotations=simulate.pilothouse.dev"
    kubectl(
        f"run once --image=i --restart=Never {prefix}/exit-after=2s {prefix}/logs=line"
        f" {prefix}/exec-exit-code=3"
    )
    kubectl("wait --for=condition=Ready pod/once --timeout=20s")
    failed = kubectl.run("exec", "once", "--", "false")
    assert failed.returncode == 3
    assert kubectl("logs -f once") == "line\n"
    assert kubectl("get pod once -o jsonpath={.status.phase}") in ("Running", "Succeeded")
    kubectl("wait --for=jsonpath={.status.phase}=Succeeded pod/once --timeout=20s")


def test_ports_answer_what_an_annotation_says(kubectl: Kubectl) -> None:
    text = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    kubectl("run a --image=i", f"--annotations=simulate.pilothouse.dev/port-output={text}")
    kubectl("wait --for=condition=Ready pod/a --timeout=20s")
    with kubectl.start("port-forward pod/a :80") as forwarding:
        try:
            assert forwarding.stdout is not None
            port = int(re.findall(r"127\.0\.0\.1:(\d+)", forwarding.stdout.readline())[0])
            for _ in range(3):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                    assert answer.read() == b"hello"
        finally:
            forwarding.terminate()


def test_a_reset_keeps_the_nodes(server: InProcess, kubectl: Kubectl) -> None:
    kubectl("run a --image=i")
    kubectl("wait --for=condition=Ready pod/a --timeout=20s")
    kubectl("delete node node-0")
    server.reset()
    assert kubectl("get nodes -o name").split() == ["node/node-0", "node/node-1"]
    assert kubectl("get pods -o name") == ""
    kubectl("run a --image=i")
    kubectl("wait --for=condition=Ready pod/a --timeout=20s")
