"""POST: objects that are stored, refused, or created as a dry run."""

from typing import Any

import pytest
from harness import CONFIG_MAPS, PODS, Rig, causes, config_map, pod

SERVICES = "/api/v1/namespaces/default/services"


async def test_the_server_fills_in_what_is_its_own(rig: Rig) -> None:
    answer = await rig.call(
        "POST", CONFIG_MAPS, config_map("a", data={"k": "v"}), headers={"User-Agent": "kubectl/v1"}
    )
    assert answer.status == 201
    metadata = answer.body["metadata"]
    assert metadata["namespace"] == "default" and len(metadata["uid"]) == 36
    assert int(metadata["resourceVersion"]) == rig.storage.revision
    (entry,) = metadata["managedFields"]
    assert (entry["manager"], entry["operation"], entry["time"]) == (
        "kubectl",
        "Update",
        metadata["creationTimestamp"],
    )
    assert entry["fieldsV1"] == {"f:data": {".": {}, "f:k": {}}}


async def test_what_a_client_says_of_system_fields_does_not_count(rig: Rig) -> None:
    obj = config_map("a", uid="mine", creationTimestamp="2001-01-01T00:00:00Z", selfLink="/x", generation=7)
    obj["metadata"].update(deletionTimestamp="2001-01-01T00:00:00Z", deletionGracePeriodSeconds=3)
    metadata = (await rig.ok("POST", CONFIG_MAPS, obj))["metadata"]
    assert metadata["uid"] != "mine" and not metadata["creationTimestamp"].startswith("2001")
    assert not {"selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"} & set(metadata)


async def test_a_status_is_not_taken(rig: Rig) -> None:
    made = await rig.ok("POST", PODS, {**pod("a"), "status": {"phase": "Running", "podIP": "10.9.9.9"}})
    assert made["status"]["phase"] == "Pending" and "podIP" not in made["status"]


async def test_a_name_is_taken_once(rig: Rig) -> None:
    await rig.config_map("a")
    answer = await rig.call("POST", CONFIG_MAPS, config_map("a"))
    assert (answer.status, answer.body["reason"]) == (409, "AlreadyExists")
    assert answer.body["message"] == 'configmaps "a" already exists'
    assert answer.body["details"] == {"name": "a", "kind": "configmaps"}


async def test_the_name_of_an_object_that_is_being_deleted(rig: Rig) -> None:
    await rig.config_map("a", finalizers=["example.com/f"])
    await rig.ok("DELETE", CONFIG_MAPS + "/a")
    message = await rig.fail(409, "POST", CONFIG_MAPS, config_map("a"))
    assert message == 'object is being deleted: configmaps "a" already exists'


async def test_names_are_made(rig: Rig) -> None:
    names = set()
    for _ in range(20):
        made = await rig.ok("POST", CONFIG_MAPS, {"metadata": {"generateName": "g-"}})
        name = made["metadata"]["name"]
        assert name.startswith("g-") and len(name) == 7 and made["metadata"]["generateName"] == "g-"
        names.add(name)
    assert len(names) == 20
    made = await rig.ok("POST", CONFIG_MAPS, {"metadata": {"generateName": "g-", "name": "own"}})
    assert made["metadata"]["name"] == "own"


async def test_a_name_is_needed(rig: Rig) -> None:
    answer = await rig.call("POST", CONFIG_MAPS, {"metadata": {}})
    assert answer.status == 422
    assert causes(answer.body) == ["metadata.name: Required value: name or generateName is required"]


async def test_an_invalid_object_tells_all_causes(rig: Rig) -> None:
    answer = await rig.call("POST", CONFIG_MAPS, config_map("A_", labels={"-": "x"}, data={"/": "v"}))
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")
    assert [c["field"] for c in answer.body["details"]["causes"]] == [
        "metadata.name",
        "metadata.labels",
        "data[/]",
    ]
    assert answer.body["message"].startswith(
        'ConfigMap "A_" is invalid: [metadata.name: Invalid value: "A_": '
    )
    assert (await rig.ok("GET", CONFIG_MAPS))["items"] == []


