"""Custom resources in the catalog: versions, changing schemas, subresources, columns, selectable fields."""

import asyncio
from typing import Any

import pytest
from harness import plug

from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values.fields import Object
from pilothouse.controllers.crds import CustomResourceDefinitions
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.crd import Definitions, storage_hash

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAME = f"{DEFINITIONS}/widgets.example.com"
APPLY = {"content-type": "application/apply-patch+yaml"}
MERGE = {"content-type": "application/merge-patch+json"}
JSON_PATCH = {"content-type": "application/json-patch+json"}
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
TEXT = {"type": "string"}


def path(version: str = "v1", name: str = "", sub: str = "") -> str:
    return "/".join(filter(None, [f"/apis/example.com/{version}/namespaces/default/widgets", name, sub]))


def version(name: str = "v1", storage: bool = True, **more: Any) -> Object:
    properties = more.pop("properties", {"a": TEXT, "n": {"type": "integer", "maximum": 5}})
    spec = {"type": "object", "properties": properties}
    status = {
        "type": "object",
        "properties": {"phase": {**TEXT, "enum": ["on", "off"]}, "n": {"type": "integer"}},
    }
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}}
    return {"name": name, "served": True, "storage": storage, "schema": schema, **more}


def widget(name: str = "w", api: str = "v1", **spec: Any) -> Object:
    return {"apiVersion": f"example.com/{api}", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def define(rig: Any, runner: asyncio.Runner) -> Any:
    """Makes the definition of widgets with some versions and waits until it is served."""

    async def start() -> CustomResourceDefinitions:
        made = CustomResourceDefinitions(rig.client("kube-apiserver"), Definitions(rig.store, rig.catalog))
        made.start()
        return made

    controller = runner.run(start())

    async def make(*versions: Object) -> None:
        spec = {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["w"], "categories": ["all"]},
            "versions": list(versions) or [version()],
        }
        await rig.ok("POST", DEFINITIONS, {"metadata": {"name": "widgets.example.com"}, "spec": spec})
        await rig.settle()

    yield make
    runner.run(controller.close())


async def test_discovery(rig: Any, runner: Any, define: Any) -> None:
    await define(version(subresources={"status": {}}))
    entries = (await rig.ok("GET", "/apis/example.com/v1"))["resources"]
    assert [entry["name"] for entry in entries] == ["widgets", "widgets/status"]
    assert entries[0]["shortNames"] == ["w"] and entries[0]["categories"] == ["all"]
    assert entries[0]["storageVersionHash"] == storage_hash("example.com", "v1", "Widget")


async def test_writes(rig: Any, runner: Any, define: Any) -> None:
    await define()
    made = await rig.call("POST", path(), widget(a="x", zz=1))
    assert (
        made.status == 201
        and made.body["spec"] == {"a": "x"}
        and made.warnings == ['unknown field "spec.zz"']
    )
    assert made.body["metadata"]["generation"] == 1
    same = await rig.ok("PATCH", path(name="w"), {"metadata": {"labels": {"l": "1"}}}, headers=MERGE)
    assert same["metadata"]["generation"] == 1
    changed = await rig.ok("PATCH", path(name="w"), {"spec": {"n": 1}}, headers=MERGE)
    assert changed["metadata"]["generation"] == 2
    why = await rig.fail(422, "PATCH", path(name="w"), {"spec": {"n": 9}}, headers=MERGE)
    assert (
        why
        == 'Widget.example.com "w" is invalid: spec.n: Invalid value: 9: spec.n in body should be less than'
        " or equal to 5"
    )
    why = await rig.fail(422, "PUT", path(name="w"), widget(a="y"))
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in why
    gadget = {**widget("g"), "kind": "Gadget"}
    assert 'kind: Invalid value: "Gadget": must be Widget' in await rig.fail(422, "POST", path(), gadget)
    strategic = {"content-type": "application/strategic-merge-patch+json"}
    await rig.fail(415, "PATCH", path(name="w"), {}, headers=strategic)


async def test_a_body_of_another_version_warns_of_repeated_members(
    rig: Any, runner: Any, define: Any
) -> None:
    await define(version())
    body = b'{"apiVersion":"other.com/v1","kind":"Widget","spec":1,"spec":2}'
    answer = await rig.call("POST", path() + "?fieldValidation=Warn", body)
    assert answer.status == 400
    assert answer.warnings == ['duplicate field "spec"']
    assert (await rig.call("POST", path() + "?fieldValidation=Ignore", body)).warnings == []


