"""Boxes that a real webhook converts:
what it is asked, what of its answers is taken, and what it cannot break."""

import asyncio
import base64
import copy
import random
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from backend import own_address
from conversion_server import FIRST, ConversionServer, Hooked, setting
from converters import (
    APPLY,
    DEFINITIONS,
    GROUP,
    MERGE,
    METADATA,
    METADATA_LIST,
    TABLE,
    V1,
    V2,
    Boxes,
    box,
    path,
)
from eventually import aeventually
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse import errors
from pilothouse.controllers.garbage import GarbageCollector
from pilothouse.controllers.namespaces import NamespaceDeletion
from pilothouse.outbound.clients import Clients
from pilothouse.pki import CertificateAuthority, pem
from pilothouse.registry.conversion_webhook import ConversionWebhooks
from pilothouse.registry.service_resolver import ServiceResolver

Object = dict[str, Any]
SIZE = {"width": 2, "height": 3}
NAME = f"{DEFINITIONS}/boxes.{GROUP}"
SOME = f"conversion webhook for {V1}, Kind=Box"
CALL = "conversion_webhook_call_failure"


# What is asked


async def test_a_stored_object_in_another_version(rig: Any, runner: Any, boxes: Hooked) -> None:
    await boxes.fill("a")
    found = await rig.ok("GET", path(name="a"))
    assert (found["apiVersion"], found["spec"]) == (V2, SIZE)
    [(method, target, headers, _)] = boxes.hook.requests
    assert (method, target) == ("POST", "/convert?timeout=30s")
    assert headers["user-agent"] == ["kube-apiserver-admission"]
    assert headers["content-type"] == ["application/json"] and headers["accept"] == ["application/json, */*"]
    [review] = boxes.hook.reviews
    assert (review["kind"], review["apiVersion"]) == ("ConversionReview", "apiextensions.k8s.io/v1")
    assert review["request"]["desiredAPIVersion"] == V2
    (sent,) = review["request"]["objects"]
    assert sent == boxes.stored("a") and sent["metadata"]["resourceVersion"]
    assert review["response"] == {"uid": "", "convertedObjects": None, "result": {"metadata": {}}}


async def test_writes_are_stored_in_the_stored_version(rig: Any, runner: Any, boxes: Hooked) -> None:
    made = await rig.ok("POST", path(), box("a"))
    assert made["spec"] == SIZE and boxes.stored("a")["spec"] == {"size": "2x3"}
    changed = await rig.ok("PATCH", path(name="a"), {"spec": {"width": 4}}, headers=MERGE)
    assert changed["spec"] == {"width": 4, "height": 3} and changed["metadata"]["generation"] == 2
    assert boxes.stored("a")["apiVersion"] == V1 and boxes.stored("a")["spec"] == {"size": "4x3"}
    why = await rig.fail(422, "PATCH", path(name="a"), {"spec": {"width": 10}}, headers=MERGE)
    assert "spec.width: Invalid value: 10" in why


async def test_a_list_is_one_batch_and_only_what_is_in_another_version_is_sent(
    rig: Any, runner: Any, boxes: Hooked
) -> None:
    """The non homogeneous list of upstream's conformance test, from one version to the other and back."""
    await boxes.fill("a")
    await _store_v2(rig, boxes)
    await rig.ok("POST", path(), box("b"))
    assert [boxes.stored(name)["apiVersion"] for name in ("a", "b")] == [V1, V2]
    boxes.hook.batches()
    for version, size in (("v1", {"size": "2x3"}), ("v2", SIZE)):
        items = (await rig.ok("GET", path(version)))["items"]
        assert [(i["metadata"]["name"], i["apiVersion"], i["spec"]) for i in items] == [
            (name, f"{GROUP}/{version}", size) for name in ("a", "b")
        ]
    assert boxes.hook.batches() == [(V1, ["b"]), (V2, ["a"])]


async def _store_v2(rig: Any, boxes: Boxes) -> None:
    """Make v2 the version that is stored."""
    live = await rig.ok("GET", NAME)
    for version in live["spec"]["versions"]:
        version["storage"] = version["name"] == "v2"
    await rig.ok("PUT", NAME, live)
    await rig.settle()


