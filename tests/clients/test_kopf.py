"""A small operator on `kopf` that runs as a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

import kubernetes
import pytest
from kubernetes.client import CoreV1Api

from pilothouse.testing.server import APIServer, environment

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # it leaves sockets open

OPERATOR = """
import kopf

@kopf.on.startup()
def settings(settings, **_):
    settings.posting.enabled = True
    settings.networking.request_timeout = 10

@kopf.on.create("", "v1", "configmaps", labels={"watched": "yes"})
def created(name, body, patch, **_):
    patch.setdefault("data", {})["greeting"] = f"hello {name}"
    kopf.info(body, reason="Greeted", message="said hello")

@kopf.on.update("", "v1", "configmaps", labels={"watched": "yes"}, field="data.question")
def asked(new, patch, **_):
    patch.setdefault("data", {})["answer"] = f"you asked: {new}"

@kopf.on.delete("", "v1", "configmaps", labels={"watched": "yes"})
def deleted(**_):
    pass
"""


def eventually(check: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def core(server: APIServer) -> CoreV1Api:
    return CoreV1Api(kubernetes.config.new_client_from_config(str(server.kubeconfig)))


def test_an_operator(server: APIServer, core: CoreV1Api, tmp_path: os.PathLike[str]) -> None:
    program = os.path.join(tmp_path, "operator.py")
    with open(program, "w") as out:
        out.write(OPERATOR)
    log = os.path.join(tmp_path, "log")
    with open(log, "w") as out:
        command = [sys.executable, "-m", "kopf", "run", program, "--namespace=default", "--standalone"]
        operator = subprocess.Popen(command, env=environment(server), stdout=out, stderr=out)
    try:
        core.create_namespaced_config_map(
            "default", {"metadata": {"name": "a", "labels": {"watched": "yes"}}}
        )

        def data() -> dict[str, str]:
            return core.read_namespaced_config_map("a", "default").data or {}

        eventually(lambda: data().get("greeting") == "hello a")
        assert core.read_namespaced_config_map("a", "default").metadata.finalizers
        core.patch_namespaced_config_map("a", "default", {"data": {"question": "why"}})
        eventually(lambda: data().get("answer") == "you asked: why")
        eventually(lambda: "Greeted" in {e.reason for e in core.list_namespaced_event("default").items})
        core.delete_namespaced_config_map("a", "default")
        chosen = "metadata.name=a"
        eventually(lambda: not core.list_namespaced_config_map("default", field_selector=chosen).items)
    except AssertionError as err:
        with open(log) as said:
            raise AssertionError(said.read()[-4000:]) from err
    finally:
        operator.terminate()
        operator.wait(15)
