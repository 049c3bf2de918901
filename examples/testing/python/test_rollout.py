"""A deployment becomes ready: `pytest --kube-apiserver-flag=--simulate=nodes=1 test_rollout.py`."""

import kubernetes
import pytest

WEB = {
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "nginx"}]},
        },
    },
}


@pytest.fixture
def client(kube):
    return kubernetes.config.new_client_from_config(str(kube.kubeconfig))


def test_a_deployment_becomes_ready(kube, client):
    kubernetes.client.CoreV1Api(client).create_namespace({"metadata": {"name": "shop"}})
    kubernetes.client.AppsV1Api(client).create_namespaced_deployment("shop", WEB)
    kube.wait(("apps/v1", "Deployment", "web", "shop"), "Available")
    pods = kubernetes.client.CoreV1Api(client).list_namespaced_pod("shop").items
    assert [pod.status.phase for pod in pods] == ["Running", "Running"]
