"""The choice of the verb, and 404, 405, 406 and 415 where there is none."""

from typing import Any

import pytest
from harness import CONFIG_MAPS, PODS, Rig, config_map

JSON_BODY = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "target",
    [
        "/api/v9",
        "/api/v1/nothings",
        "/api/v1/namespaces/default/nothings/a",
        "/apis/apps/v1beta9/deployments",
        "/api/v1/namespaces/default/nodes",
        "/api/v1/configmaps/a",
        "/api/v1/namespaces/default/configmaps/a/nothing",
        "/api/v1/namespaces/default/pods/a/status/more",
        "/api/v1/namespaces/default/configmaps//a",
        "/api//v1",
        "/api//v1/pods",
        "/apis/apps//v1/deployments",
    ],
)
async def test_what_a_served_group_does_not_have(rig: Rig, target: str) -> None:
    answer = await rig.call("GET", target)
    assert (answer.status, answer.body["reason"]) == (404, "NotFound")
    assert answer.body["message"] == "the server could not find the requested resource"
    assert answer.body["details"] == {}


@pytest.mark.parametrize(
    "target", ["/apis/none.example/v1/x", "/nothing", "/apis/none.example", "/apis//v1/pods", "//api"]
)
async def test_paths_that_lead_nowhere(rig: Rig, target: str) -> None:
    answer = await rig.call("GET", target)
    assert answer.status == 404 and answer.body == "404 page not found\n"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", CONFIG_MAPS + "/a"),
        ("PUT", CONFIG_MAPS),
        ("PATCH", CONFIG_MAPS),
        ("POST", "/api/v1/configmaps"),
        ("DELETE", "/api/v1/configmaps"),
        ("HEAD", CONFIG_MAPS + "/a"),
        ("OPTIONS", CONFIG_MAPS),
        ("TRACE", CONFIG_MAPS),
        ("POST", PODS + "/a/status"),
        ("DELETE", PODS + "/a/status"),
        ("GET", PODS + "/a/eviction"),
        ("GET", "/apis/authorization.k8s.io/v1/subjectaccessreviews"),
        ("DELETE", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
        ("DELETE", "/api/v1/namespaces"),
        ("DELETE", "/api/v1/namespaces/default/services/x/status"),
    ],
)
async def test_methods_that_a_resource_does_not_have(rig: Rig, method: str, target: Any) -> None:
    answer = await rig.call(method, target)
    assert (answer.status, answer.body["reason"]) == (405, "MethodNotAllowed")
    assert answer.body["message"] == "the server does not allow this method on the requested resource"


@pytest.mark.parametrize(
    ("method", "target", "status", "message"),
    [
        ("GET", "/api/v1/namespaces//configmaps/a", 400, "Namespace parameter required."),
        ("PUT", "/api/v1/namespaces//configmaps/a", 400, "Namespace parameter required."),
        ("DELETE", "/api/v1/namespaces//configmaps/a", 400, "Namespace parameter required."),
        ("DELETE", "/api/v1/namespaces//configmaps", 400, "Namespace parameter required."),
        ("POST", "/api/v1/namespaces//configmaps", 422, "metadata.namespace: Required value"),
        ("GET", "/api/v1/namespaces//pods/a/log", 400, "Namespace parameter required."),
        ("POST", "/api/v1/namespaces//nodes", 404, "the server could not find the requested resource"),
        ("POST", "/api/v1/configmaps", 405, "the server does not allow this method"),
        ("GET", PODS + "//status", 400, "name must be provided"),
        ("GET", PODS + "//log", 400, "name must be provided"),
        ("PUT", "/api/v1/namespaces//finalize", 400, "name must be provided"),
        ("GET", PODS + "//odd", 404, "the server could not find the requested resource"),
    ],
)
async def test_paths_with_an_empty_name(
    rig: Rig, method: str, target: Any, status: int, message: str
) -> None:
    body = config_map("a") if method in ("PUT", "POST") else None
    answer = await rig.call(method, target, body)
    assert (answer.status, message in answer.body["message"]) == (status, True)


async def test_a_list_of_the_namespace_without_a_name(rig: Rig) -> None:
    await rig.config_map("a")
    body = await rig.ok("GET", "/api/v1/namespaces//configmaps")
    assert [i["metadata"]["name"] for i in body["items"]] == ["a"]


async def test_a_collection_may_be_read_across_namespaces(rig: Rig) -> None:
    await rig.config_map("a")
    body = await rig.ok("GET", "/api/v1/configmaps")
    assert [i["metadata"]["name"] for i in body["items"]] == ["a"]


