import json
from pathlib import Path
from typing import Any

import pytest

from pilothouse.api.protobuf import _reader as protobuf
from pilothouse.endpoints.documents.discovery import Discovery
from pilothouse.endpoints.request.metrics import DiscoveryMetrics
from pilothouse.errors import MethodNotAllowed, NotAcceptable, NotFound
from pilothouse.registry.catalog import Catalog, default_catalog
from pilothouse.registry.conventions import CUSTOM
from pilothouse.registry.resource import Resource, Subresource
from pilothouse.server.request import Request

DATA = Path(__file__).parents[2] / "data"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
PLAIN_DOCUMENTS = json.loads((DATA / "discovery_plain.json").read_text())
AGGREGATED_DOCUMENTS = json.loads((DATA / "discovery_aggregated.json").read_text())


@pytest.fixture(scope="module")
def served() -> Discovery:
    return Discovery(default_catalog(), "<advertise-address>:<secure-port>")


def resource(
    group: str = "example.com", version: str = "v1", plural: str = "fans", kind: str = "Fan", **more: Any
) -> Resource:
    return Resource(
        group=group,
        version=version,
        plural=plural,
        kind=kind,
        singular=kind.lower(),
        namespaced=True,
        verbs=("get", "list"),
        **more,
    )


@pytest.fixture
def small() -> tuple[Any, Any]:
    catalog = Catalog([resource("", "v1", "pods", "Pod"), resource("apps", "v1", "things", "Thing")])
    return catalog, Discovery(catalog)


def ask(discovery: Any, path: str, accept: Any = None, method: str = "GET", **headers: Any) -> Any:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if accept is not None:
        headers["accept"] = accept
    return discovery.handle(Request(method, path, headers, list(headers.items())), path)


@pytest.mark.parametrize("path", sorted(PLAIN_DOCUMENTS))
def test_plain_documents(served: Discovery, path: Any) -> None:
    response = ask(served, path)
    assert response.content_type == "application/json"
    assert json.loads(response.body) == PLAIN_DOCUMENTS[path]


@pytest.mark.parametrize("path", sorted(AGGREGATED_DOCUMENTS))
def test_aggregated_documents(served: Discovery, path: Any) -> None:
    response = ask(served, path, f"application/json,{AGGREGATED}")
    assert response.content_type == AGGREGATED
    assert json.loads(response.body) == AGGREGATED_DOCUMENTS[path]
    assert ("Vary", "Accept") in response.headers


def test_documents_in_protobuf(served: Discovery) -> None:
    for path in ("/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1"):
        response = ask(served, path, "application/vnd.kubernetes.protobuf")
        assert response.content_type == "application/vnd.kubernetes.protobuf"
        _, kind, raw = protobuf.read(response.body)
        assert kind == PLAIN_DOCUMENTS.get(path, {"kind": "APIGroup"})["kind"]
        assert raw
    response = ask(served, "/apis", AGGREGATED.replace("json", "vnd.kubernetes.protobuf"))
    assert response.content_type == AGGREGATED.replace("json", "vnd.kubernetes.protobuf")
    assert protobuf.read(response.body)[:2] == ("apidiscovery.k8s.io/v2", "APIGroupDiscoveryList")
    assert response.body.count(b"deployments") == 1


def test_unchanged_documents_need_not_be_sent_again(small: tuple[Any, Any]) -> None:
    _, discovery = small
    tag = dict(ask(discovery, "/apis", AGGREGATED).headers)["ETag"]
    response = ask(discovery, "/apis", AGGREGATED, if_none_match=tag)
    assert (response.status, response.body) == (304, b"")
    for other in (f'"abc", {tag}', f"W/{tag}", "*"):
        assert ask(discovery, "/apis", AGGREGATED, if_none_match=other).status == 200


def test_changes_of_the_table_show_at_once(small: tuple[Any, Any]) -> None:
    catalog, discovery = small
    tag = dict(ask(discovery, "/apis", AGGREGATED).headers)["ETag"]
    assert ask(discovery, "/apis/example.com").status == 404
    catalog.add(resource())
    assert dict(ask(discovery, "/apis", AGGREGATED).headers)["ETag"] != tag
    assert json.loads(ask(discovery, "/apis/example.com").body)["preferredVersion"]["version"] == "v1"
    catalog.remove("example.com", "v1", "fans")
    assert ask(discovery, "/apis/example.com").status == 404


