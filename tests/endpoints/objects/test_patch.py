"""PATCH: the four kinds of patches against live objects."""

import asyncio
import json
from typing import Any

import pytest
from example_scale import SCALE
from harness import CONFIG_MAPS, PODS, Rig, causes, config_map, pod
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse import errors
from pilothouse.api.yaml import text as yaml
from pilothouse.endpoints.objects.patch import apply_config

JSON = {"Content-Type": "application/json-patch+json"}
MERGE = {"Content-Type": "application/merge-patch+json"}
STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}
APPLY = {"Content-Type": "application/apply-patch+yaml"}
A = CONFIG_MAPS + "/a"


@pytest.fixture
def live(rig: Rig, runner: asyncio.Runner) -> Any:
    return runner.run(rig.config_map("a", data={"k": "v"}, labels={"l": "1"}))


async def test_a_json_patch(rig: Rig, live: Any) -> None:
    patch = [
        {"op": "test", "path": "/data/k", "value": "v"},
        {"op": "add", "path": "/data/n", "value": "w"},
        {"op": "remove", "path": "/metadata/labels/l"},
    ]
    changed = await rig.ok("PATCH", A, patch, headers=JSON)
    assert changed["data"] == {"k": "v", "n": "w"} and "labels" not in changed["metadata"]


@pytest.mark.parametrize(
    ("patch", "headers", "labels", "rest"),
    [
        ([{"op": "add", "path": "/data", "value": 1}], JSON, "", '"data":1'),
        ({"data": 1}, MERGE, "", '"data":1'),
        ({"metadata": {"labels": {"x": {"b": 1, "a": 2}}}}, MERGE, '"x":{"a":2,"b":1}', '"data":{"k":"v"}'),
        (
            [{"op": "add", "path": "/metadata/labels/x", "value": {"b": 1}}],
            JSON,
            '"x":{"b":1}',
            '"data":{"k":"v"}',
        ),
    ],
)
async def test_a_document_that_is_refused_is_shown_as_go_writes_it(
    rig: Rig, live: Any, patch: Any, headers: Any, labels: str, rest: str
) -> None:
    """Members of objects that the patch goes into are sorted, others stand in the order of the Go type."""
    why = await rig.fail(422, "PATCH", A, patch, headers=headers)
    shown = json.loads(why.partition("Invalid value: ")[2].rpartition('": json: ')[0] + '"')
    document = json.loads(shown)
    names = list(document["metadata"])
    assert list(document) == sorted(document)
    first = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp", "labels", "managedFields"]
    assert names == (sorted(names) if labels else first)
    assert list(document["metadata"]["managedFields"][0])[:3] == ["manager", "operation", "apiVersion"]
    assert rest in shown and labels in shown


async def test_a_merge_patch(rig: Rig, live: Any) -> None:
    changed = await rig.ok("PATCH", A, {"data": {"k": None, "n": "w"}}, headers=MERGE)
    assert changed["data"] == {"n": "w"}


@pytest.mark.parametrize("result", [[], [1], 1, "x", True])
@pytest.mark.parametrize("pod_too", [False, True])
async def test_a_patch_whose_result_is_no_object(rig: Rig, live: Any, result: Any, pod_too: bool) -> None:
    path = A
    if pod_too:  # its strategy keeps members on an update
        await rig.ok("POST", PODS, pod("a"))
        path = PODS + "/a"
    patch = [{"op": "replace", "path": "", "value": result}]
    answer = await rig.call("PATCH", path, patch, headers=JSON)
    assert answer.status == 422 and answer.body["reason"] == "Invalid", answer
    if isinstance(result, list):
        answer = await rig.call("PATCH", path + "?fieldValidation=Ignore", result, headers=MERGE)
        assert answer.status == 422 and answer.body["reason"] == "Invalid", answer


async def test_a_strategic_merge_patch(rig: Rig) -> None:
    await rig.ok("POST", PODS, pod("a"))
    patch = {"spec": {"containers": [{"name": "c", "image": "other"}]}}
    changed = await rig.ok("PATCH", PODS + "/a", patch, headers=STRATEGIC)
    assert changed["spec"]["containers"][0]["image"] == "other"
    assert changed["spec"]["containers"][0]["imagePullPolicy"] == "Always"