async def test_a_write_migrates_what_is_stored(rig: Any, runner: Any, boxes: Hooked) -> None:
    await boxes.fill("a")
    await _store_v2(rig, boxes)
    same = await rig.ok("PATCH", path("v1", "a"), {"spec": {"size": "2x3"}}, headers=MERGE)
    assert same["spec"] == {"size": "2x3"} and same["metadata"]["generation"] == 1
    stored = boxes.stored("a")
    assert (stored["apiVersion"], stored["spec"]) == (V2, SIZE)
    assert (await rig.ok("GET", NAME))["status"]["storedVersions"] == ["v1", "v2"]


async def test_reviews_of_version_v1beta1(rig: Any, runner: Any, hook: ConversionServer) -> None:
    boxes = Hooked(rig, hook, hook.conversion("v1beta1", "v1"))
    await boxes.start()
    await boxes.fill("a")
    hook.alter = lambda answer: answer["response"].pop("uid")
    assert (await rig.ok("GET", path(name="a")))["spec"] == SIZE
    assert hook.reviews[0]["apiVersion"] == "apiextensions.k8s.io/v1beta1"
    await boxes.stop()


async def test_a_webhook_that_knows_no_version_of_reviews(rig: Any, runner: Any, hook: Any) -> None:
    boxes = Hooked(rig, hook, hook.conversion("v1"))
    definition = {
        **copy.deepcopy(DEFINITION),
        "spec": {**DEFINITION["spec"], "conversion": hook.conversion("v7")},
    }
    converter = boxes.webhooks.converter_of(definition)
    assert converter is not None
    with pytest.raises(errors.Unknown, match=r"^no supported conversion review versions$"):
        await converter.convert([box("a", V1)], V2)
    assert not boxes.counted() and not hook.reviews


DEFINITION: Object = {
    "metadata": {"name": f"boxes.{GROUP}"},
    "spec": {"group": GROUP, "versions": [{"name": "v1", "storage": True}, {"name": "v2"}]},
}


async def test_versions_that_are_gone(rig: Any, runner: Any, hook: Any) -> None:
    made = {**DEFINITION, "spec": {**DEFINITION["spec"], "conversion": hook.conversion()}}
    converter = Hooked(rig, hook, hook.conversion()).webhooks.converter_of(made)
    assert converter is not None
    gone = box("a", f"{GROUP}/v0")
    for objects, to, why in (
        ([gone], V2, f"request to convert CR from an invalid group/version: {GROUP}/v0"),
        (
            [box("b", V1), gone],
            V2,
            f"request to convert CR list failed, list index 1 has invalid group/version: {GROUP}/v0",
        ),
        ([box("b", V1)], f"{GROUP}/v9", f"request to convert CR to an invalid group/version: {GROUP}/v9"),
    ):
        with pytest.raises(errors.Unknown, match=f"^{re.escape(why)}$"):
            await converter.convert(objects, to)


