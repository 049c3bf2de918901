"""The client `kr8s`: objects, selectors, scale, watch."""

import kr8s
import pytest
from kr8s.objects import ConfigMap, Deployment, Pod

from pilothouse.testing.server import APIServer

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:Kubernetes version:UserWarning"
    ),  # it names those that it was tried with
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # it leaves sockets open
]


@pytest.fixture
def api(server: APIServer) -> kr8s.Api:
    return kr8s.api(kubeconfig=str(server.kubeconfig))


def test_objects_come_and_go(api: kr8s.Api) -> None:
    item = ConfigMap({"metadata": {"name": "a", "namespace": "default"}, "data": {"k": "v"}}, api=api)
    item.create()
    assert item.exists()
    item.patch({"data": {"n": "1"}})
    item.label({"color": "red"})
    assert [c.name for c in api.get("configmaps", namespace="default", label_selector={"color": "red"})] == [
        "a"
    ]
    assert ConfigMap.get("a", namespace="default", api=api).data.n == "1"
    item.delete()
    assert not item.exists()


def test_scale(api: kr8s.Api) -> None:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "example.org/web:1"}]},
    }
    web = Deployment(
        {
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template},
        },
        api=api,
    )
    web.create()
    web.patch({"spec": {"replicas": 3}})
    web.refresh()
    assert web.replicas == 3


def test_pods(api: kr8s.Api) -> None:
    spec = {"containers": [{"name": "main", "image": "example.org/a:1"}]}
    pod = Pod({"metadata": {"name": "p", "namespace": "default"}, "spec": spec}, api=api)
    pod.create()
    conditions = [{"type": name, "status": "True"} for name in ("Ready", "ContainersReady")]
    pod.patch({"status": {"phase": "Running", "conditions": conditions}}, subresource="status")
    pod.wait("condition=Ready", timeout=10)
    assert pod.ready()
    pod.delete()


def test_what_the_server_has(api: kr8s.Api) -> None:
    assert api.version()["major"] == "1"
    assert {"pods", "deployments"} <= {r["name"] for r in api.api_resources()}
    assert api.whoami()