@pytest.mark.parametrize(
    ("headers", "patch"),
    [
        (MERGE, {}),
        (MERGE, {"data": {"k": "v"}}),
        (STRATEGIC, {"metadata": {"labels": {"l": "1"}}}),
        (JSON, []),
        (JSON, [{"op": "replace", "path": "/data/k", "value": "v"}]),
    ],
)
async def test_what_changes_nothing_is_not_written(
    rig: Rig, live: Any, headers: Any, patch: dict[str, Any] | list[dict[str, Any]]
) -> None:
    before = rig.storage.revision
    assert await rig.ok("PATCH", A, patch, headers=headers) == live
    assert rig.storage.revision == before


async def test_an_apply_creates_then_changes_nothing(rig: Rig) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
    answer = await rig.call("PATCH", A + "?fieldManager=m", config, headers=APPLY)
    assert answer.status == 201
    (entry,) = answer.body["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("m", "Apply")
    answer2 = await rig.call("PATCH", A + "?fieldManager=m", config, headers=APPLY)
    assert answer2.status == 200 and answer2.body == answer.body


async def test_an_apply_to_the_status_of_nothing_is_not_read(rig: Rig) -> None:
    for path, status in ((f"{PODS}/none/status", 404), (f"{PODS}/none", 400)):
        answer = await rig.call("PATCH", path + "?fieldManager=m", b"a: b: c", headers=APPLY)
        assert answer.status == status


async def test_applied_managed_fields_that_cannot_be_read_count_as_none(rig: Rig) -> None:
    config: Any = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    config["metadata"]["managedFields"] = [{"manager": "m"}]
    message = await rig.fail(400, "PATCH", A + "?fieldManager=m", config, headers=APPLY)
    assert message == "metadata.managedFields must be nil"
    config["metadata"]["managedFields"] = [{"manager": "m", "time": "x"}]
    message = await rig.fail(500, "PATCH", A + "?fieldManager=m", config, headers=APPLY)
    assert message.endswith(
        'ConfigMap: parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"'
    )


async def test_an_apply_without_a_name_is_told_without_one(rig: Rig) -> None:
    metadata = {"name": None, "creationTimestamp": "x"}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    message = await rig.fail(500, "PATCH", A + "?fieldManager=m", config, headers=APPLY)
    assert message.startswith("failed to convert new object (/; /v1, Kind=ConfigMap) to proper version")


async def test_an_apply_of_a_port_that_is_no_scalar_is_refused_by_its_conversion(rig: Rig) -> None:
    for port, kind in (({}, "object"), ([1], "array")):
        spec: Any = {"ports": [{"port": 1, "targetPort": port}]}
        config = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": spec}
        path = "/api/v1/namespaces/default/services/a?fieldManager=m"
        message = await rig.fail(500, "PATCH", path, config, headers=APPLY)
        assert message.endswith(f"Kind=Service: json: cannot unmarshal {kind} into Go value of type int32")


async def test_an_apply_to_an_object_whose_fields_nobody_can_own(rig: Rig) -> None:
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    await rig.ok("POST", accounts, {"metadata": {"name": "b"}, "secrets": [{}, {"name": "a"}, {"name": "a"}]})
    await rig.ok("PATCH", accounts + "/b", {"metadata": {"managedFields": [{}]}}, headers=MERGE)
    config = {"apiVersion": "v1", "kind": "ServiceAccount"}
    message = await rig.fail(500, "PATCH", accounts + "/b?fieldManager=m", config, headers=APPLY)
    assert (
        message
        == "failed to create manager for existing fields: failed to convert new object (default/b; /v1,"
        " Kind=ServiceAccount) to smd typed: .secrets: element 0: associative list with keys has an"
        ' element that omits all key fields ["name"] (and doesn\'t have default values for any key fields)'
    )


async def test_an_apply_conflicts_with_other_managers(rig: Rig, live: Any) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "mine"}}
    answer = await rig.call("PATCH", A + "?fieldManager=m", config, headers=APPLY)
    assert (answer.status, answer.body["reason"]) == (409, "Conflict")
    (cause,) = answer.body["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("FieldManagerConflict", ".data.k")
    changed = await rig.ok("PATCH", A + "?fieldManager=m&force=true", config, headers=APPLY)
    assert changed["data"] == {"k": "mine"}


async def test_an_apply_drops_what_it_no_longer_says(rig: Rig) -> None:
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a"},
        "data": {"k": "1", "l": "2"},
    }
    await rig.ok("PATCH", A + "?fieldManager=m", config, headers=APPLY)
    del config["data"]["k"]
    changed = await rig.ok("PATCH", A + "?fieldManager=m", config, headers=APPLY)
    assert changed["data"] == {"l": "2"}