async def test_a_form_that_nobody_writes(rig: Rig) -> None:
    for target in (CONFIG_MAPS, CONFIG_MAPS + "/a"):
        answer = await rig.call("GET", target, headers={"Accept": "text/html"})
        assert answer.status == 406


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_that_nobody_reads(rig: Rig, kind: str) -> None:
    answer = await rig.call("POST", CONFIG_MAPS, config_map("a"), headers={"Content-Type": kind})
    assert (answer.status, answer.body["reason"]) == (415, "UnsupportedMediaType")


async def test_deprecated_kinds_warn(rig: Rig) -> None:
    answer = await rig.call("GET", "/api/v1/namespaces/default/endpoints")
    assert answer.warnings == ["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"]
    assert (await rig.call("GET", CONFIG_MAPS)).warnings == []
    answer = await rig.call("GET", "/api/v1/watch/namespaces/default/endpoints?timeoutSeconds=1")
    assert len(answer.warnings) == 1


async def test_the_router_refuses_without_a_warning(rig: Rig) -> None:
    path = "/api/v1/namespaces/default/endpoints"
    for accept, count in (("text/html", 0), ("application/json;as=Odd;v=v1;g=x", 1)):
        answer = await rig.call("GET", path, headers={"Accept": accept})
        assert (answer.status, len(answer.warnings)) == (406, count)
    answer = await rig.call("PATCH", f"{path}/a", b"{}", headers={"Content-Type": "text/plain"})
    assert (answer.status, answer.warnings) == (415, [])
    answer = await rig.call("GET", f"{path}/a/odd")
    assert (answer.status, answer.warnings) == (404, [])


async def test_a_watch_path_of_old(rig: Rig) -> None:
    await rig.config_map("a")
    await rig.config_map("b")
    stream = await rig.watch("/api/v1/watch/namespaces/default/configmaps")
    assert stream.seen() == [("ADDED", "a"), ("ADDED", "b")]
    stream = await rig.watch("/api/v1/watch/namespaces/default/configmaps/b")
    assert stream.seen() == [("ADDED", "b")]
    answer = await rig.call("POST", "/api/v1/watch/namespaces/default/configmaps", config_map("c"))
    assert answer.status == 405


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("continue=a", 200),
        ("resourceVersion=1&resourceVersionMatch=NotOlderThan", 200),
        ("resourceVersionMatch=NotOlderThan", 422),
        ("sendInitialEvents=true&resourceVersionMatch=NotOlderThan", 422),
        ("watch=1&continue=a", 422),
        ("watch=1&resourceVersion=1&resourceVersionMatch=NotOlderThan", 422),
    ],
)
async def test_the_options_of_a_watch_by_its_path_are_those_of_a_list(
    rig: Rig, query: str, status: int
) -> None:
    path = "/api/v1/watch/namespaces/default/configmaps"
    answer = await rig.call("GET", f"{path}?timeoutSeconds=1&{query}")
    assert answer.status == status


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/api/v1/proxy", "//api/v1/proxy", "///api/v1/watch"])
async def test_paths_of_old_lead_to_no_other_verb(rig: Rig, method: str, path: str) -> None:
    await rig.config_map("a")
    body = config_map("a", data={"changed": "1"}) if method == "PUT" else None
    answer = await rig.call(method, f"{path}/namespaces/default/configmaps/a", body)
    assert answer.status == 404
    assert "data" not in (await rig.call("GET", CONFIG_MAPS + "/a")).body


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/api/v1/proxy", "///api/v1/watch"])
async def test_paths_of_old_lead_to_no_collection(rig: Rig, method: str, path: str) -> None:
    await rig.config_map("a")
    body = config_map("b") if method == "POST" else None
    assert (await rig.call(method, f"{path}/namespaces/default/configmaps", body)).status == 404
    assert [m["metadata"]["name"] for m in (await rig.call("GET", CONFIG_MAPS)).body["items"]] == ["a"]


async def test_a_resource_that_is_taken_off_the_table_is_gone(rig: Rig) -> None:
    await rig.config_map("a")
    rig.catalog.remove("", "v1", "configmaps")
    assert (await rig.call("GET", CONFIG_MAPS)).status == 404


async def test_a_patch_of_a_wrong_type_is_refused_before_the_form_of_the_answer(rig: Rig) -> None:
    await rig.config_map("a")
    headers = {"Accept": "text/html", "Content-Type": "application/yaml"}
    assert (await rig.call("PATCH", CONFIG_MAPS + "/a", b"{}", headers=headers)).status == 415
    headers["Content-Type"] = "application/merge-patch+json"
    assert (await rig.call("PATCH", CONFIG_MAPS + "/a", b"{}", headers=headers)).status == 406