async def test_a_status_that_is_dropped_may_keep_an_object_from_being_tracked(
    rig: Any, runner: Any, define: Any
) -> None:
    await define(version(subresources={"status": {}}))
    for number, tracked in (("x", False), (1, True)):
        made = await rig.ok(
            "POST", path(), {**widget(f"w-{tracked}".lower(), a="x"), "status": {"n": number}}
        )
        assert "status" not in made
        assert ("managedFields" in made["metadata"]) is tracked


async def test_an_apply_that_is_no_number_and_no_text_is_invalid(rig: Any, runner: Any, define: Any) -> None:
    await define(version(properties={"a": {"x-kubernetes-int-or-string": True}}))
    body = {**widget("w", a={"b": 1})}
    answer = await rig.call("PATCH", path("v1", "w") + "?fieldManager=m", body, headers=APPLY)
    assert answer.status == 422
    assert answer.body["details"]["causes"][0]["field"] == "spec.a"


async def test_an_apply_leaves_out_metadata_that_cannot_be_read(rig: Any, runner: Any, define: Any) -> None:
    await define()
    body = widget("w", a="x")
    body["metadata"] |= {"deletionTimestamp": "x", "generation": 1.5, "managedFields": [{"time": "x"}]}
    body["metadata"]["labels"] = {"l": "1"}
    made = await rig.ok("PATCH", path("v1", "w") + "?fieldManager=m", body, headers=APPLY)
    assert (made["metadata"]["labels"], made["metadata"]["generation"]) == ({"l": "1"}, 1)
    assert "deletionTimestamp" not in made["metadata"]
    assert [entry["manager"] for entry in made["metadata"]["managedFields"]] == ["m"]


async def test_an_applied_text_with_a_format_is_any_scalar(rig: Any, runner: Any, define: Any) -> None:
    await define(version(properties={"a": {**TEXT, "format": "uuid"}, "b": {**TEXT, "format": "byte"}}))
    at = path("v1", "w") + "?fieldManager=m"
    assert (await rig.call("PATCH", at, widget("w", a=1), headers=APPLY)).status == 422
    message = await rig.fail(500, "PATCH", at, widget("w", a={}), headers=APPLY)
    assert message.endswith(".spec.a: expected any scalar, got &{map[]}")
    message = await rig.fail(500, "PATCH", at, widget("w", b=1), headers=APPLY)
    assert ".spec.b: expected string" in message


async def test_a_patch_that_takes_the_version_away(rig: Any, runner: Any, define: Any) -> None:
    await define()
    await rig.ok("POST", path(), widget())
    for patch, status, said in (
        ({"kind": {}}, 422, "cannot unmarshal object into Go struct field .kind of type string"),
        ({"metadata": {"name": None}}, 400, "name must be provided"),
        ({"metadata": {"name": "b"}}, 400, "does not match the name on the URL"),
        ({}, 500, "Object 'apiVersion' is missing in 'object has no apiVersion field'"),
    ):
        message = await rig.fail(
            status, "PATCH", path("v1", "w"), {"apiVersion": None, **patch}, headers=MERGE
        )
        assert said in message
    message = await rig.fail(422, "PATCH", path("v1", "w"), {"apiVersion": "a.b/v2"}, headers=MERGE)
    assert message.startswith('Widget.a.b "w" is invalid: apiVersion: Invalid value: "a.b/v2": must be')


async def test_an_apply_keeps_nulls_that_the_schema_refuses(rig: Any, runner: Any, define: Any) -> None:
    await define(version(properties={"a": {"type": "string"}, "b": {"type": "string", "nullable": True}}))
    at = path("v1", "w") + "?fieldManager=m"
    answer = await rig.call("PATCH", at, widget("w", a=None), headers=APPLY)
    assert answer.status == 422
    assert answer.body["details"]["causes"][0]["message"].endswith('in body must be of type string: "null"')
    assert (await rig.ok("PATCH", at, widget("w", b=None), headers=APPLY))["spec"] == {"b": None}
    assert (await rig.ok("POST", path("v1"), widget("other", a=None)))["spec"] == {}