@pytest.mark.parametrize("json_body", [True, False])
async def test_repeated_keys_of_an_apply(rig: Rig, json_body: bool) -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: r}\ndata:\n  a: b\n  a: c\n"
    line = 6
    if json_body:
        body = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"r"},"data":{"a":"b","a":"c"}}'
        line = 1
    path = CONFIG_MAPS + "/r?fieldManager=m"
    message = await rig.fail(400, "PATCH", path + "&fieldValidation=Strict", body, headers=APPLY)
    told = (
        f'error converting YAML to JSON: yaml: unmarshal errors:\n  line {line}: key "a" already set in map'
    )
    assert message == f"error strict decoding patch: {told}"
    answer = await rig.call("PATCH", path, body, headers=APPLY)
    assert answer.status == 201 and answer.body["data"] == {"a": "c"} and len(answer.warnings) == 1
    assert (await rig.call("PATCH", path + "&fieldValidation=Ignore", body, headers=APPLY)).warnings == []


async def test_an_apply_needs_a_manager(rig: Rig) -> None:
    answer = await rig.call("PATCH", A, config_map("a"), headers=APPLY)
    assert answer.status == 422
    assert causes(answer.body) == ["fieldManager: Required value: is required for apply patch"]


async def test_an_apply_that_creates_needs_the_right_to(rig: Rig) -> None:
    rule = {"verbs": ["patch"], "apiGroups": [""], "resources": ["configmaps"]}
    api = "/apis/rbac.authorization.k8s.io/v1"
    await rig.ok("POST", f"{api}/clusterroles", {"metadata": {"name": "r"}, "rules": [rule]})
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"},
        "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    await rig.ok("POST", f"{api}/clusterrolebindings", binding)
    config = config_map("a", data={"k": "v"})
    message = await rig.fail(403, "PATCH", A + "?fieldManager=m", config, user="jane", headers=APPLY)
    assert 'User "jane" cannot create resource "configmaps"' in message
    assert (await rig.call("GET", A)).status == 404
    await rig.config_map("a")
    await rig.ok("PATCH", A + "?fieldManager=m", config, user="jane", headers=APPLY)


@pytest.mark.parametrize("headers", [JSON, MERGE, STRATEGIC])
async def test_what_is_not_there(rig: Rig, headers: Any) -> None:
    body: Any = [] if headers is JSON else {}
    assert await rig.fail(404, "PATCH", A, body, headers=headers) == 'configmaps "a" not found'


async def test_kinds_of_patches_that_are_none(rig: Rig, live: Any) -> None:
    for kind in ("application/json", "text/plain", "application/yaml"):
        answer = await rig.call("PATCH", A, {}, headers={"Content-Type": kind})
        assert (answer.status, answer.body["reason"]) == (415, "UnsupportedMediaType")


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (JSON, {}, 400),
        (JSON, b"[", 400),
        (JSON, [{"op": "test", "path": "/data/k", "value": "x"}], 422),
        (JSON, [{"op": "remove", "path": "/data/none"}], 422),
        (JSON, [{"op": "replace", "path": "", "value": []}], 422),
        (JSON, [{"op": "replace", "path": "", "value": "x"}], 422),
        (JSON, [{"op": "replace", "path": "", "value": None}], 422),
        (JSON, [{"op": "replace", "path": "", "value": {}}], 400),
        (JSON, [{"op": "replace", "path": "/metadata", "value": []}], 422),
        (MERGE, b"{", 400),
        (MERGE, b"", 400),
        (STRATEGIC, b"{", 400),
        (STRATEGIC, [], 400),
        (MERGE, {"data": {"a": 1}}, 422),
        (MERGE, {"metadata": {"labels": []}}, 422),
        (MERGE, {"data": {"/": "x"}}, 422),
    ],
)
async def test_patches_that_do_not_fit(rig: Rig, live: Any, headers: Any, body: Any, status: int) -> None:
    answer = await rig.call("PATCH", A, body, headers=headers)
    assert (answer.status, answer.body["kind"]) == (status, "Status"), answer.body
    assert await rig.ok("GET", A) == live


async def test_a_patch_cannot_rename(rig: Rig, live: Any) -> None:
    message = await rig.fail(400, "PATCH", A, {"metadata": {"name": "b"}}, headers=MERGE)
    assert message == "the name of the object (b) does not match the name on the URL (a)"
    message = await rig.fail(400, "PATCH", A, {"metadata": {"namespace": "b"}}, headers=MERGE)
    assert message == "the namespace of the provided object does not match the namespace sent on the request"


