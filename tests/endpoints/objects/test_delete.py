"""DELETE of one object and of a collection."""

import json
from typing import Any

import pytest
from harness import CONFIG_MAPS, PODS, Rig, causes, config_map, plug, pod

from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api import codec
from pilothouse.api.protobuf.writer import encode, frame
from pilothouse.api.types import schema
from pilothouse.endpoints.objects import delete

A = CONFIG_MAPS + "/a"


async def test_the_answer_is_a_status_with_the_uid(rig: Rig) -> None:
    made = await rig.config_map("a")
    answer = await rig.call("DELETE", A)
    assert answer.status == 200
    assert answer.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]},
    }
    assert (await rig.call("GET", A)).status == 404
    assert await rig.fail(404, "DELETE", A) == 'configmaps "a" not found'


async def test_some_kinds_answer_with_the_object(rig: Rig) -> None:
    made = await rig.ok("POST", PODS, pod("a"))
    deleted = await rig.ok("DELETE", PODS + "/a")
    assert deleted["kind"] == "Pod" and deleted["metadata"]["uid"] == made["metadata"]["uid"]


async def test_preconditions(rig: Rig) -> None:
    made = await rig.config_map("a")
    have, revision = made["metadata"]["uid"], made["metadata"]["resourceVersion"]
    message = await rig.fail(409, "DELETE", A, {"preconditions": {"uid": "other"}})
    assert (
        message
        == 'Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition (other) does not'
        f" match the UID in record ({have}). The object might have been deleted and then recreated"
    )
    message = await rig.fail(409, "DELETE", A, {"preconditions": {"resourceVersion": "1"}})
    assert (
        message
        == 'Operation cannot be fulfilled on ConfigMap "a": the ResourceVersion in the precondition (1) does'
        f" not match the ResourceVersion in record ({revision}). The object might have been modified"
    )
    await rig.ok("DELETE", A, {"preconditions": {"uid": have, "resourceVersion": revision}})


async def test_a_dry_run_deletes_nothing(rig: Rig) -> None:
    made = await rig.config_map("a", finalizers=["example.com/f"])
    await rig.config_map("b")
    for body, query in (({"dryRun": ["All"]}, ""), (None, "?dryRun=All")):
        await rig.ok("DELETE", A + query, body)
        await rig.ok("DELETE", CONFIG_MAPS + "/b" + query, body)
        await rig.ok("DELETE", CONFIG_MAPS + query, body)
    assert await rig.ok("GET", A) == made
    assert (await rig.call("GET", CONFIG_MAPS + "/b")).status == 200


async def test_an_event_that_is_another_one_is_of_the_core_group(rig: Rig) -> None:
    event = {"metadata": {"name": "e", "namespace": "default"}, "involvedObject": {"namespace": "default"}}
    await rig.ok("POST", "/api/v1/namespaces/default/events", event)
    for path in ("/api/v1", "/apis/events.k8s.io/v1"):
        why = await rig.fail(
            409, "DELETE", path + "/namespaces/default/events/e", {"preconditions": {"uid": "x"}}
        )
        assert why.startswith('Operation cannot be fulfilled on Event "e": the UID in the precondition (x)')


async def test_options_that_are_none(rig: Rig) -> None:
    await rig.config_map("a")
    answer = await rig.call("DELETE", A, {"propagationPolicy": "No"})
    assert answer.status == 422
    assert causes(answer.body) == [
        'propagationPolicy: Unsupported value: "No": supported values: "Foreground", "Background", "Orphan",'
        ' "nil"'
    ]
    assert (await rig.call("DELETE", A + "?gracePeriodSeconds=x")).status == 400
    assert (await rig.call("DELETE", A, b"{")).status == 400
    assert (await rig.call("DELETE", A, config_map("a"))).status == 400
    assert (await rig.call("GET", A)).status == 200


