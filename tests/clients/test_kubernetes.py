"""The official client, `kubernetes`: typed calls, patches, watches, the dynamic client, utilities."""

import threading
from collections.abc import Iterator

import kubernetes
import pytest
from kubernetes import client, dynamic, utils, watch

from pilothouse.testing.server import APIServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # it leaves sockets open
]

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "example.org/web:1"}]},
        },
    },
}


@pytest.fixture
def api(server: APIServer) -> Iterator[client.ApiClient]:
    with kubernetes.config.new_client_from_config(str(server.kubeconfig)) as made:
        yield made


def test_objects_come_and_go(api: client.ApiClient) -> None:
    core = client.CoreV1Api(api)
    created = core.create_namespaced_config_map(
        "default",
        client.V1ConfigMap(metadata=client.V1ObjectMeta(name="a", labels={"x": "y"}), data={"k": "v"}),
    )
    assert created.metadata.uid and created.metadata.creation_timestamp.year >= 2024
    assert core.read_namespaced_config_map("a", "default").data == {"k": "v"}
    patched = core.patch_namespaced_config_map("a", "default", {"data": {"k": None, "n": "1"}})
    assert patched.data == {"n": "1"}
    patched.data["n"] = "2"
    replaced = core.replace_namespaced_config_map("a", "default", patched)
    assert replaced.metadata.resource_version != created.metadata.resource_version
    with pytest.raises(client.ApiException) as conflict:
        core.replace_namespaced_config_map("a", "default", created)
    assert (conflict.value.status, conflict.value.reason) == (409, "Conflict")
    assert [
        c.metadata.name for c in core.list_namespaced_config_map("default", label_selector="x=y").items
    ] == ["a"]
    core.delete_namespaced_config_map("a", "default")
    with pytest.raises(client.ApiException) as missing:
        core.read_namespaced_config_map("a", "default")
    assert missing.value.status == 404


def test_lists_in_pages(api: client.ApiClient) -> None:
    core = client.CoreV1Api(api)
    for n in range(7):
        core.create_namespaced_config_map(
            "default", {"metadata": {"name": f"c{n}", "labels": {"in": "pages"}}}
        )
    names: list[str] = []
    token = None
    while token != "":
        page = core.list_namespaced_config_map("default", label_selector="in=pages", limit=3, _continue=token)
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue or ""
    assert names == [f"c{n}" for n in range(7)]


def test_watch_from_a_list(api: client.ApiClient) -> None:
    core = client.CoreV1Api(api)
    version = core.list_namespaced_config_map("default").metadata.resource_version
    seen: list[tuple[str, str]] = []

    def follow() -> None:
        stream = watch.Watch().stream(
            core.list_namespaced_config_map, "default", resource_version=version, timeout_seconds=20
        )
        for event in stream:
            seen.append((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED":
                break

    thread = threading.Thread(target=follow)
    thread.start()
    core.create_namespaced_config_map("default", {"metadata": {"name": "w"}})
    core.patch_namespaced_config_map("w", "default", {"data": {"a": "b"}})
    core.delete_namespaced_config_map("w", "default")
    thread.join(20)
    assert seen == [("ADDED", "w"), ("MODIFIED", "w"), ("DELETED", "w")]


def test_scale_and_status(api: client.ApiClient) -> None:
    apps = client.AppsV1Api(api)
    apps.create_namespaced_deployment("default", DEPLOYMENT)
    apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 4}})
    apps.patch_namespaced_deployment_status("web", "default", {"status": {"replicas": 4, "readyReplicas": 3}})
    web = apps.read_namespaced_deployment("web", "default")
    assert (web.spec.replicas, web.status.ready_replicas) == (4, 3)
    apps.delete_namespaced_deployment("web", "default", propagation_policy="Foreground")


def test_the_dynamic_client(api: client.ApiClient) -> None:
    any_kind = dynamic.DynamicClient(api)
    maps = any_kind.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d"}, "data": {"a": "1"}}
    applied = any_kind.server_side_apply(maps, body, name="d", namespace="default", field_manager="tests")
    assert applied.metadata.managedFields[0].operation == "Apply"
    assert maps.get(name="d", namespace="default").data.a == "1"
    assert {r.kind for r in any_kind.resources.search(group="apps", api_version="v1")} >= {
        "Deployment",
        "StatefulSet",
    }


def test_create_from_a_dict(api: client.ApiClient) -> None:
    utils.create_from_dict(api, DEPLOYMENT)
    assert (
        client.AppsV1Api(api).read_namespaced_deployment("web", "default").spec.strategy.type
        == "RollingUpdate"
    )


def test_reviews(api: client.ApiClient) -> None:
    body = {"spec": {"resourceAttributes": {"verb": "delete", "resource": "nodes"}}}
    assert client.AuthorizationV1Api(api).create_self_subject_access_review(body).status.allowed


def test_tokens(api: client.ApiClient, server: APIServer) -> None:
    """A service account's token is who it says, and may nothing by itself."""
    core = client.CoreV1Api(api)
    core.create_namespaced_service_account("default", {"metadata": {"name": "runner"}})
    answer = core.create_namespaced_service_account_token("runner", "default", {"spec": {}})
    settings = client.Configuration(host=server.url)
    settings.ssl_ca_cert = str(server.ca_file)
    settings.api_key = {"authorization": answer.status.token}
    settings.api_key_prefix = {"authorization": "Bearer"}
    with client.ApiClient(settings) as runner, pytest.raises(client.ApiException) as denied:
        client.CoreV1Api(runner).list_node()
    assert denied.value.status == 403
    assert "system:serviceaccount:default:runner" in denied.value.body
