"""Small operators with `kopf`, each in its own process."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import kubernetes
import pytest
from eventually import eventually

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


def until(check: Callable[[], bool], what: str) -> None:
    """Wait for what an operator does; a process that has just started needs some seconds."""
    eventually(check, what, 60)


@pytest.fixture
def core(server: APIServer) -> Any:
    return kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(str(server.kubeconfig)))


@contextmanager
def running(server: APIServer, folder: os.PathLike[str], text: str) -> Iterator[None]:
    """Runs an operator; when the test fails, says what the operator said."""
    program = os.path.join(folder, "operator.py")
    with open(program, "w") as out:
        out.write(text)
    log = os.path.join(folder, "log")
    with open(log, "w") as out:
        command = [sys.executable, "-m", "kopf", "run", program, "--namespace=default", "--standalone"]
        operator = subprocess.Popen(command, env=environment(server), stdout=out, stderr=out)
    try:
        yield
    except AssertionError as err:
        with open(log) as said:
            raise AssertionError(said.read()[-4000:]) from err
    finally:
        operator.terminate()
        operator.wait(15)


@pytest.mark.slow
def test_an_operator(server: APIServer, core: Any, tmp_path: os.PathLike[str]) -> None:
    with running(server, tmp_path, OPERATOR):
        core.create_namespaced_config_map(
            "default", {"metadata": {"name": "a", "labels": {"watched": "yes"}}}
        )

        def data() -> dict[str, str]:
            return core.read_namespaced_config_map("a", "default").data or {}

        until(lambda: data().get("greeting") == "hello a", "a greeting")
        assert core.read_namespaced_config_map("a", "default").metadata.finalizers
        core.patch_namespaced_config_map("a", "default", {"data": {"question": "why"}})
        until(lambda: data().get("answer") == "you asked: why", "an answer")
        until(
            lambda: "Greeted" in {e.reason for e in core.list_namespaced_event("default").items}, "an event"
        )
        core.delete_namespaced_config_map("a", "default")
        chosen = "metadata.name=a"
        until(
            lambda: not core.list_namespaced_config_map("default", field_selector=chosen).items,
            "the end of the object",
        )


def definition() -> dict[str, Any]:
    """Caches in two versions of one form, the older of them stored."""
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "string", "pattern": "^[0-9]+(Mi|Gi)$"},
                    "keep": {"type": "boolean", "default": False},
                },
            },
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    versions: list[Any] = [
        {
            "name": name,
            "served": True,
            "storage": name == "v1beta1",
            "schema": {"openAPIV3Schema": schema},
            "subresources": {"status": {}},
        }
        for name in ("v1beta1", "v1")
    ]
    names = {"plural": "caches", "singular": "cache", "kind": "Cache"}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions}
    return {"metadata": {"name": "caches.example.com"}, "spec": spec}


CLAIMS = """
import kopf
from kubernetes import client, config

@kopf.on.startup()
def log_in(settings, **_):
    config.load_kube_config()
    settings.networking.request_timeout = 10

@kopf.on.create("example.com", "v1", "caches")
def create(spec, name, namespace, **_):
    claim = {
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": spec["size"]}}},
    }
    kopf.adopt(claim)
    made = client.CoreV1Api().create_namespaced_persistent_volume_claim(namespace, claim)
    return {"claim": made.metadata.name}

@kopf.on.field("example.com", "v1", "caches", field="metadata.labels")
def relabel(diff, status, namespace, **_):
    if "create" not in status:
        raise kopf.TemporaryError("no claim yet", delay=0.2)
    labels = {at[0]: new for _, at, _, new in diff if at} or (diff[0][3] if diff else {})
    body = {"metadata": {"labels": labels}}
    name = status["create"]["claim"]
    client.CoreV1Api().patch_namespaced_persistent_volume_claim(name, namespace, body)

@kopf.on.delete("example.com", "v1", "caches")
def delete(name, namespace, **_):
    body = {"metadata": {"name": f"{name}-gone"}}
    client.CoreV1Api().create_namespaced_config_map(namespace, body)
"""


@pytest.mark.slow
def test_an_operator_of_a_custom_resource_with_two_versions(
    server: APIServer, core: Any, tmp_path: os.PathLike[str]
) -> None:
    kubernetes.client.ApiextensionsV1Api(core.api_client).create_custom_resource_definition(definition())
    caches = kubernetes.client.CustomObjectsApi(core.api_client)
    old = ("example.com", "v1beta1", "default", "caches")

    def served() -> bool:
        try:
            return bool(caches.list_namespaced_custom_object(*old))
        except kubernetes.client.ApiException:
            return False

    until(served, "the new kind to be served")
    with running(server, tmp_path, CLAIMS):
        cache = {"apiVersion": "example.com/v1beta1", "kind": "Cache", "metadata": {"name": "c"}}
        caches.create_namespaced_custom_object(*old, {**cache, "spec": {"size": "1Gi"}})

        def seen(version: str) -> dict[str, Any]:
            found: Any = caches.get_namespaced_custom_object("example.com", version, "default", "caches", "c")
            return dict(found)

        until(lambda: seen("v1").get("status", {}).get("create") == {"claim": "c"}, "a status")
        found = seen("v1beta1")
        assert found["status"] == seen("v1")["status"] and found["spec"] == {"size": "1Gi", "keep": False}
        assert found["metadata"]["finalizers"] == ["kopf.zalando.org/KopfFinalizerMarker"]
        claim = core.read_namespaced_persistent_volume_claim("c", "default")
        owner = claim.metadata.owner_references[0]
        assert (owner.api_version, owner.uid) == ("example.com/v1", found["metadata"]["uid"])
        caches.patch_namespaced_custom_object(*old, "c", {"metadata": {"labels": {"team": "a"}}})

        def labels() -> dict[str, str]:
            return core.read_namespaced_persistent_volume_claim("c", "default").metadata.labels or {}

        until(lambda: labels().get("team") == "a", "a label")
        caches.delete_namespaced_custom_object(*old, "c")
        until(lambda: not caches.list_namespaced_custom_object(*old)["items"], "the end of the object")
        assert core.read_namespaced_config_map("c-gone", "default")