VERSION_KIND = (
    'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
)
OPTIONS_SCHEME = 'in scheme "pkg/apis/meta/internalversion/scheme/register.go:27"'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            [],
            (
                "couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of"
                f" type {VERSION_KIND}"
            ),
        ),
        (
            "x",
            (
                "couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value of"
                f" type {VERSION_KIND}"
            ),
        ),
        (
            {"apiVersion": "v1", "kind": "Pod"},
            f'no kind "Pod" is registered for version "v1" {OPTIONS_SCHEME}',
        ),
        (
            {"apiVersion": "a/v1", "kind": "No"},
            f'no kind "No" is registered for version "a/v1" {OPTIONS_SCHEME}',
        ),
        (
            {"apiVersion": "a/__internal", "kind": "No"},
            f'no kind "No" is registered for the internal version of group "a" {OPTIONS_SCHEME}',
        ),
        ({"kind": "Pod"}, f'no kind "Pod" is registered for version "meta.k8s.io/v1" {OPTIONS_SCHEME}'),
        (
            {"apiVersion": "v1", "kind": "ListOptions"},
            f'no kind "ListOptions" is registered for version "v1" {OPTIONS_SCHEME}',
        ),
        ({"kind": "ListOptions"}, "converting (v1.ListOptions) to (v1.DeleteOptions): unknown conversion"),
        (
            {"apiVersion": "x", "kind": "CreateOptions"},
            "converting (v1.CreateOptions) to (v1.DeleteOptions): unknown conversion",
        ),
        ({"apiVersion": "a/b/c", "kind": "DeleteOptions"}, "unexpected GroupVersion string: a/b/c"),
    ],
)
async def test_bodies_that_are_no_options(rig: Rig, body: Any, message: str) -> None:
    await rig.config_map("a")
    assert await rig.fail(400, "DELETE", A, json.dumps(body).encode()) == message


@pytest.mark.parametrize("version", ["v1", "meta.k8s.io/v1", "apps/v1", "x", "x/y", "__internal", ""])
async def test_options_of_every_group_version(rig: Rig, version: str) -> None:
    await rig.config_map("a")
    body = {"kind": "DeleteOptions", "apiVersion": version} if version else {}
    assert (await rig.ok("DELETE", A, body))["status"] == "Success"


@pytest.mark.parametrize("version", ["v1", "meta.k8s.io/v1", "x", ""])
def test_options_of_every_group_version_as_protobuf(version: str) -> None:
    body = frame(encode({"gracePeriodSeconds": 7}, schema.for_kind(*delete.KIND)), version, "DeleteOptions")
    assert delete.decode_options(body, codec.PROTOBUF) == {"gracePeriodSeconds": 7}


async def test_a_body_hides_the_query(rig: Rig) -> None:
    await rig.config_map("a")
    await rig.ok("DELETE", A + "?dryRun=All", {"gracePeriodSeconds": 0})
    assert (await rig.call("GET", A)).status == 404


async def test_finalizers_keep_an_object(rig: Rig) -> None:
    await rig.config_map("a", finalizers=["example.com/f"])
    first = await rig.ok("DELETE", A)
    live = await rig.ok("GET", A)
    assert first == live or first["kind"] == "Status"
    assert live["metadata"]["deletionGracePeriodSeconds"] == 0
    before = rig.storage.revision
    await rig.ok("DELETE", A)
    assert rig.storage.revision == before, "nothing more to write"


async def test_foreground_and_orphan(rig: Rig) -> None:
    await rig.config_map("a")
    await rig.config_map("b")
    await rig.ok("DELETE", A, {"propagationPolicy": "Foreground"})
    assert (await rig.ok("GET", A))["metadata"]["finalizers"] == ["foregroundDeletion"]
    await rig.ok("DELETE", CONFIG_MAPS + "/b", {"propagationPolicy": "Orphan"})
    assert (await rig.ok("GET", CONFIG_MAPS + "/b"))["metadata"]["finalizers"] == ["orphan"]
    await rig.ok("DELETE", A, {"propagationPolicy": "Background"})
    assert (await rig.call("GET", A)).status == 404


async def test_orphan_dependents_of_old(rig: Rig) -> None:
    await rig.config_map("a")
    answer = await rig.call("DELETE", A, {"orphanDependents": True})
    assert answer.status == 200
    assert (await rig.ok("GET", A))["metadata"]["finalizers"] == ["orphan"]
    await rig.config_map("b", finalizers=["example.com/f"])
    answer = await rig.call("DELETE", CONFIG_MAPS + "/b", {"orphanDependents": False})
    assert answer.status == 202


async def fill(rig: Rig) -> None:
    for name in "abc":
        await rig.config_map(name, labels={"odd": str(name != "b").lower()})


def names(body: Any) -> list[Any]:
    return [item["metadata"]["name"] for item in body["items"]]


async def test_a_collection(rig: Rig) -> None:
    await fill(rig)
    await rig.ok("POST", "/api/v1/namespaces/kube-system/configmaps", config_map("other"))
    deleted = await rig.ok("DELETE", CONFIG_MAPS)
    assert deleted["kind"] == "ConfigMapList" and names(deleted) == ["a", "b", "c"]
    assert names(await rig.ok("GET", "/api/v1/configmaps")) == ["other"]
    assert names(await rig.ok("DELETE", CONFIG_MAPS)) == []


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("labelSelector=odd%3Dtrue", ["b"]),
        ("fieldSelector=metadata.name%3Db", ["a", "c"]),
        ("labelSelector=odd%3Dno", ["a", "b", "c"]),
    ],
)
async def test_a_selected_part_of_a_collection(rig: Rig, query: str, left: list[str]) -> None:
    await fill(rig)
    await rig.ok("DELETE", f"{CONFIG_MAPS}?{query}")
    assert names(await rig.ok("GET", CONFIG_MAPS)) == left