async def test_a_patch_may_name_the_version_that_it_is_for(rig: Rig, live: Any) -> None:
    old = live["metadata"]["resourceVersion"]
    await rig.ok("PATCH", A, {"metadata": {"resourceVersion": old}, "data": {"a": "1"}}, headers=MERGE)
    patch = {"metadata": {"resourceVersion": old}, "data": {"a": "2"}}
    assert "the object has been modified" in await rig.fail(409, "PATCH", A, patch, headers=MERGE)
    assert (await rig.ok("GET", A))["data"]["a"] == "1"


async def test_unknown_fields(rig: Rig, live: Any) -> None:
    patch = {"nothing": 1, "data": {"n": "1"}}
    answer = await rig.call("PATCH", A, patch, headers=MERGE)
    assert answer.warnings == ['unknown field "nothing"'] and answer.body["data"]["n"] == "1"
    answer = await rig.call("PATCH", A + "?fieldValidation=Strict", patch, headers=MERGE)
    assert answer.status == 422 and 'strict decoding error: unknown field "nothing"' in answer.body["message"]
    answer = await rig.call(
        "PATCH", A + "?fieldValidation=Strict", {"metadata": {"odd": [1, None]}}, headers=STRATEGIC
    )
    assert causes(answer.body) == [
        'patch: Invalid value: "map[metadata:map[odd:[1 <nil>]]]": strict decoding error: unknown field'
        ' "metadata.odd"'
    ]
    assert (await rig.call("PATCH", A + "?fieldValidation=Ignore", patch, headers=MERGE)).warnings == []


async def test_a_dry_run_changes_nothing(rig: Rig, live: Any) -> None:
    changed = await rig.ok("PATCH", A + "?dryRun=All", {"data": {"n": "1"}}, headers=MERGE)
    assert changed["data"] == {"k": "v", "n": "1"}
    assert await rig.ok("GET", A) == live


async def test_the_last_finalizer_by_patch(rig: Rig) -> None:
    await rig.config_map("a", finalizers=["example.com/f"])
    await rig.ok("DELETE", A)
    await rig.ok("PATCH", A, {"metadata": {"finalizers": None}}, headers=MERGE)
    assert (await rig.call("GET", A)).status == 404


async def test_a_patch_of_a_status(rig: Rig) -> None:
    await rig.ok("POST", PODS, pod("a"))
    patch = {"status": {"reason": "R"}, "spec": {"activeDeadlineSeconds": 5}}
    changed = await rig.ok("PATCH", PODS + "/a/status", patch, headers=MERGE)
    assert changed["status"]["reason"] == "R" and "activeDeadlineSeconds" not in changed["spec"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "v"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "k", "name", "labels"]), inner, max_size=2)
    ),
    max_leaves=5,
)
PATCH = st.dictionaries(
    st.sampled_from(["data", "metadata", "kind", "apiVersion", "immutable", "x"]), VALUES, max_size=3
)


@settings(max_examples=30 * SCALE)
@given(PATCH | VALUES, st.sampled_from([MERGE, STRATEGIC, JSON, APPLY]))
def test_no_patch_is_the_server_s_fault(patch: Any, headers: Any) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.config_map("a", data={"k": "v"})
            query = "?fieldManager=m" if headers is APPLY else ""
            answer = await rig.call("PATCH", A + query, json.dumps(patch).encode(), headers=headers)
            assert answer.status in (200, 400, 409, 422), answer
            assert answer.status == 200 or answer.body["kind"] == "Status"

    asyncio.run(main())


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # YAML has its own idea of what a line of text may hold.
    | st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(min_codepoint=0x61, max_codepoint=0x7A)), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), JSON_VALUES))
@settings(max_examples=100 * SCALE)
def test_a_configuration_in_json_means_what_it_means_as_yaml(value: Any) -> None:
    body = json.dumps(value).encode()
    got = apply_config(body).value
    wanted = yaml.parse(body).value or {}
    assert json.dumps(got) == json.dumps(wanted)


async def test_much_yaml_does_not_hold_up_others(rig: Rig, live: Any) -> None:
    lines = "".join(f"  k{n}: 'value {n}'\n" for n in range(8000))
    body = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: big\ndata:\n{lines}".encode()
    writing = asyncio.ensure_future(rig.ok("PATCH", CONFIG_MAPS + "/big?fieldManager=m", body, headers=APPLY))
    read = 0
    while not writing.done():
        await asyncio.sleep(0)
        read += not writing.done() and bool(await rig.ok("GET", A))
    assert len((await writing)["data"]) == 8000
    assert read > 2