async def test_an_object_is_no_list_of_metadata(rig: Any, runner: Any, define: Any) -> None:
    await define()
    await rig.ok("POST", path(), widget())
    accept = {"accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    answer = await rig.call("GET", path("v1", "w"), headers=accept)
    assert (answer.status, answer.body["message"]) == (500, "content is not a list")
    assert "reason" not in answer.body


async def test_server_side_apply(rig: Any, runner: Any, define: Any) -> None:
    await define()
    await rig.ok("PATCH", path(name="w") + "?fieldManager=m1", widget(a="1"), headers=APPLY)
    why = await rig.fail(409, "PATCH", path(name="w") + "?fieldManager=m2", widget(a="2"), headers=APPLY)
    assert why == 'Apply failed with 1 conflict: conflict with "m1": .spec.a'
    why = await rig.fail(500, "PATCH", path(name="w") + "?fieldManager=m2", widget(zz=1), headers=APPLY)
    assert why.endswith(".spec.zz: field not declared in schema")
    gone = await rig.ok("PATCH", path(name="w") + "?fieldManager=m1", widget(), headers=APPLY)
    assert gone["spec"] == {}


async def test_versions(rig: Any, runner: Any, define: Any) -> None:
    second = version("v2", False, properties={"a": TEXT, "b": TEXT})
    await define(version(), second, version("v0", False, served=False))
    made = await rig.ok("POST", path("v2"), widget(api="v2", a="x", b="y"))
    assert made["apiVersion"] == "example.com/v2" and made["spec"] == {"a": "x"}, "b is not stored"
    assert (await rig.ok("GET", path(name="w")))["spec"] == {"a": "x"}
    listed = await rig.ok("GET", path("v2"))
    assert listed["apiVersion"] == "example.com/v2" and listed["items"][0]["apiVersion"] == "example.com/v2"
    assert (await rig.call("GET", path("v0"))).body == "404 page not found\n"
    before = made["metadata"]["resourceVersion"]
    again = await rig.ok("PATCH", path("v2", "w"), {"spec": {"a": "x"}}, headers=MERGE)
    assert again["metadata"]["resourceVersion"] == before, "nothing has changed"
    why = await rig.fail(400, "POST", path("v2"), widget("n"))
    assert why.startswith("the API version in the data (example.com/v1) does not match")


async def test_defaults_are_those_of_the_request_and_of_what_is_stored(
    rig: Any, runner: Any, define: Any
) -> None:
    """An object that is read gets the defaults of the version that
    it is stored in (upstream's TestCustomResourceDefaulting)."""

    def defaulting(first: str, second: str) -> list[Object]:
        both = {name: {**TEXT, "default": name} for name in (first, second)}
        return [
            version(properties={"a": TEXT, "v1": TEXT, "v2": TEXT, first: both[first]}),
            version("v2", False, properties={"a": TEXT, "v1": TEXT, "v2": TEXT, second: both[second]}),
        ]

    await define(*defaulting("v1", "v2"))
    made = await rig.ok("POST", path("v2"), widget(api="v2"))
    assert made["spec"] == {"v1": "v1", "v2": "v2"}
    await rig.ok("POST", path(), widget("x"))
    assert (await rig.ok("GET", path("v2", "x")))["spec"] == {"v1": "v1"}
    patch = [{"op": "replace", "path": "/spec/versions", "value": defaulting("a", "v2")}]
    await rig.ok("PATCH", NAME, patch, headers={"content-type": "application/json-patch+json"})
    await rig.settle()
    assert (await rig.ok("GET", path("v2", "x")))["spec"] == {"a": "a", "v1": "v1"}
    assert (await rig.ok("GET", path(name="x")))["spec"] == {"a": "a", "v1": "v1"}


async def test_plugins_see_the_version_of_the_request(rig: Any, runner: Any, define: Any) -> None:
    """The other version has other members; both halves of admission see the one that the request names."""
    await define(version(), version("v2", storage=False, properties={"a": TEXT, "b": TEXT}))
    seen = []

    class Watcher(AdmissionPlugin):
        def wants(self, a: AdmissionAttributes) -> bool:
            return a.resource.plural == "widgets"

        def mutate(self, a: AdmissionAttributes) -> None:
            seen.append(("mutate", a.kind[1], *(one and one["apiVersion"] for one in (a.obj, a.old))))

        def validate(self, a: AdmissionAttributes) -> None:
            seen.append(("validate", a.kind[1], *(one and one["apiVersion"] for one in (a.obj, a.old))))

    plug(rig.chain, Watcher())
    await rig.ok("POST", path("v1"), widget(a="x"))
    await rig.ok("PATCH", path("v2", "w"), {"spec": {"a": "y"}}, headers=MERGE)
    await rig.ok("DELETE", path("v2", "w"))
    v1, v2 = "example.com/v1", "example.com/v2"
    expected = [("v1", v1, None), ("v2", v2, v2), ("v2", None, v2)]
    assert seen == [(half, *one) for one in expected for half in ("mutate", "validate")]


async def test_deprecated_versions_warn(rig: Any, runner: Any, define: Any) -> None:
    await define(
        version("v1beta1", False, deprecated=True, subresources={"status": {}}),
        version("v1alpha1", False, deprecated=True, deprecationWarning="use something else"),
        version(),
    )
    beta = [
        ("GET", path("v1beta1")),
        ("GET", path("v1beta1", "w", "status")),
        ("GET", path("v1beta1", "w", "nothing")),
        ("PUT", path("v1beta1")),
    ]
    for asked in beta:
        assert (await rig.call(*asked)).warnings == [
            "example.com/v1beta1 Widget is deprecated; use example.com/v1 Widget"
        ]
    assert (await rig.call("GET", path("v1alpha1"))).warnings == ["use something else"]


async def test_a_schema_that_changes(rig: Any, runner: Any, define: Any) -> None:
    await define()
    await rig.ok("POST", path(), widget(a="x", n=4))
    stream = await rig.watch(path() + "?watch=1")
    stream.events()
    properties = {"n": {"type": "integer", "maximum": 3}, "d": {**TEXT, "default": "d"}}
    patch = [{"op": "replace", "path": "/spec/versions/0", "value": version(properties=properties)}]
    await rig.ok("PATCH", NAME, patch, headers=JSON_PATCH)
    await rig.settle()
    assert stream.closed
    assert (await rig.ok("GET", path(name="w")))["spec"] == {"n": 4, "d": "d"}
    kept = await rig.ok("PATCH", path(name="w"), {"spec": {"d": "e"}}, headers=MERGE)
    assert kept["spec"] == {"n": 4, "d": "e"}, "what was too big already may stay"
    await rig.fail(422, "PATCH", path(name="w"), {"spec": {"n": 5}}, headers=MERGE)
    stream = await rig.watch(path() + "?watch=1")
    assert [e["object"]["spec"]["d"] for e in stream.events()] == ["e"]


async def test_a_schema_is_compiled_for_its_first_object_and_no_other(
    rig: Any, runner: Any, define: Any
) -> None:
    await define()
    checked = rig.catalog.get("example.com", "v1", "widgets").codec._checked
    await rig.ok("GET", path())
    assert checked.schema is None
    await rig.ok("POST", path(), widget("w0", n=0))
    compiled = checked.schema
    assert compiled is not None
    for n in range(1, 3):
        await rig.ok("POST", path(), widget(f"w{n}", n=n))
        await rig.ok("PATCH", path(name=f"w{n}"), {"spec": {"a": "x"}}, headers=MERGE)
    assert checked.schema is compiled
    assert rig.catalog.get("example.com", "v1", "widgets").codec._checked is checked


async def test_a_version_that_is_served_no_longer(rig: Any, runner: Any, define: Any) -> None:
    await define(version(), version("v2", False))
    await rig.ok("POST", path(), widget(a="x"))
    patch = [{"op": "replace", "path": "/spec/versions/0/served", "value": False}]
    await rig.ok("PATCH", NAME, patch, headers=JSON_PATCH)
    await rig.settle()
    assert (await rig.call("GET", path())).status == 404
    assert (await rig.ok("GET", path("v2", "w")))["spec"] == {"a": "x"}


async def test_status(rig: Any, runner: Any, define: Any) -> None:
    await define(version(subresources={"status": {}}))
    made = await rig.ok("POST", path(), {**widget(a="x"), "status": {"phase": "on"}})
    assert "status" not in made
    made["status"], made["spec"] = {"phase": "on"}, {"a": "ignored"}
    made["metadata"]["labels"] = {"ignored": "too"}
    done = await rig.ok("PUT", path(name="w", sub="status"), made)
    assert (
        done["status"] == {"phase": "on"} and done["spec"] == {"a": "x"} and "labels" not in done["metadata"]
    )
    assert done["metadata"]["generation"] == 1
    why = await rig.fail(
        422, "PATCH", path(name="w", sub="status"), {"status": {"phase": "x"}}, headers=MERGE
    )
    assert why.endswith('status.phase: Unsupported value: "x": supported values: "on", "off"')
    ignored = await rig.ok("PATCH", path(name="w"), {"status": {"phase": "off"}}, headers=MERGE)
    assert ignored["status"] == {"phase": "on"}
    missing = await rig.fail(404, "GET", path(name="w", sub="scale"))
    assert missing == 'widgets.example.com "w" not found'


async def test_a_default_of_the_status_shows_before_anybody_sets_one(
    rig: Any, runner: Any, define: Any
) -> None:
    columns = [{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}]
    defaulting = version(subresources={"status": {}}, additionalPrinterColumns=columns)
    status = defaulting["schema"]["openAPIV3Schema"]["properties"]["status"]
    status["default"] = {"phase": "off"}
    await define(defaulting)
    stream = await rig.watch(path() + "?watch=1")
    made = await rig.ok("POST", path(), widget(a="x"))
    assert made["status"] == {"phase": "off"}
    assert (await rig.ok("GET", path()))["items"][0]["status"] == {"phase": "off"}
    assert [e["object"]["status"] for e in stream.events()] == [{"phase": "off"}]
    table = await rig.ok("GET", path(), headers=TABLE)
    assert table["rows"][0]["cells"] == ["w", "off"]
    done = await rig.ok("PATCH", path(name="w", sub="status"), {"status": {"phase": "on"}}, headers=MERGE)
    assert done["status"] == {"phase": "on"} and done["metadata"]["generation"] == 1


async def test_a_generated_name_of_a_definition(rig: Any, runner: Any) -> None:
    why = await rig.fail(422, "POST", NAME.rpartition("/")[0], {"metadata": {"generateName": "a-"}})
    message = 'must be spec.names.plural+"."+spec.group'
    assert f'[metadata.generateName: Invalid value: "a-": {message}, metadata.name: Invalid value: "a-' in why


async def test_scale(rig: Any, runner: Any, define: Any) -> None:
    paths = {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n", "labelSelectorPath": ".spec.a"}
    await define(version(subresources={"scale": paths}))
    await rig.ok("POST", path(), widget(a="x=y", n=2))
    scale = await rig.ok("GET", path(name="w", sub="scale"))
    assert scale["spec"] == {"replicas": 2} and scale["status"] == {"replicas": 0, "selector": "x=y"}
    scale["spec"]["replicas"] = 3
    done = await rig.ok("PUT", path(name="w", sub="scale"), scale)
    assert done["spec"] == {"replicas": 3}
    assert (await rig.ok("GET", path(name="w")))["spec"]["n"] == 3
    why = await rig.fail(422, "PATCH", path(name="w", sub="scale"), {"spec": {"replicas": -1}}, headers=MERGE)
    assert ".spec.n: Invalid value: -1: should be a non-negative integer" in why
    for number, shown in ((3.0, "3"), (1e30, "1e+30"), (2**63, "9.223372036854776e+18")):
        why = await rig.fail(422, "POST", path(), widget("float", n=number))
        assert f".spec.n accessor error: {shown} is of the type float64, expected int64" in why
    yaml = {"content-type": "application/yaml"}
    assert (await rig.ok("POST", path(), widget("yaml", n=3.0), headers=yaml))["spec"] == {"n": 3}
    await rig.ok("POST", path(), widget("none"))
    why = await rig.fail(500, "GET", path(name="none", sub="scale"))
    assert why == 'Internal error occurred: the spec replicas field ".spec.n" does not exist'
    changes: list[Object] = [{"metadata": {"labels": None}}, {"spec": {}}]
    for patch in changes:
        why = await rig.fail(400, "PATCH", path(name="none", sub="scale"), patch, headers=MERGE)
        assert why == 'the spec replicas field ".spec.n" cannot be empty'
    await rig.fail(422, "PATCH", path(name="none", sub="scale"), {"spec": True}, headers=MERGE)
    done = await rig.ok("PATCH", path(name="none", sub="scale"), {"spec": {"replicas": 3}}, headers=MERGE)
    assert done["spec"] == {"replicas": 3}
    assert (await rig.ok("GET", path(name="none")))["spec"] == {"n": 3}


async def test_a_scale_is_laid_into_an_object_without_one(rig: Any, runner: Any, define: Any) -> None:
    paths = {"specReplicasPath": ".spec.deep.n", "statusReplicasPath": ".status.n"}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    await define(version(subresources={"scale": paths}, schema={"openAPIV3Schema": schema}))
    head = {"apiVersion": "autoscaling/v1", "kind": "Scale"}
    for name, spec in (("absent", {}), ("empty", {"deep": {"a": 1}}), ("wrong", {"deep": None})):
        await rig.ok("POST", path(), widget(name) | {"spec": spec})
        scale = head | {"metadata": {"name": name}, "spec": {"replicas": 2}}
        if name == "wrong":
            why = await rig.fail(500, "PUT", path(name=name, sub="scale"), scale)
            assert why == "value cannot be set because .spec.deep is not a map[string]interface{}"
        else:
            assert (await rig.ok("PUT", path(name=name, sub="scale"), scale))["spec"] == {"replicas": 2}
            found = (await rig.ok("GET", path(name=name)))["spec"]["deep"]
            assert found == {**(spec.get("deep") or {}), "n": 2}


async def test_columns(rig: Any, runner: Any, define: Any) -> None:
    columns = [{"name": "N", "type": "integer", "jsonPath": ".spec.n", "priority": 1}]
    await define(version(additionalPrinterColumns=columns))
    await rig.ok("POST", path(), widget(n=2))
    table = await rig.ok("GET", path(), headers=TABLE)
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "N"]
    assert table["rows"][0]["cells"] == ["w", 2]


async def test_columns_read_the_object_of_their_version(rig: Any, runner: Any, define: Any) -> None:
    columns = [
        {"name": "Version", "type": "string", "jsonPath": ".apiVersion"},
        {"name": "N", "type": "integer", "jsonPath": ".spec.n"},
    ]
    await define(version(), version("v2", False, properties={"a": TEXT}, additionalPrinterColumns=columns))
    await rig.ok("POST", path(), widget(n=2))
    for target in (path("v2"), path("v2", "w")):
        cells = (await rig.ok("GET", target, headers=TABLE))["rows"][0]["cells"]
        assert cells == ["w", "example.com/v2", None]


async def test_selectable_fields_of_any_version(rig: Any, runner: Any, define: Any) -> None:
    properties = {"n": {"type": "integer"}}
    second = version("v2", False, properties=properties, selectableFields=[{"jsonPath": ".spec.n"}])
    await define(version(), second)
    for i in range(3):
        await rig.ok("POST", path(), widget(f"w{i}", n=i % 2))
    found = await rig.ok("GET", path("v2") + "?fieldSelector=spec.n%3D0")
    assert [item["metadata"]["name"] for item in found["items"]] == ["w0", "w2"]
    why = await rig.fail(400, "GET", path() + "?fieldSelector=spec.n%3D0")
    assert why == "field label not supported: spec.n"


async def test_fields_are_selected_by_their_defaults(rig: Any, runner: Any, define: Any) -> None:
    def defaulting(text: str) -> Object:
        properties = {"a": {**TEXT, "default": text}, "n": {"type": "integer"}}
        return version(properties=properties, selectableFields=[{"jsonPath": ".spec.a"}])

    async def found(text: str) -> list[str]:
        listed = await rig.ok("GET", path() + f"?fieldSelector=spec.a%3D{text}")
        return [item["metadata"]["name"] for item in listed["items"]]

    await define(version())
    await rig.ok("POST", path(), widget("w1", n=1))
    for text, other in (("x", "y"), ("y", "x")):
        patch = [{"op": "replace", "path": "/spec/versions/0", "value": defaulting(text)}]
        await rig.ok("PATCH", NAME, patch, headers=JSON_PATCH)
        await rig.settle()
        assert (await found(text), await found(other)) == (["w1"], [])
        listed = await rig.ok("GET", path() + f"?fieldSelector=spec.a!%3D{other}")
        assert len(listed["items"]) == 1  # what was read for this is not taken for the next definition's


async def test_watches_go_on_while_nothing_changes_for_the_objects(
    rig: Any, runner: Any, define: Any
) -> None:
    await define()
    stream = await rig.watch(path() + "?watch=1")
    await rig.ok("PATCH", NAME, {"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    await rig.settle()
    await rig.ok("POST", path(), widget(a="x"))
    assert stream.seen() == [("ADDED", "w")] and not stream.closed
    patch = [{"op": "add", "path": "/spec/names/shortNames/-", "value": "ww"}]
    await rig.ok("PATCH", NAME, patch, headers=JSON_PATCH)
    await rig.settle()
    assert stream.closed


async def test_versions_that_were_stored_are_remembered(rig: Any, runner: Any, define: Any) -> None:
    await define(version(), version("v2", False))
    await rig.ok("POST", path(), widget(a="x"))
    patch = [{"op": "replace", "path": f"/spec/versions/{i}/storage", "value": bool(i)} for i in range(2)]
    changed = await rig.ok("PATCH", NAME, patch, headers=JSON_PATCH)
    assert changed["status"]["storedVersions"] == ["v1", "v2"]
    await rig.settle()
    assert (await rig.ok("GET", path(name="w")))["apiVersion"] == "example.com/v1"
    gone = [{"op": "remove", "path": "/spec/versions/0"}]
    why = await rig.fail(422, "PATCH", NAME, gone, headers=JSON_PATCH)
    assert 'status.storedVersions[0]: Invalid value: "v1"' in why
    status = {"status": {"storedVersions": ["v2"]}}
    await rig.ok("PATCH", f"{NAME}/status", status, headers=MERGE)
    await rig.ok("PATCH", NAME, gone, headers=JSON_PATCH)
    await rig.settle()
    assert (await rig.ok("GET", path("v2", "w")))["spec"] == {"a": "x"}


async def test_cluster_scoped(rig: Any, runner: Any, define: Any) -> None:
    await define()
    spec = {"group": "example.org", "scope": "Cluster", "names": {"plural": "fans", "kind": "Fan"}}
    await rig.ok(
        "POST",
        DEFINITIONS,
        {"metadata": {"name": "fans.example.org"}, "spec": {**spec, "versions": [version()]}},
    )
    await rig.settle()
    fan = {"apiVersion": "example.org/v1", "kind": "Fan", "metadata": {"name": "f"}, "spec": {"a": "x"}}
    made = await rig.ok("POST", "/apis/example.org/v1/fans", fan)
    assert "namespace" not in made["metadata"]
    assert (await rig.ok("GET", "/apis/example.org/v1/fans/f"))["spec"] == {"a": "x"}
    inside = await rig.call("GET", "/apis/example.org/v1/namespaces/default/fans")
    assert (inside.status, inside.body) == (404, "404 page not found\n")
    fan["metadata"] = {"name": "g", "namespace": "default"}
    assert "namespace" not in (await rig.ok("POST", "/apis/example.org/v1/fans", fan))["metadata"]


async def test_paths_that_do_not_exist(rig: Any, runner: Any, define: Any) -> None:
    await define()
    for method, target in (
        ("POST", "/apis/example.com/v1/widgets"),
        ("GET", "/apis/example.com/v1/widgets/w"),
        ("GET", "/apis/example.com/v1/gadgets"),
        ("GET", "/apis/example.com/v2/widgets"),
    ):
        answer = await rig.call(method, target, {} if method == "POST" else None)
        assert (answer.status, answer.body) == (404, "404 page not found\n"), target


async def test_routes_by_verb_alone(rig: Any, runner: Any, define: Any) -> None:
    await define()
    assert (await rig.ok("POST", path(name="x"), widget("w")))["metadata"]["name"] == "w"
    assert await rig.fail(400, "PUT", path(), widget("w")) == "name must be provided"
    assert await rig.fail(400, "PATCH", path(), {}, headers=MERGE) == "name must be provided"


async def test_finalizers_that_others_might_use(rig: Any, runner: Any, define: Any) -> None:
    await define()
    obj = widget()
    obj["metadata"]["finalizers"] = ["bare", "a.b", "a.b/c"]
    made = await rig.call("POST", path(), obj)
    assert [text.split(": ")[1] for text in made.warnings] == ['"a.b"', '"bare"']
    assert "including a path (/)" in made.warnings[0] and "including" not in made.warnings[1]


async def test_rules_wait_for_a_valid_object(rig: Any, runner: Any, define: Any) -> None:
    ruled = {**TEXT, "x-kubernetes-validations": [{"rule": "self != ''"}]}
    await define(version(properties={"a": ruled, "n": {"type": "integer"}}))
    why = await rig.fail(422, "POST", path(), widget(n="x"))
    assert why.endswith("correct the existing errors to complete validation]")