async def test_a_page_of_a_collection_tells_what_is_left(rig: Rig) -> None:
    await fill(rig)
    deleted = await rig.ok("DELETE", CONFIG_MAPS + "?limit=1")
    assert (len(deleted["items"]), deleted["metadata"]["remainingItemCount"]) == (1, 2)
    token = deleted["metadata"]["continue"]
    assert len((await rig.ok("GET", f"{CONFIG_MAPS}?continue={token}"))["items"]) == 2


async def test_a_collection_with_finalizers_and_propagation(rig: Rig) -> None:
    await rig.config_map("a", finalizers=["example.com/f"])
    await rig.config_map("b")
    await rig.ok("DELETE", CONFIG_MAPS, {"propagationPolicy": "Orphan"})
    left = await rig.ok("GET", CONFIG_MAPS)
    assert [i["metadata"]["finalizers"] for i in left["items"]] == [["example.com/f", "orphan"], ["orphan"]]


async def test_a_collection_that_cannot_be_selected(rig: Rig) -> None:
    await fill(rig)
    await rig.fail(400, "DELETE", CONFIG_MAPS + "?labelSelector=%3D")
    await rig.fail(422, "DELETE", CONFIG_MAPS, {"propagationPolicy": "No"})
    assert len((await rig.ok("GET", CONFIG_MAPS))["items"]) == 3


async def test_immortal_namespaces(rig: Rig) -> None:
    message = await rig.fail(403, "DELETE", "/api/v1/namespaces/default")
    assert message == 'namespaces "default" is forbidden: this namespace may not be deleted'


async def test_a_service_gives_its_address_back(rig: Rig) -> None:
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}], "clusterIP": "10.0.0.9"}}
    path = "/api/v1/namespaces/default/services"
    for _ in range(2):
        await rig.ok("POST", path, service)
        await rig.ok("DELETE", path + "/s?dryRun=All")
        assert (await rig.call("POST", path, {**service, "metadata": {"name": "t"}})).status == 422
        await rig.ok("DELETE", path + "/s")


class Orphan(AdmissionPlugin):
    """A plugin that has the dependents of what is deleted stay."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def wants(self, a: Any) -> bool:
        return a.operation == "DELETE"

    def mutate(self, a: Any) -> None:
        self.seen.append(dict(a.options))
        a.options["propagationPolicy"] = "Orphan"


async def test_what_a_plugin_makes_of_the_options_counts(rig: Rig) -> None:
    plugin = Orphan()
    plug(rig.chain, plugin)
    await rig.config_map("a")
    await rig.ok("DELETE", CONFIG_MAPS + "/a", {"propagationPolicy": "Background"})
    assert (await rig.ok("GET", CONFIG_MAPS + "/a"))["metadata"]["finalizers"] == ["orphan"]
    assert plugin.seen == [
        {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "propagationPolicy": "Background"}
    ]


async def test_events_have_no_dependents(rig: Rig) -> None:
    """An event is gone at once, whatever the options and finalizers for dependents say."""
    events = "/api/v1/namespaces/default/events"
    involved = {"kind": "Pod", "name": "p", "namespace": "default"}
    metadata = {"name": "a", "finalizers": ["foregroundDeletion"]}
    await rig.ok("POST", events, {"metadata": metadata, "involvedObject": involved})
    await rig.ok("DELETE", events + "/a?orphanDependents=true")
    assert (await rig.call("GET", events + "/a")).status == 404


async def test_a_namespace_that_is_being_deleted_gets_no_finalizer(rig: Rig) -> None:
    await rig.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "gone"}})
    marked = await rig.ok("DELETE", "/api/v1/namespaces/gone")
    assert await rig.ok("DELETE", "/api/v1/namespaces/gone", {"orphanDependents": True}) == marked


@pytest.mark.parametrize(
    ("options", "finalizers"),
    [
        ({"orphanDependents": False}, ["foregroundDeletion"]),
        ({"orphanDependents": True}, ["orphan"]),
        ({}, None),
    ],
)
async def test_a_namespace_is_deleted_in_the_foreground_for_clients_of_old(
    rig: Rig, options: Any, finalizers: Any
) -> None:
    """Upstream's namespaces read `orphanDependents: false` so, other kinds as background."""
    await rig.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})
    gone = await rig.ok("DELETE", "/api/v1/namespaces/n", options)
    assert gone["metadata"].get("finalizers") == finalizers