async def test_surrogates_as_escapes_are_no_yaml(rig: Rig) -> None:
    with pytest.raises(errors.BadRequest, match="yaml: found invalid Unicode character escape code"):
        apply_config(rb'{"a": "\ud83d\ude00"}')
    assert apply_config('{"a": "\U0001f600"}'.encode()).value == {"a": "\U0001f600"}


async def test_integers_wrap_in_strategic_patches_and_applies_alone(rig: Rig) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    made = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "w"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
    }
    path = "/apis/apps/v1/namespaces/default/deployments"
    await rig.ok("POST", path, made)
    strategic = {"Content-Type": "application/strategic-merge-patch+json"}
    body = await rig.ok("PATCH", path + "/w", {"spec": {"replicas": 2**32 + 3}}, headers=strategic)
    assert body["spec"]["replicas"] == 3
    merge = {"Content-Type": "application/merge-patch+json"}
    answer = await rig.call("PATCH", path + "/w", {"spec": {"replicas": 2**32 + 3}}, headers=merge)
    assert answer.status == 422


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (
            {"apiVersion": "v2", "kind": "ConfigMap"},
            'no kind "ConfigMap" is registered for version "v2" in scheme',
        ),
        ({"kind": "Pod"}, 'no kind "Pod" is registered for the internal version of group "" in scheme'),
        ({"apiVersion": "v1", "kind": "Pod"}, "converting (v1.Pod) to (core.ConfigMap): unknown conversion"),
        ({"apiVersion": "v1", "kind": "Secret", "data": {"a": "?"}}, "illegal base64 data at input byte 0"),
        (
            {"apiVersion": 1},
            "couldn't get version/kind; json parse error: json: cannot unmarshal number into Go",
        ),
    ],
)
async def test_a_document_of_another_kind(rig: Rig, live: Any, value: Any, why: str) -> None:
    answer = await rig.call("PATCH", A, [{"op": "replace", "path": "", "value": value}], headers=JSON)
    assert answer.status == 422 and f": {why}" in causes(answer.body)[0]


async def test_a_document_without_a_version_is_read_as_the_internal_type(rig: Rig, live: Any) -> None:
    async def replaced(value: Any, query: str = "") -> Any:
        return await rig.call(
            "PATCH", A + query, [{"op": "replace", "path": "", "value": value}], headers=JSON
        )

    answer = await replaced({"metadata": {"name": "a"}})
    assert answer.status == 400 and "(a based on URL) was undeterminable" in answer.body["message"]
    answer = await replaced({"metadata": {}}, "?fieldValidation=Strict")
    assert causes(answer.body)[0].endswith('strict decoding error: unknown field "metadata"')
    assert (await rig.ok("GET", A)) == live
    answer = await replaced({"name": "a", "labels": {"x": "y"}})
    assert (
        answer.status == 200 and "data" not in answer.body and answer.body["metadata"]["labels"] == {"x": "y"}
    )


LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"


@pytest.mark.parametrize("written", ["9999-12-31T23:59:59.000000-24:00", "0000-01-01T00:00:00.000000+24:00"])
async def test_an_object_with_a_time_that_go_does_not_parse_can_be_changed(rig: Rig, written: str) -> None:
    """Go writes the year 10000 and does not read it: kube-apiserver refuses every patch of such an object."""
    await rig.ok("POST", LEASES, {"metadata": {"name": "far"}, "spec": {"renewTime": written}})
    path, labels = f"{LEASES}/far", {"metadata": {"labels": {"a": "b"}}}
    kept = (await rig.ok("GET", path))["spec"]["renewTime"]
    named = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "far"}}
    await rig.ok("PATCH", f"{path}?fieldManager=m", {**named, "spec": {"holderIdentity": "m"}}, headers=APPLY)
    await rig.ok("PATCH", f"{path}?fieldManager=m", {**named, "spec": {"renewTime": kept}}, headers=APPLY)
    await rig.ok("PATCH", path, labels, headers=MERGE)
    await rig.ok("PATCH", path, labels, headers=STRATEGIC)
    await rig.ok("PATCH", path, [{"op": "add", "path": "/metadata/labels/x", "value": "y"}], headers=JSON)
    changed = await rig.ok("PUT", path, await rig.ok("GET", path))
    assert changed["spec"]["renewTime"] == kept