def test_custom_resources_are_listed_as_declared(small: tuple[Any, Any]) -> None:
    catalog, discovery = small
    subs = {
        "status": Subresource(name="status", kind="Fan", group="example.com"),
        "scale": Subresource(name="scale", kind="Scale", group="autoscaling"),
    }
    catalog.add(resource(conventions=CUSTOM, subresources=subs))
    names = [entry["name"] for entry in json.loads(ask(discovery, "/apis/example.com/v1").body)["resources"]]
    assert names == ["fans", "fans/status", "fans/scale"]
    entry = json.loads(ask(discovery, "/apis", AGGREGATED).body)["items"][-1]["versions"][0]["resources"][0]
    assert entry["responseKind"] == {"group": "example.com", "version": "v1", "kind": "Fan"}
    kinds = [sub["responseKind"]["kind"] for sub in entry["subresources"]]
    assert kinds == ["Fan", "Scale"]
    assert ask(discovery, "/apis/example.com/v1", method="POST").status == 200


def test_aggregated_servers_are_listed_and_marked_stale(small: tuple[Any, Any]) -> None:
    _, discovery = small
    discovery.set_remote("metrics.k8s.io", "v1beta1", None)
    assert "metrics.k8s.io" in [g["name"] for g in json.loads(ask(discovery, "/apis").body)["groups"]]
    version = json.loads(ask(discovery, "/apis", AGGREGATED).body)["items"][-1]["versions"]
    assert version == [{"version": "v1beta1", "freshness": "Stale"}]
    assert "/apis/metrics.k8s.io/v1beta1" in discovery.paths()
    assert ask(discovery, "/apis/metrics.k8s.io/v1beta1") is None
    discovery.remove_remote("metrics.k8s.io", "v1beta1")
    assert ask(discovery, "/apis/metrics.k8s.io").status == 404


def test_aggregations_are_counted() -> None:
    metrics = DiscoveryMetrics()
    catalog = Catalog([resource()])
    discovery = Discovery(catalog, "", metrics)
    for _ in range(2):
        ask(discovery, "/apis", AGGREGATED)
    assert metrics.aggregations.values == {(): 1}
    catalog.add(resource("other.com"))
    ask(discovery, "/apis", AGGREGATED)
    assert metrics.aggregations.values == {(): 2}
    for resources, count in (([{"resource": "a"}], 3), ([{"resource": "a"}], 3), (None, 4), (None, 4)):
        discovery.set_remote("far.com", "v1", resources)
        ask(discovery, "/apis", AGGREGATED)
        assert metrics.aggregations.values == {(): count}


@pytest.mark.parametrize("path", ["/apis", "/apis/", "/apis/apps", "/apis/apps/"])
def test_group_lists_take_any_method(small: tuple[Any, Any], path: str) -> None:
    assert ask(small[1], path, method="DELETE").status == 200


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v1", "/apis/apps/v1", "/apis/apps/v1/"])
def test_routed_documents_take_get_alone(small: tuple[Any, Any], path: str) -> None:
    assert ask(small[1], path).status == 200
    with pytest.raises(MethodNotAllowed) as caught:
        ask(small[1], path, method="HEAD")
    assert caught.value.details == {}


@pytest.mark.parametrize(
    ("path", "details"), [("/api/v1", {}), ("/apis/apps/v1", {}), ("/apis", None), ("/apis/apps", None)]
)
def test_the_two_refusals(small: tuple[Any, Any], path: str, details: dict[str, Any] | None) -> None:
    with pytest.raises(NotAcceptable) as caught:
        ask(small[1], path, "text/html")
    assert caught.value.details == details


def test_aggregated_form_only_at_the_roots(small: tuple[Any, Any]) -> None:
    with pytest.raises(NotAcceptable, match="only the following"):
        ask(small[1], "/apis/apps", AGGREGATED)
    assert json.loads(ask(small[1], "/apis", AGGREGATED).body)["kind"] == "APIGroupDiscoveryList"
    with pytest.raises(NotAcceptable, match="only the following"):
        ask(small[1], "/apis/", AGGREGATED)


@pytest.mark.parametrize("path", ["/api/v9", "/api/V1", "/apis/apps/v9"])
def test_unknown_versions_of_built_in_groups(small: tuple[Any, Any], path: str) -> None:
    with pytest.raises(NotFound) as caught:
        ask(small[1], path)
    assert caught.value.details == {}


@pytest.mark.parametrize("path", ["/api//", "/api/v1//", "/apis/apps//", "/apis/apps/v1//"])
def test_slashes_at_the_end_do_not_count(small: tuple[Any, Any], path: str) -> None:
    assert ask(small[1], path).body == ask(small[1], path.rstrip("/")).body


@pytest.mark.parametrize("path", ["/apis//", "/apis//v1", "/apis/nope", "/apis/nope/v1", "/apis/Apps/v1"])
def test_unknown_groups(small: tuple[Any, Any], path: str) -> None:
    response = ask(small[1], path)
    assert (response.status, response.body) == (404, b"404 page not found\n")


@pytest.mark.parametrize("path", ["/", "/version", "/apisx", "/api/v1/pods", "/apis/apps/v1/things", "/apix"])
def test_other_paths_are_left_alone(small: tuple[Any, Any], path: str) -> None:
    assert ask(small[1], path) is None
