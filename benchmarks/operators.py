"""A suite of operator tests, each with a cluster of its own: here, and on stock programs that are started for
each test.

usage: python benchmarks/operators.py [--tests N] [--stock N] [--program FILE]

A test installs a definition, runs an operator which makes a deployment of each object, creates an object, and
waits until the deployment is ready and the object's status says so. The operator runs by kopf. --program
names another one instead, such as that of operator/main.go on client-go, which `go build` makes inside a
module that has client-go.

Here one server with --simulate is reset between the tests. With --stock the folder STOCK_BIN has
kube-apiserver, kube-controller-manager and kube-scheduler, `etcd` is in the path, and each test starts and
stops them; a thread plays the node: it registers it, and has its pods run. The suites are the same otherwise.
Prints the seconds of a test, and how many times as fast the suite is here.
"""

import argparse
import contextlib
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import kopf
import kubernetes
from kopf.testing import KopfRunner
from stock_cluster import StockCluster

from pilothouse.testing.server import InProcess

FASTER = 20
"""The goal."""
SECONDS = 20.0
OPERATOR = """
import os

import kopf
import kubernetes

@kopf.on.login()
def login(**kwargs):
    return kopf.login_with_kubeconfig(**kwargs)

@kopf.on.create("example.com", "v1", "shops")
def create(spec, name, namespace, memo, **_):
    labels = {"shop": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    wish = {"replicas": spec["counters"], "selector": {"matchLabels": labels}, "template": pod}
    made = {"metadata": {"name": name, "labels": labels}, "spec": wish}
    kopf.adopt(made)
    client = kubernetes.config.new_client_from_config(os.environ["KUBECONFIG"])
    kubernetes.client.AppsV1Api(client).create_namespaced_deployment(namespace, made)

@kopf.on.event("apps", "v1", "deployments", labels={"shop": kopf.PRESENT})
def opened(body, name, namespace, status, **_):
    if status.get("readyReplicas") == body["spec"]["replicas"]:
        client = kubernetes.config.new_client_from_config(os.environ["KUBECONFIG"])
        kubernetes.client.CustomObjectsApi(client).patch_namespaced_custom_object_status(
            "example.com", "v1", namespace, "shops", name, {"status": {"open": True}})
"""
DEFINITION: Any = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "shops.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Shop", "plural": "shops"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"counters": {"type": "integer"}}},
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}
SHOP = {
    "apiVersion": "example.com/v1",
    "kind": "Shop",
    "metadata": {"name": "corner"},
    "spec": {"counters": 2},
}
PLACE = ("example.com", "v1", "default", "shops")


Running = Callable[[], AbstractContextManager[None]]
"""Runs the operator within the block, on the cluster that KUBECONFIG names; an error when it has failed."""


def exercise(kubeconfig: pathlib.Path, running: Running) -> None:
    """One test of the operator. TimeoutError when the shop does not open."""
    os.environ["KUBECONFIG"] = str(kubeconfig)
    config: Any = kubernetes.config
    client = config.new_client_from_config(str(kubeconfig))
    shops = kubernetes.client.CustomObjectsApi(client)
    kubernetes.client.ApiextensionsV1Api(client).create_custom_resource_definition(DEFINITION)
    ends = time.monotonic() + SECONDS
    while not _served(shops):
        if time.monotonic() > ends:
            raise TimeoutError("the definition is not served")
        time.sleep(0.01)
    with running():
        shops.create_namespaced_custom_object(*PLACE, SHOP)
        while not _is_open(shops):
            if time.monotonic() > ends:
                raise TimeoutError("the shop does not open")
            time.sleep(0.01)
    client.close()


@contextlib.contextmanager
def by_kopf() -> Iterator[Running]:
    """The operator in this process."""

    @contextlib.contextmanager
    def running() -> Iterator[None]:
        kopf.set_default_registry(
            kopf.OperatorRegistry()
        )  # else the handlers of all tests before run as well
        runner = KopfRunner(["run", "--namespace=default", "--standalone", str(path)])
        try:
            with runner:
                yield
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {runner.output}") from None
        assert runner.exit_code == 0, runner.output

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "operator.py"
        path.write_text(OPERATOR)
        yield running


@contextlib.contextmanager
def by_program(path: str) -> Iterator[Running]:
    """The operator as a program of its own."""

    @contextlib.contextmanager
    def running() -> Iterator[None]:
        process = subprocess.Popen([path])
        try:
            yield
        finally:
            process.terminate()
            code = process.wait()
        assert code == 0, f"{path} has ended with {code}"

    yield running


def _served(shops: kubernetes.client.CustomObjectsApi) -> bool:
    with contextlib.suppress(kubernetes.client.ApiException):
        return bool(shops.list_namespaced_custom_object(*PLACE))
    return False


def _is_open(shops: kubernetes.client.CustomObjectsApi) -> bool:
    found: Any = shops.get_namespaced_custom_object(*PLACE, "corner")
    return bool(found.get("status", {}).get("open"))


def here(tests: int, running: Running) -> tuple[float, list[float]]:
    """Seconds of the start, and of each test with the reset after it."""
    begun = time.monotonic()
    times = []
    with InProcess(["--simulate=nodes=1"]) as server:
        started = time.monotonic() - begun
        for _ in range(tests):
            begun = time.monotonic()
            exercise(server.kubeconfig, running)
            server.reset()
            times.append(time.monotonic() - begun)
    return started, times


def stock(tests: int, running: Running) -> list[float]:
    """Seconds of each test with its programs."""
    times = []
    for _ in range(tests):
        begun = time.monotonic()
        with StockCluster() as cluster:
            exercise(cluster.kubeconfig, running)
        times.append(time.monotonic() - begun)
    return times


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tests", type=int, default=200)
    parser.add_argument("--stock", type=int, default=0)
    parser.add_argument("--program", help="the operator, in place of that by kopf")
    asked = parser.parse_args()
    with by_program(asked.program) if asked.program else by_kopf() as running:
        started, ours = here(asked.tests, running)
        whole = started + sum(ours)
        each = statistics.median(ours)
        print(f"here: {asked.tests} tests in {whole:.1f} s, {each:.2f} s each, start {started:.2f} s")
        if not asked.stock:
            return 0
        theirs = stock(asked.stock, running)
        each = statistics.fmean(theirs)
        times = each * asked.tests / whole
        print(f"stock: {asked.stock} tests, {each:.2f} s each, {each * asked.tests:.0f} s for {asked.tests}")
        print(f"{times:.1f} times as fast, at least {FASTER}")
        return int(times < FASTER)


if __name__ == "__main__":
    sys.exit(main())