@pytest.mark.skipif(not own_address(), reason="not on this host: it has the loopback address only")
async def test_a_webhook_behind_a_service(rig: Any, runner: Any, tmp_path: Path) -> None:
    async with ConversionServer(tmp_path, ("box-hook.default.svc",), own_address()) as hook:
        service = {"namespace": "default", "name": "box-hook", "port": 9443, "path": "/crd"}
        boxes = Hooked(rig, hook, hook.conversion(service=service))
        await boxes.start()
        await boxes.fill("a")
        call = f'{SOME} failed: Post "https://box-hook.default.svc:9443/crd?timeout=30s": '
        assert await rig.fail(500, "GET", path(name="a")) == call + 'service "box-hook" not found'
        spec = {"ports": [{"port": 9443, "name": "tls"}]}
        await rig.ok(
            "POST", "/api/v1/namespaces/default/services", {"metadata": {"name": "box-hook"}, "spec": spec}
        )
        why = await rig.fail(500, "GET", path(name="a"))
        assert why == call + 'no endpoints available for service "box-hook"'
        slice_ = {
            "metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "box-hook"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [own_address()]}],
            "ports": [{"name": "tls", "port": hook.port}],
        }
        await rig.ok("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice_)
        assert (await rig.ok("GET", path(name="a")))["spec"] == SIZE
        [(_, target, headers, _)] = hook.requests
        assert target == "/crd?timeout=30s" and headers["host"] == ["box-hook.default.svc:9443"]
        await boxes.stop()


async def test_objects_without_members_are_not_sent(rig: Any, runner: Any, hook: Any) -> None:
    made = {**DEFINITION, "spec": {**DEFINITION["spec"], "conversion": hook.conversion()}}
    converter = Hooked(rig, hook, hook.conversion()).webhooks.converter_of(made)
    assert converter is not None
    empty = {"kind": "Box", "apiVersion": V1}
    assert await converter.convert([empty], V2) == [{"kind": "Box", "apiVersion": V2}]
    assert not hook.reviews
    found = await converter.convert([box("a", V1), empty, box("b", V1)], V2)
    assert [obj.get("spec") for obj in found] == [SIZE, None, SIZE] and hook.batches() == [(V2, ["a", "b"])]


async def test_numbers_are_stored_as_go_writes_them(rig: Any, runner: Any, boxes: Hooked) -> None:
    await _store_v2(rig, boxes)
    boxes.hook.alter = setting(*FIRST, "spec", value={"width": 2.0, "height": 3})
    await rig.ok("POST", path("v1"), box("a", V1))
    assert str(boxes.stored("a")["spec"]["width"]) == "2"


async def test_fields_that_were_applied_in_another_version(rig: Any, runner: Any, boxes: Hooked) -> None:
    await rig.ok("PATCH", path("v1", "a") + "?fieldManager=one", box("a", V1), headers=APPLY)
    wider = {**box("a"), "spec": {"width": 4}}
    why = await rig.fail(409, "PATCH", path(name="a") + "?fieldManager=two", wider, headers=APPLY)
    assert why == 'Apply failed with 1 conflict: conflict with "one": .spec.size'
    target = path(name="a") + "?fieldManager=two&force=true"
    taken = await rig.ok("PATCH", target, wider, headers=APPLY)
    assert taken["spec"] == {"width": 4, "height": 3} and boxes.stored("a")["spec"] == {"size": "4x3"}
    managers = [(e["manager"], e["apiVersion"]) for e in taken["metadata"]["managedFields"]]
    assert managers == [("two", V2)]


# What is remembered


async def test_a_conversion_is_remembered_until_the_object_or_the_definition_changes(
    rig: Any, runner: Any, boxes: Hooked
) -> None:
    await boxes.fill("a", "b")
    for _ in range(2):
        assert len((await rig.ok("GET", path()))["items"]) == 2
        assert (await rig.ok("GET", path(name="a")))["spec"] == SIZE
    assert boxes.hook.batches() == [(V2, ["a", "b"])]
    await rig.ok("PATCH", path("v1", "b"), {"spec": {"size": "5x5"}}, headers=MERGE)
    items = (await rig.ok("GET", path()))["items"]
    assert [i["spec"]["width"] for i in items] == [2, 5] and boxes.hook.batches() == [(V2, ["b"])]
    await rig.ok(
        "PATCH", NAME, {"spec": {"conversion": boxes.hook.conversion("v1", "v1beta1")}}, headers=MERGE
    )
    await rig.settle()
    await rig.ok("GET", path())
    assert boxes.hook.batches() == [(V2, ["a", "b"])]


async def test_what_somebody_else_converts_is_waited_for(rig: Any, runner: Any, boxes: Hooked) -> None:
    await boxes.fill("a", "b")
    go = asyncio.Event()
    released = await _held(boxes.hook, go)
    first = asyncio.ensure_future(rig.ok("GET", path(name="a")))
    await released()
    rest = [asyncio.ensure_future(rig.ok("GET", path())) for _ in range(3)]
    await released(2)
    go.set()
    assert (await first)["spec"] == SIZE
    assert [len(found["items"]) for found in await asyncio.gather(*rest)] == [2, 2, 2]
    assert boxes.hook.batches() == [(V2, ["a"]), (V2, ["b"])]


async def test_who_gives_up_or_fails_by_another_object_takes_nobody_along(
    rig: Any, runner: Any, boxes: Hooked
) -> None:
    await boxes.fill("a", "b")
    go = asyncio.Event()
    released = await _held(boxes.hook, go)
    first = asyncio.ensure_future(rig.call("GET", path(name="a")))
    await released()
    second = asyncio.ensure_future(rig.ok("GET", path(name="a")))
    await asyncio.sleep(0)
    first.cancel()
    go.set()
    assert (await second)["spec"] == SIZE and boxes.hook.batches() == [(V2, ["a"])] * 2
    boxes.webhooks.known.clear()
    go.clear()

    def spoil(answer: Object) -> None:
        for obj in answer["response"]["convertedObjects"]:
            if obj["metadata"]["name"] == "b":
                obj["metadata"]["uid"] = "other"

    boxes.hook.alter = spoil
    listed = asyncio.ensure_future(rig.fail(500, "GET", path()))
    await released(3)
    alone = asyncio.ensure_future(rig.ok("GET", path(name="a")))
    await asyncio.sleep(0)
    go.set()
    assert (await alone)["spec"] == SIZE
    assert "returned invalid converted object at index 1: must have the same UID" in await listed


async def _held(hook: ConversionServer, go: asyncio.Event) -> Any:
    """Hold the answers until `go` is set; a function that waits for so many requests."""
    count, changed = 0, asyncio.Condition()
    convert = hook.handler

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal count
        count += 1
        async with changed:
            changed.notify_all()
        await go.wait()
        return await convert(request)

    async def released(wanted: int = 1) -> None:
        async with asyncio.timeout(10), changed:
            await changed.wait_for(lambda: count >= wanted)

    hook.handler = handler
    return released


# Changes of the definition


async def test_a_change_of_the_definition_takes_effect_at_once(
    rig: Any, runner: Any, boxes: Hooked, tmp_path: Path
) -> None:
    await boxes.fill("a")
    other = pem(CertificateAuthority.create("other").certificate)
    config = {"caBundle": base64.b64encode(other).decode()}
    patch = {"spec": {"conversion": {"webhook": {"clientConfig": config}}}}
    await rig.ok("PATCH", NAME, patch, headers=MERGE)
    await rig.settle()
    why = await rig.fail(500, "GET", path(name="a"))
    assert why.startswith(f'{SOME} failed: Post "{boxes.hook.url}?timeout=30s": tls: failed to verify')
    config["caBundle"] = base64.b64encode(boxes.hook.ca).decode()
    await rig.ok("PATCH", NAME, patch, headers=MERGE)
    await rig.settle()
    assert (await rig.ok("GET", path(name="a")))["spec"] == SIZE
    await rig.ok(
        "PATCH", NAME, {"spec": {"conversion": {"strategy": "None", "webhook": None}}}, headers=MERGE
    )
    await rig.settle()
    boxes.hook.batches()
    assert (await rig.ok("GET", path(name="a")))["spec"] == {} and not boxes.hook.reviews


async def test_a_definition_with_a_webhook_is_stored_without_a_warning(
    rig: Any, runner: Any, boxes: Hooked
) -> None:
    answer = await rig.call("PATCH", NAME, {"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    assert answer.status == 200 and not answer.warnings


# Pruning and defaults


async def test_what_a_webhook_adds_is_pruned_and_gets_no_defaults(
    rig: Any, runner: Any, boxes: Hooked
) -> None:
    live = await rig.ok("GET", NAME)
    first, second = (
        v["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"] for v in live["spec"]["versions"]
    )
    first["color"], second["color"] = {"type": "string", "default": "red"}, {"type": "string"}
    second["shape"] = {"type": "string", "default": "round"}
    await boxes.fill("a")
    await rig.ok("PUT", NAME, live)
    await rig.settle()

    def add(answer: Object) -> None:
        for obj in answer["response"]["convertedObjects"]:
            obj["spec"]["unknown"] = 1

    boxes.hook.alter = add
    assert (await rig.ok("GET", path(name="a")))["spec"] == {**SIZE, "color": "red"}
    assert boxes.hook.reviews[0]["request"]["objects"][0]["spec"] == {"size": "2x3", "color": "red"}
    await rig.ok("POST", path(), box("b"))
    assert boxes.stored("b")["spec"] == {"size": "2x3", "color": "red", **boxes.stored("b")["spec"]}
    assert "unknown" not in boxes.stored("b")["spec"]


async def test_labels_and_annotations_may_change_and_nothing_else_of_the_metadata(
    rig: Any, runner: Any, boxes: Hooked
) -> None:
    await boxes.fill("a", annotations={"old": "1"}, labels={"old": "1"})

    def change(answer: Object) -> None:
        metadata = answer["response"]["convertedObjects"][0]["metadata"]
        metadata |= {"labels": {"new": "2"}, "generation": 99, "finalizers": ["x/y"], "resourceVersion": "1"}
        del metadata["annotations"], metadata["creationTimestamp"]

    boxes.hook.alter = change
    metadata = (await rig.ok("GET", path(name="a")))["metadata"]
    before = boxes.stored("a")["metadata"]
    assert metadata["labels"] == {"new": "2"} and "annotations" not in metadata
    for member in ("generation", "creationTimestamp", "resourceVersion", "managedFields"):
        assert metadata[member] == before[member]
    assert "finalizers" not in metadata


# What a dead webhook cannot break


async def test_nobody_listens(rig: Any, runner: Any, boxes: Hooked) -> None:
    await boxes.fill("a", "b")
    await boxes.fill("c", finalizers=["x/y"])
    await boxes.hook.__aexit__()
    refused = (
        f'Post "{boxes.hook.url}?timeout=30s": dial tcp 127.0.0.1:{boxes.hook.port}: connect: connection'
        " refused"
    )
    for method, target, body, headers in (
        ("GET", path(name="a"), None, {}),
        ("GET", path(), None, {}),
        ("GET", path(), None, TABLE),
        ("PATCH", path(name="a"), {"spec": {"width": 4}}, MERGE),
    ):
        assert await rig.fail(500, method, target, body, headers=headers) == f"{SOME} failed: {refused}"
    why = await rig.fail(500, "POST", path(), box("n"))
    assert why == f"conversion webhook for {V2}, Kind=Box failed: {refused}"
    # What needs no conversion goes on.
    assert len((await rig.ok("GET", path("v1")))["items"]) == 3
    assert len((await rig.ok("GET", path(), headers=METADATA_LIST))["items"]) == 3
    assert (await rig.ok("GET", path(name="a"), headers=METADATA))["metadata"]["name"] == "a"
    assert (await rig.ok("DELETE", path(name="a")))["status"] == "Success"
    assert (await rig.ok("DELETE", path(name="c")))["status"] == "Success", "it waits for its finalizer"
    assert boxes.stored("c")["metadata"]["deletionTimestamp"]
    assert (await rig.ok("DELETE", path()))["status"] == "Success"
    left = (await rig.ok("GET", path("v1")))["items"]
    assert [item["metadata"]["name"] for item in left] == ["c"]


async def test_garbage_collection_and_deletes_of_what_is_stored_in_an_older_version(
    rig: Any, runner: Any, boxes: Hooked
) -> None:
    """Owners, dependents, namespaces and the definition itself can go while the webhook is dead."""
    controllers = [GarbageCollector(rig.client()), NamespaceDeletion(rig.client())]
    owner = await rig.config_map("owner")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    await boxes.fill("owned", "kept", ownerReferences=[reference])
    await boxes.fill("held", finalizers=["x/y"])
    await rig.namespace("team")
    await rig.ok("POST", path("v1").replace("default", "team"), box("there", V1))
    team = path().replace("default", "team")
    await boxes.fill("first")
    first = await rig.ok("GET", path("v1", "first"))
    reference = {"apiVersion": V1, "kind": "Box", "name": "first", "uid": first["metadata"]["uid"]}
    await boxes.fill("second", ownerReferences=[{**reference, "blockOwnerDeletion": True}])
    await _store_v2(rig, boxes)
    await boxes.hook.__aexit__()
    for controller in controllers:
        controller.start()
    await rig.ok("DELETE", path(name="held"), headers=METADATA)
    held = boxes.stored("held")
    assert (held["apiVersion"], held["spec"]) == (V1, {"size": "2x3"}) and held["metadata"][
        "deletionTimestamp"
    ]
    await rig.ok("DELETE", path(name="first") + "?propagationPolicy=Foreground", headers=METADATA)
    await _gone(rig, path(), "first", "second")
    await rig.ok("DELETE", "/api/v1/namespaces/default/configmaps/owner?propagationPolicy=Orphan")
    await aeventually(lambda: "ownerReferences" not in boxes.stored("kept")["metadata"], "an orphan")
    kept = boxes.stored("kept")
    assert (kept["apiVersion"], kept["spec"]) == (V1, {"size": "2x3"})
    assert kept["metadata"]["managedFields"]
    await rig.ok("DELETE", "/api/v1/namespaces/team")
    await _gone(rig, team, "there")
    await rig.ok("DELETE", NAME)
    await _gone(rig, path(), "kept", "owned")
    assert not boxes.hook.reviews and not boxes.counted()
    for controller in controllers:
        await controller.close()


async def _gone(rig: Any, place: str, *names: str) -> None:
    async def check() -> bool:
        found = (await rig.ok("GET", place, headers=METADATA_LIST))["items"]
        return not {item["metadata"]["name"] for item in found or ()} & set(names)

    await aeventually(check, f"the end of {names}")


async def test_a_watch_tells_its_converter_s_failure_and_ends(rig: Any, runner: Any, boxes: Hooked) -> None:
    await boxes.fill("a")
    boxes.hook.alter = setting("response", "result", value={"status": "Failure", "message": "no"})
    stream = await rig.watch(path() + "?watch=true")
    async with asyncio.timeout(10):
        while not stream.closed:
            await asyncio.sleep(0.001)
    (event,) = stream.events()
    assert event["type"] == "ERROR" and event["object"]["message"] == f"{SOME} failed: no"


async def test_watches_are_in_order(rig: Any, runner: Any, boxes: Hooked) -> None:
    streams = [await rig.watch(path() + "?watch=true") for _ in range(3)]
    names = [f"b{i}" for i in range(20)]
    await boxes.fill(*names)
    async with asyncio.timeout(10):
        seen: list[list[Any]] = [[], [], []]
        while any(len(one) < len(names) for one in seen):
            for one, stream in zip(seen, streams, strict=True):
                one += stream.events()
            await asyncio.sleep(0.001)
    for one in seen:
        assert [event["object"]["metadata"]["name"] for event in one] == names
        assert all(event["object"]["spec"] == SIZE for event in one)
    asked = [name for _, batch in boxes.hook.batches() for name in batch]
    assert sorted(asked) == sorted(names), "three watchers, one conversion of each object"


@settings(max_examples=15 * SCALE)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=12), st.integers())
def test_the_order_of_a_batch_is_kept(boxes_given: list[tuple[int, bool]], seed: int) -> None:
    """The order is kept, whichever objects of a batch are remembered,
    repeated, or in the right version already."""
    asyncio.run(_ordered(boxes_given, seed))


async def _ordered(given_boxes: list[tuple[int, bool]], seed: int) -> None:
    from tempfile import TemporaryDirectory

    from pilothouse.registry.conversion import converted

    clients = Clients()
    with TemporaryDirectory() as folder:
        async with ConversionServer(Path(folder)) as hook:
            webhooks = ConversionWebhooks(clients, ServiceResolver.__new__(ServiceResolver))
            made = {**DEFINITION, "spec": {**DEFINITION["spec"], "conversion": hook.conversion()}}
            converter = webhooks.converter_of(made)
            assert converter is not None
            objects = [box(f"b{n}", V2 if there else V1) for n, there in given_boxes]
            known = random.Random(seed).sample(objects, len(objects) // 2)
            for obj in known:
                await converted(converter, [obj], V2)
            found = await converted(converter, objects, V2)
            assert found == [box(f"b{n}") for n, _ in given_boxes]
            back = await converted(converter, found, V1)
            assert back == [box(f"b{n}", V1) for n, _ in given_boxes]
        await clients.close()