async def test_a_resource_version_may_not_be_given(rig: Rig) -> None:
    message = await rig.fail(500, "POST", CONFIG_MAPS, config_map("a", resourceVersion="5"))
    assert message == "resourceVersion should not be set on objects to be created"
    await rig.ok("POST", CONFIG_MAPS, config_map("a", resourceVersion="0"))
    await rig.fail(422, "POST", CONFIG_MAPS, config_map("b", resourceVersion="5", labels={"a b": "c"}))


async def test_the_namespace_is_the_request_s(rig: Rig) -> None:
    assert (await rig.config_map("a", namespace="default"))["metadata"]["namespace"] == "default"
    message = await rig.fail(400, "POST", CONFIG_MAPS, config_map("b", namespace="kube-system"))
    assert message == "the namespace of the provided object does not match the namespace sent on the request"
    node = await rig.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
    assert "namespace" not in node["metadata"]


async def test_a_namespace_that_is_missing(rig: Rig) -> None:
    message = await rig.fail(404, "POST", "/api/v1/namespaces/none/configmaps", config_map("a"))
    assert message == 'namespaces "none" not found'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'"x"', 400),
        (b"\xff\xfe", 400),
        (b'{"metadata":{"name":"a"},"data":{"a":"\xff"}}', 400),
        ({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a"}}, 400),
        ({"kind": "ConfigMap", "apiVersion": "v2", "metadata": {"name": "a"}}, 400),
        ({"metadata": {"name": 5}}, 400),
        ({"metadata": []}, 400),
        ({"data": {"a": 1}, "metadata": {"name": "a"}}, 400),
    ],
)
async def test_bodies_that_are_no_config_map(rig: Rig, body: bytes | dict[str, Any], status: int) -> None:
    answer = await rig.call("POST", CONFIG_MAPS, body)
    assert (answer.status, answer.body["kind"], answer.body["reason"]) == (status, "Status", "BadRequest")


async def test_a_null_is_an_empty_object(rig: Rig) -> None:
    answer = await rig.call("POST", CONFIG_MAPS, b"null")
    assert causes(answer.body) == ["metadata.name: Required value: name or generateName is required"]


async def test_unknown_fields_warn_or_refuse_or_pass(rig: Rig) -> None:
    obj = {**config_map("a"), "nothing": 1}
    answer = await rig.call("POST", CONFIG_MAPS, obj)
    assert answer.status == 201 and answer.warnings == ['unknown field "nothing"']
    assert "nothing" not in answer.body
    answer = await rig.call(
        "POST", CONFIG_MAPS + "?fieldValidation=Ignore", {**obj, "metadata": {"name": "b"}}
    )
    assert answer.status == 201 and answer.warnings == []
    obj["metadata"] = {"name": "c"}
    message = await rig.fail(400, "POST", CONFIG_MAPS + "?fieldValidation=Strict", obj)
    assert message.endswith('strict decoding error: unknown field "nothing"')
    double = b'{"metadata":{"name":"d"},"data":{"a":"1","a":"2"}}'
    answer = await rig.call("POST", CONFIG_MAPS, double)
    assert answer.body["data"] == {"a": "2"} and answer.warnings == ['duplicate field "data.a"']


async def test_a_yaml_body(rig: Rig) -> None:
    body = b"metadata:\n  name: a\ndata:\n  k: v\n"
    made = await rig.ok("POST", CONFIG_MAPS, body, headers={"Content-Type": "application/yaml"})
    assert made["data"] == {"k": "v"}


