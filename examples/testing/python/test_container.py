"""The same with the image, by testcontainers (`pip install testcontainers kubernetes pytest`)."""

import os
import time

import kubernetes
import pytest
import yaml
from test_rollout import WEB
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

IMAGE = os.environ.get("PILOTHOUSE_IMAGE", "pilothouse")


@pytest.fixture(scope="module")
def client():
    server = DockerContainer(IMAGE).with_exposed_ports(6443)
    server.with_command("serve --data-dir /data --storage-backend memory --simulate=nodes=1")
    server.waiting_for(LogMessageWaitStrategy("A kubeconfig was written"))
    with server:
        url = f"https://{server.get_container_host_ip()}:{server.get_exposed_port(6443)}"
        code, text = server.exec(["pilothouse", "kubeconfig", "--data-dir=/data", f"--server={url}"])
        assert code == 0, text
        yield kubernetes.config.new_client_from_config_dict(yaml.safe_load(text))


def test_a_deployment_becomes_ready(client):
    kubernetes.client.CoreV1Api(client).create_namespace({"metadata": {"name": "shop"}})
    apps = kubernetes.client.AppsV1Api(client)
    apps.create_namespaced_deployment("shop", WEB)
    ends = time.monotonic() + 10
    while apps.read_namespaced_deployment("web", "shop").status.ready_replicas != 2:
        assert time.monotonic() < ends
        time.sleep(0.05)
