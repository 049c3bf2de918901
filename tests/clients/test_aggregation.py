"""kubectl with kinds that another server answers:
a second Pilothouse behind the first, with a custom resource."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from clients.drivers import Kubectl, Raw
from eventually import eventually
from front_proxy import front_proxy

from pilothouse.testing.server import InProcess

pytestmark = [pytest.mark.kubectl, pytest.mark.slow]

GROUP = "agg.example.com"
SIZE = {"type": "integer", "description": "How large it is."}
SPEC = {"type": "object", "description": "What is wanted.", "properties": {"size": SIZE}}
SCHEMA = {"type": "object", "description": "A widget of another server.", "properties": {"spec": SPEC}}
NAMES = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
DEFINITION = {
    "kind": "CustomResourceDefinition",
    "apiVersion": "apiextensions.k8s.io/v1",
    "metadata": {"name": f"widgets.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": NAMES,
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}},
        ],
    },
}
WIDGETS = f"/apis/{GROUP}/v1/namespaces/default/widgets"


@contextmanager
def requests_to(server: InProcess) -> Iterator[Raw]:
    raw = Raw(server)
    with closing(raw.connection):
        yield raw


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[InProcess, list[str]]]:
    """The server that has the kind, and the flags of one in front."""
    ahead, flags = front_proxy(tmp_path_factory.mktemp("front-proxy"))
    with InProcess(flags) as server:
        with requests_to(server) as raw:
            raw.ok("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", DEFINITION)
        yield server, ahead


@pytest.fixture(scope="module")
def kubectl(
    behind: tuple[InProcess, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kubectl]:
    """kubectl against a server in front of the other one."""
    other, flags = behind
    with InProcess(flags) as server, requests_to(server) as raw:
        service = {"metadata": {"name": "b"}, "spec": {"type": "ExternalName", "externalName": "localhost"}}
        raw.ok("POST", "/api/v1/namespaces/default/services", service)
        spec = {
            "group": GROUP,
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"namespace": "default", "name": "b", "port": other.port},
        }
        api_service = {"metadata": {"name": f"v1.{GROUP}"}, "spec": spec}
        raw.ok("POST", "/apis/apiregistration.k8s.io/v1/apiservices", api_service)
        eventually(lambda: f"apis/{GROUP}/v1" in raw("GET", "/openapi/v3")[1]["paths"], "its documents", 20)
        yield Kubectl(server, tmp_path_factory.mktemp("home"))


def widget(name: str, **spec: Any) -> str:
    return json.dumps(
        {"kind": "Widget", "apiVersion": f"{GROUP}/v1", "metadata": {"name": name}, "spec": spec}
    )


def test_it_is_explained(kubectl: Kubectl) -> None:
    text = kubectl(f"explain widgets.{GROUP}")
    assert "KIND:       Widget" in text and "A widget of another server." in text
    assert "How large it is." in kubectl("explain widget.spec.size")


def test_it_is_in_discovery(kubectl: Kubectl) -> None:
    line = next(li for li in kubectl("api-resources").splitlines() if li.startswith("widgets "))
    assert line.split() == ["widgets", f"{GROUP}/v1", "true", "Widget"]
    assert "True" in kubectl(f"get apiservice v1.{GROUP}")


def test_objects_are_applied_on_both_sides(kubectl: Kubectl) -> None:
    assert "created" in kubectl("apply -f -", stdin=widget("a", size=1))
    assert "configured" in kubectl("apply -f -", stdin=widget("a", size=2))
    assert "serverside-applied" in kubectl("apply --server-side -f -", stdin=widget("b", size=1))
    said = kubectl.fails("apply -f -", stdin=widget("c", other=1))
    assert 'unknown field "spec.other"' in said or 'unknown field "other"' in said
    assert kubectl("get widget a -o jsonpath={.spec.size}") == "2"
    kubectl("delete widgets --all")


def test_changes_are_watched(kubectl: Kubectl) -> None:
    watching = kubectl.start("get widgets -w --no-headers -o name")
    assert watching.stdout is not None
    seen: list[str] = []
    reader = threading.Thread(target=lambda: seen.extend(iter(watching.stdout.readline, "")), daemon=True)
    reader.start()
    try:
        eventually(lambda: _made(kubectl) and seen, "an event of the watch", 20)
    finally:
        watching.kill()
        watching.wait()
        reader.join()
        watching.stdout.close()
    assert seen[0].startswith(f"widget.{GROUP}/w-")


def _made(kubectl: Kubectl) -> bool:
    """Make one more: the watch may begin later."""
    body = widget("x", size=1).replace('"name": "x"', '"generateName": "w-"')
    return bool(kubectl("create -f -", stdin=body))


def test_the_document_of_version_2_has_it(kubectl: Kubectl, behind: tuple[InProcess, list[str]]) -> None:
    with requests_to(kubectl.server) as raw:
        document = raw.ok("GET", "/openapi/v2")
    assert f"/apis/{GROUP}/v1/namespaces/{{namespace}}/widgets" in document["paths"]
    assert "/api/v1/namespaces/{namespace}/pods" in document["paths"]
    found = document["definitions"]["com.example.agg.v1.Widget"]
    assert found["properties"]["spec"]["properties"]["size"]["description"] == "How large it is."
    assert not [name for name in document["definitions"] if name.endswith("_v2")]  # both have the same others