async def test_a_dry_run_leaves_nothing(rig: Rig) -> None:
    before = rig.storage.revision
    made = await rig.ok("POST", CONFIG_MAPS + "?dryRun=All", config_map("a"))
    assert len(made["metadata"]["uid"]) == 36 and "resourceVersion" not in made["metadata"]
    made = await rig.ok("POST", CONFIG_MAPS + "?dryRun=All", {"metadata": {"generateName": "g-"}})
    assert made["metadata"]["name"].startswith("g-")
    assert rig.storage.revision == before
    assert (await rig.call("GET", CONFIG_MAPS + "/a")).status == 404
    await rig.config_map("a")
    message = await rig.fail(409, "POST", CONFIG_MAPS + "?dryRun=All", config_map("a"))
    assert message == 'configmaps "a" already exists'
    assert (await rig.call("POST", CONFIG_MAPS + "?dryRun=All", config_map("A"))).status == 422
    assert (await rig.call("POST", CONFIG_MAPS + "?dryRun=no", config_map("b"))).status == 422


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}


async def test_an_address_of_a_write_that_failed_is_free_again(rig: Rig) -> None:
    asked = "10.0.0.77"
    await rig.ok("POST", SERVICES + "?dryRun=All", service("a", clusterIP=asked))
    assert (await rig.call("POST", SERVICES, service("A", clusterIP=asked))).status == 422
    assert (await rig.call("POST", SERVICES, service("a", clusterIP=asked))).status == 201
    assert (await rig.call("POST", SERVICES, service("a", clusterIP="10.0.0.78"))).status == 409
    assert (await rig.call("POST", SERVICES, service("b", clusterIP="10.0.0.78"))).status == 201
    answer = await rig.call("POST", SERVICES, service("c", clusterIP=asked))
    assert answer.status == 422 and "provided IP is already allocated" in answer.body["message"]
    await rig.ok("DELETE", SERVICES + "/a")
    assert (await rig.call("POST", SERVICES, service("c", clusterIP=asked))).status == 201


async def test_doubled_owners_are_dropped_with_a_warning(rig: Rig) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u1"}
    answer = await rig.call("POST", CONFIG_MAPS, config_map("a", ownerReferences=[owner, owner]))
    assert answer.body["metadata"]["ownerReferences"] == [owner]
    (warning,) = answer.warnings
    assert warning.startswith(".metadata.ownerReferences contains duplicate entries;")
    assert warning.endswith("duplicate UID(s) observed: u1")


async def test_defaults_are_stored(rig: Rig) -> None:
    made = await rig.ok("POST", PODS, pod("a"))
    assert made["spec"]["restartPolicy"] == "Always" and made["spec"]["dnsPolicy"] == "ClusterFirst"
    assert made["spec"]["containers"][0]["imagePullPolicy"] == "Always"
    assert await rig.ok("GET", PODS + "/a") == made


async def test_the_table_of_a_new_object(rig: Rig) -> None:
    headers = {"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
    answer = await rig.call("POST", CONFIG_MAPS, config_map("a"), headers=headers)
    assert (answer.status, answer.body["kind"]) == (201, "Table")


async def test_a_dry_run_keeps_the_version_that_was_sent(rig: Rig) -> None:
    for sent in ("1", "0", "x"):
        made = await rig.call("POST", CONFIG_MAPS + "?dryRun=All", config_map("a", resourceVersion=sent))
        assert (made.status, made.body["metadata"]["resourceVersion"]) == (201, sent)
    assert (await rig.call("POST", CONFIG_MAPS, config_map("a", resourceVersion="1"))).status == 500


async def test_the_media_type_is_judged_before_the_options(rig: Rig) -> None:
    headers = {"Content-Type": "text/plain"}
    answer = await rig.call("POST", CONFIG_MAPS + "?dryRun=x", config_map("a"), headers=headers)
    assert answer.status == 415
    assert (await rig.call("POST", CONFIG_MAPS + "?dryRun=x", config_map("a"))).status == 422


async def test_members_of_metadata_stay_in_their_places(rig: Rig) -> None:
    """A history tells a member that moves as gone and new."""
    made = await rig.ok("POST", PODS, pod("p"))
    headers = {"Content-Type": "application/strategic-merge-patch+json"}
    changed = await rig.ok("PATCH", f"{PODS}/p/status", {"status": {"message": "m"}}, headers=headers)
    assert len(changed["metadata"]["managedFields"]) == 2
    assert list(made["metadata"]) == list(changed["metadata"])
