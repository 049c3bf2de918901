import json
import re
from dataclasses import replace
from typing import Any

import pytest

from pilothouse.api.openapi.custom import custom_name
from pilothouse.api.openapi.documents import OpenAPI
from pilothouse.api.openapi.paths import identifier, name_of
from pilothouse.process.frozen import frozen
from pilothouse.registry.conventions import CUSTOM
from pilothouse.registry.groups import apps, batch
from pilothouse.registry.groups.core import resources as core
from pilothouse.registry.resource import Resource, Subresource

WIDGET_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "a": {"type": "string", "description": "an a", "default": "x"},
                "ios": {"x-kubernetes-int-or-string": True},
                "list": {"type": "array", "items": {"x-kubernetes-int-or-string": True}},
            },
        }
    },
}


class Schema:
    """A declared schema, with the digest that tells it from others."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self.digest = json.dumps(document).encode()


@frozen(eq=False, kw_only=True)
class Defined(Resource):
    """A record with the schema of a definition."""

    schema: Schema
    listing: str = "WidgetList"
    chosen: tuple[str, ...] = ()

    @property
    def declared(self) -> Schema:
        return self.schema

    @property
    def list_kind(self) -> str:
        return self.listing

    @property
    def selectable_fields(self) -> tuple[str, ...]:
        return self.chosen


WIDGET = Defined(
    group="x.example.com",
    version="v1",
    plural="widgets",
    kind="Widget",
    singular="widget",
    namespaced=True,
    verbs=("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"),
    conventions=CUSTOM,
    schema=Schema(WIDGET_SCHEMA),
    subresources={
        "status": Subresource(name="status", kind="Widget", group="x.example.com"),
        "scale": Subresource(name="scale", kind="Scale", group="autoscaling"),
    },
)
PODS = Resource(
    group="",
    version="v1",
    plural="pods",
    kind="Pod",
    singular="pod",
    namespaced=True,
    verbs=("create", "get", "list", "watch"),
    subresources={
        "exec": Subresource(name="exec", kind="PodExecOptions", verbs=("create", "get")),
        "proxy": Subresource(name="proxy", kind="PodProxyOptions", verbs=("get",)),
        "log": Subresource(name="log", kind="Pod", verbs=("get",)),
        "eviction": Subresource(name="eviction", kind="Eviction", group="policy", verbs=("create",)),
    },
)
SERVED = {
    ("", "v1"): [PODS],
    ("apps", "v1"): apps.RESOURCES,
    ("batch", "v1"): batch.RESOURCES,
    ("x.example.com", "v1"): [WIDGET],
}


@pytest.fixture(scope="module")
def openapi() -> OpenAPI:
    def resources(group: Any, version: Any) -> Any:
        return SERVED.get((group, version), [])

    return OpenAPI(lambda: list(SERVED), resources)


@pytest.fixture(scope="module")
def documents(openapi: OpenAPI) -> dict[Any, Any]:
    return {name: openapi.document(name) for name in openapi.names()}


def test_there_is_a_document_for_each_version_group_and_plain_path(openapi: OpenAPI) -> None:
    names = set(openapi.names())
    assert {"api", "apis", "version", "openid/v1/jwks", "api/v1", "apis/apps", "apis/apps/v1"} <= names
    assert "apis/x.example.com/v1" in names
    assert "apis/x.example.com" not in names
    with pytest.raises(KeyError):
        openapi.document("apis/nope/v1")
    with pytest.raises(KeyError):
        openapi.hash("apis/nope/v1")


def test_every_reference_is_resolved(openapi: OpenAPI, documents: dict[Any, Any]) -> None:
    for document in documents.values():
        wanted = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
        assert wanted == set(document["components"]["schemas"]) & wanted
    for name in documents:
        part = openapi.part_v2(name)
        text = json.dumps(part)
        built_in = openapi.built_in_v2(part.uses).definitions
        wanted = set(re.findall(r'"#/definitions/([^"]+)"', text + json.dumps(built_in)))
        assert wanted <= part.definitions.keys() | built_in.keys()
        assert set(re.findall(r'"#/parameters/([^"]+)"', text)) == set(part.parameters)
        assert "#/components/" not in text


def test_operation_ids_are_unique(openapi: OpenAPI) -> None:
    ids = [
        operation["operationId"]
        for name in openapi.names()
        for item in openapi.part_v2(name).paths.values()
        for method, operation in item.items()
        if method != "parameters"
    ]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("name", "path", "method", "id"),
    [
        ("apis/batch/v1", "/apis/batch/v1/namespaces/{namespace}/jobs", "post", "createBatchV1NamespacedJob"),
        (
            "apis/batch/v1",
            "/apis/batch/v1/namespaces/{namespace}/jobs",
            "delete",
            "deleteBatchV1CollectionNamespacedJob",
        ),
        ("apis/batch/v1", "/apis/batch/v1/jobs", "get", "listBatchV1JobForAllNamespaces"),
        ("apis/batch/v1", "/apis/batch/v1/watch/jobs", "get", "watchBatchV1JobListForAllNamespaces"),
        ("apis/batch/v1", "/apis/batch/v1/", "get", "getBatchV1APIResources"),
        (
            "apis/apps/v1",
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale",
            "put",
            "replaceAppsV1NamespacedDeploymentScale",
        ),
        (
            "api/v1",
            "/api/v1/namespaces/{namespace}/pods/{name}/exec",
            "post",
            "connectCoreV1PostNamespacedPodExec",
        ),
        (
            "api/v1",
            "/api/v1/namespaces/{namespace}/pods/{name}/proxy/{path}",
            "head",
            "connectCoreV1HeadNamespacedPodProxyWithPath",
        ),
        (
            "api/v1",
            "/api/v1/namespaces/{namespace}/pods/{name}/eviction",
            "post",
            "createCoreV1NamespacedPodEviction",
        ),
        ("api", "/api/", "get", "getCoreAPIVersions"),
        ("apis", "/apis/", "get", "getAPIVersions"),
        ("version", "/version/", "get", "getCodeVersion"),
    ],
)
def test_operation_ids(documents: dict[Any, Any], name: str, path: str, method: str, id: str) -> None:
    assert documents[name]["paths"][path][method]["operationId"] == id


def test_operations_tell_what_they_act_on(documents: dict[Any, Any]) -> None:
    paths = documents["api/v1"]["paths"]
    eviction = paths["/api/v1/namespaces/{namespace}/pods/{name}/eviction"]["post"]
    assert eviction["x-kubernetes-action"] == "post"
    assert eviction["x-kubernetes-group-version-kind"] == {
        "group": "policy",
        "version": "v1",
        "kind": "Eviction",
    }
    patch = documents["apis/apps/v1"]["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"][
        "patch"
    ]
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]
    assert {p["name"] for p in patch["parameters"]} >= {"force", "fieldManager", "fieldValidation", "dryRun"}
    log = paths["/api/v1/namespaces/{namespace}/pods/{name}/log"]["get"]
    assert log["responses"]["200"]["content"]["text/plain"]["schema"] == {"type": "string"}
    named = paths["/api/v1/namespaces/{namespace}/pods/{name}"]["parameters"]
    assert [(p["name"], p.get("required")) for p in named] == [
        ("name", True),
        ("namespace", True),
        ("pretty", None),
    ]


def test_schemas_are_those_of_the_server(documents: dict[Any, Any]) -> None:
    schemas = documents["apis/batch/v1"]["components"]["schemas"]
    job = schemas["io.k8s.api.batch.v1.Job"]
    assert job["x-kubernetes-group-version-kind"] == [{"group": "batch", "kind": "Job", "version": "v1"}]
    assert job["properties"]["spec"]["allOf"] == [
        {"$ref": "#/components/schemas/io.k8s.api.batch.v1.JobSpec"}
    ]
    assert job["properties"]["spec"]["default"] == {}
    assert schemas["io.k8s.api.batch.v1.CronJobSpec"]["required"] == ["schedule", "jobTemplate"]
    quantity = schemas["io.k8s.apimachinery.pkg.api.resource.Quantity"]
    assert quantity["oneOf"] == [{"type": "string"}, {"type": "number"}]


def test_version_2_says_it_more_simply(openapi: OpenAPI) -> None:
    definitions = openapi.built_in_v2(openapi.part_v2("apis/batch/v1").uses).definitions
    spec = definitions["io.k8s.api.batch.v1.Job"]["properties"]["spec"]
    assert spec["$ref"] == "#/definitions/io.k8s.api.batch.v1.JobSpec"
    assert "default" not in spec
    assert definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["format"] == "int-or-string"
    assert definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"]["type"] == "string"


def test_custom_resources(documents: dict[Any, Any]) -> None:
    document = documents["apis/x.example.com/v1"]
    schemas = document["components"]["schemas"]
    widget = schemas["com.example.x.v1.Widget"]
    assert widget["properties"]["spec"]["properties"]["a"] == {
        "type": "string",
        "description": "an a",
        "default": "x",
    }
    either = [{"type": "integer"}, {"type": "string"}]
    assert widget["properties"]["spec"]["properties"]["ios"]["anyOf"] == either
    assert widget["properties"]["spec"]["properties"]["list"]["items"]["anyOf"] == either
    assert "anyOf" not in WIDGET_SCHEMA["properties"]["spec"]["properties"]["ios"]
    assert set(widget["properties"]) == {"apiVersion", "kind", "metadata", "spec"}
    assert schemas["com.example.x.v1.WidgetList"]["required"] == ["items"]
    paths = document["paths"]
    root = "/apis/x.example.com/v1"
    assert not any(path.startswith(f"{root}/watch") for path in paths)
    assert paths[f"{root}/widgets"]["get"]["description"] == "list objects of kind Widget"
    item = f"{root}/namespaces/{{namespace}}/widgets/{{name}}"
    assert paths[f"{item}/scale"]["get"]["x-kubernetes-group-version-kind"]["kind"] == "Widget"
    assert set(paths[item]["patch"]["requestBody"]["content"]) == {
        "application/apply-patch+yaml",
        "application/json-patch+json",
        "application/merge-patch+json",
    }
    assert paths[item]["get"]["tags"] == ["xExampleCom_v1"]


def test_the_hash_follows_what_is_served() -> None:
    served = [WIDGET]
    openapi = OpenAPI(lambda: [("x.example.com", "v1")], lambda group, version: served)
    name = "apis/x.example.com/v1"
    hashes = {openapi.hash(name), openapi.hash(name)}
    assert len(hashes) == 1
    served[0] = replace(WIDGET, schema=Schema({**WIDGET_SCHEMA, "description": "new"}))
    assert openapi.hash(name) not in hashes
    assert re.fullmatch("[0-9A-F]{128}", openapi.hash(name))


def test_the_hash_follows_the_names_and_fields_of_a_definition() -> None:
    served: list[Any] = [WIDGET]
    openapi = OpenAPI(lambda: [("x.example.com", "v1")], lambda group, version: served)
    hashes = set()
    for kind in (WIDGET, replace(WIDGET, listing="Widgets"), replace(WIDGET, chosen=("spec.a",))):
        served[0] = kind
        hashes.add(openapi.hash("apis/x.example.com/v1"))
    assert len(hashes) == 3


def test_lists_have_the_kind_of_their_definition() -> None:
    widget = replace(WIDGET, listing="Widgets", chosen=("spec.a",))
    openapi = OpenAPI(lambda: [("x.example.com", "v1")], lambda group, version: [widget])
    document = openapi.document("apis/x.example.com/v1")
    schemas = document["components"]["schemas"]
    assert schemas["com.example.x.v1.Widgets"]["description"] == "Widgets is a list of Widget"
    fields = [{"fieldPath": "spec.a"}]
    assert all(
        schemas[f"com.example.x.v1.{n}"]["x-kubernetes-selectable-fields"] == fields
        for n in ("Widget", "Widgets")
    )
    listing = document["paths"]["/apis/x.example.com/v1/widgets"]["get"]["responses"]["200"]["content"]
    assert listing["application/json"]["schema"] == {"$ref": "#/components/schemas/com.example.x.v1.Widgets"}


def test_custom_resources_below_the_domain_of_kubernetes() -> None:
    gateway = replace(WIDGET, group="gateway.networking.k8s.io")
    name = "apis/gateway.networking.k8s.io/v1"
    openapi = OpenAPI(
        lambda: [(gateway.group, "v1")], lambda group, version: [gateway] if group == gateway.group else []
    )
    own = {"io.k8s.networking.gateway.v1.Widget", "io.k8s.networking.gateway.v1.WidgetList"}
    assert own <= openapi.document(name)["components"]["schemas"].keys()
    part = openapi.part_v2(name)
    assert part.definitions.keys() == own
    assert openapi.built_in_v2(part.uses).definitions.keys().isdisjoint(own)


def test_operations_of_custom_resources(documents: dict[Any, Any], openapi: OpenAPI) -> None:
    document = documents["apis/x.example.com/v1"]
    assert set(document["components"]) == {"schemas"}
    item = "/apis/x.example.com/v1/namespaces/{namespace}/widgets"
    part = openapi.part_v2("apis/x.example.com/v1")
    methods = part.paths[item]
    assert [methods[m]["consumes"] for m in ("get", "post", "delete")] == [
        ["application/json", "application/yaml"]
    ] * 3
    assert "body" not in {one.get("name") for one in methods["delete"]["parameters"]}
    references = [one["$ref"].removeprefix("#/parameters/") for one in methods["delete"]["parameters"]]
    assert "watch" in {part.parameters[name]["name"] for name in references}
    patch = part.paths[f"{item}/{{name}}"]["patch"]
    types = ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"]
    assert patch["consumes"] == types


@pytest.mark.parametrize(
    ("document", "path", "kind"),
    [
        ("api/v1", "/api/v1/namespaces/{namespace}/services/{name}", "io.k8s.api.core.v1.Service"),
        ("api/v1", "/api/v1/namespaces/{name}", "io.k8s.apimachinery.pkg.apis.meta.v1.Status"),
        (
            "apis/apps/v1",
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
            "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
        ),
    ],
)
def test_deletes_answer_the_object_or_a_status(document: str, path: str, kind: str) -> None:
    served = {("", "v1"): core.RESOURCES, ("apps", "v1"): apps.RESOURCES}
    openapi = OpenAPI(lambda: list(served), lambda group, version: served.get((group, version), []))
    responses = openapi.part_v2(document).paths[path]["delete"]["responses"]
    assert [responses[code]["schema"] for code in ("200", "202")] == [{"$ref": f"#/definitions/{kind}"}] * 2


def test_discovery_paths_take_what_they_answer(openapi: OpenAPI) -> None:
    typed = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]
    assert openapi.part_v2("apis/batch/v1").paths["/apis/batch/v1/"]["get"]["consumes"] == typed
    assert openapi.part_v2("version").paths["/version/"]["get"]["consumes"] == ["application/json"]
    assert "consumes" not in openapi.part_v2("openid/v1/jwks").paths["/openid/v1/jwks/"]["get"]


@pytest.mark.parametrize(
    ("text", "capital", "wanted"),
    [
        ("rbac.authorization", True, "RbacAuthorization"),
        ("rbac.authorization", False, "rbacAuthorization"),
        (".well-known", False, "WellKnown"),
        ("3d.example", False, "DExample"),
        ("a.3d", False, "a3d"),
        ("v1", True, "V1"),
        ("", True, ""),
    ],
)
def test_identifiers(text: str, capital: bool, wanted: str) -> None:
    assert identifier(text, capital) == wanted


def test_names() -> None:
    assert name_of("/apis/rbac.authorization.k8s.io/v1/roles", "list", "Role") == (
        "listRbacAuthorizationV1Role",
        ["rbacAuthorization_v1"],
    )
    assert custom_name("x.example.com", "v1", "Widget") == "com.example.x.v1.Widget"


@pytest.mark.parametrize(
    ("declared", "kept"),
    [
        ({}, []),
        ({"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"spec": {}}}, ["3"]),
        ({"type": "object", "properties": {"spec": {"type": "object"}}}, ["2", "3"]),
    ],
)
def test_members_are_named_only_where_there_are_no_others(declared: Any, kept: list[str]) -> None:
    widget = replace(WIDGET, schema=Schema(declared))
    openapi = OpenAPI(lambda: [("x.example.com", "v1")], lambda group, version: [widget])
    name = "com.example.x.v1.Widget"
    shown = {
        "2": openapi.part_v2("apis/x.example.com/v1").definitions[name],
        "3": openapi.document("apis/x.example.com/v1")["components"]["schemas"][name],
    }
    assert openapi.finder_v2()(name) == shown["2"]
    assert [version for version, found in shown.items() if "properties" in found] == kept
    assert all(found["type"] == "object" for found in shown.values())
    assert all("x-kubernetes-group-version-kind" in found for found in shown.values())
