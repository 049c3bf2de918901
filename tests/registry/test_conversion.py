"""Objects that wait for their conversion,
in every verb but watch (endpoints/objects/test_watch_conversion.py)."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from converters import (
    APPLY,
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
from harness import plug

from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.changes.managed import Unconverted
from pilothouse.api.types import schema
from pilothouse.offload import INLINE_WORK
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.conversion import Conversion, OtherVersions, converted

Object = dict[str, Any]
TEXT = schema.builtin("io.k8s.api.core.v1.ConfigMap")
SIZE = {"width": 2, "height": 3}


@pytest.fixture
def boxes(rig: Any, runner: asyncio.Runner) -> Iterator[Boxes]:
    made = Boxes(rig)
    runner.run(made.start())
    yield made
    runner.run(made.stop())


def batches(boxes: Boxes) -> list[tuple[str, list[str]]]:
    """The version and the names of each batch so far."""
    calls, boxes.fake.calls = boxes.fake.calls, []
    return [(call.to, call.names) for call in calls]


# The interface alone


class Backwards:
    """Says in which version an object has been asked for; it may forget some."""

    def __init__(self, forgets: int = 0) -> None:
        self.forgets = forgets
        self.asked: list[list[str]] = []

    async def convert(self, objects: Any, to: str) -> list[Object]:
        self.asked.append([obj["name"] for obj in objects])
        return [{**obj, "apiVersion": to, "by": "converter"} for obj in objects][self.forgets :]


async def test_only_what_is_in_another_version_is_sent_and_order_is_kept(runner: Any) -> None:
    objects = [{"apiVersion": v, "name": str(i)} for i, v in enumerate(("b", "a", "b", "c"))]
    converter = Backwards()
    made = await converted(converter, objects, "b")
    assert converter.asked == [["1", "3"]]
    assert [obj["name"] for obj in made] == ["0", "1", "2", "3"]
    assert [obj.get("by") for obj in made] == [None, "converter", None, "converter"]
    assert {obj["apiVersion"] for obj in made} == {"b"}
    await converted(converter, objects[:1], "b")
    assert len(converter.asked) == 1


async def test_a_converter_that_loses_objects(runner: Any) -> None:
    with pytest.raises(ValueError, match="returned 1 objects for 2"):
        await converted(Backwards(1), [{"apiVersion": "a", "name": "x"}] * 2, "b")


async def test_what_is_done_in_process_comes_behind_the_converter(runner: Any) -> None:
    conversion = Conversion(
        present=lambda obj: {**obj, "shown": obj.get("by")},
        store=lambda obj: {**obj, "kept": obj.get("by")},
        converter=Backwards(),
        served="b",
        stored="a",
    )
    (obj,) = await conversion.presented([{"apiVersion": "a", "name": "x"}])
    assert (obj["apiVersion"], obj["shown"]) == ("b", "converter")
    (obj,) = await conversion.kept([{"apiVersion": "b", "name": "x"}])
    assert (obj["apiVersion"], obj["kept"]) == ("a", "converter")


async def test_code_that_cannot_wait_is_repeated(runner: Any) -> None:
    converter = Backwards()
    versions = OtherVersions(converter, {"b": TEXT, "c": TEXT}.get)
    runs = []

    def call(text: str) -> list[str]:
        runs.append(text)
        out = []
        for version in ("b", "c"):
            found = versions(version)
            assert found is not None
            out += [obj["apiVersion"] for obj in found[1]([{"apiVersion": "a", "name": "x"}])]
        return out

    assert versions("gone") is None
    with pytest.raises(Unconverted, match="not converted to b yet"):
        call("alone")
    assert await versions.settle(INLINE_WORK, call, "asked") == ["b", "c"]
    assert runs == ["alone", "asked", "asked", "asked"] and len(converter.asked) == 2
    assert await versions.settle(INLINE_WORK, call, "again") == ["b", "c"]
    assert runs[4:] == ["again"] and len(converter.asked) == 2


# Verbs


async def test_both_versions_of_what_was_stored_in_one(rig: Any, runner: Any, boxes: Boxes) -> None:
    made = await rig.ok("POST", path(), box("a"))
    assert (made["apiVersion"], made["spec"]) == (V2, SIZE)
    assert (boxes.stored("a")["apiVersion"], boxes.stored("a")["spec"]) == (V1, {"size": "2x3"})
    assert batches(boxes) == [(V1, ["a"]), (V2, ["a"])]
    assert (await rig.ok("GET", path("v1", "a")))["spec"] == {"size": "2x3"}
    assert not boxes.fake.calls
    assert await rig.ok("GET", path("v2", "a")) == made
    batches(boxes)
    await boxes.fill("b")
    assert (await rig.ok("GET", path("v2", "b")))["spec"] == SIZE


async def test_nothing_is_answered_before_the_conversion(rig: Any, runner: Any, boxes: Boxes) -> None:
    await boxes.fill("a")
    boxes.fake.held = True
    asked = asyncio.ensure_future(rig.ok("GET", path(name="a")))
    call = await boxes.called()
    assert not asked.done()
    call.release()
    assert (await asked)["spec"] == SIZE


async def test_a_client_that_leaves_ends_the_conversion(rig: Any, runner: Any, boxes: Boxes) -> None:
    await boxes.fill("a")
    boxes.fake.held = True
    for target in (path(name="a"), path()):
        asked = asyncio.ensure_future(rig.call("GET", target))
        call = await boxes.called(len(boxes.fake.calls) + 1)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert call.cancelled


async def test_an_error_of_the_conversion_is_the_answer(rig: Any, runner: Any, boxes: Boxes) -> None:
    await boxes.fill("a")
    boxes.fake.broken = "no converter today"
    for method, target, body, headers in (
        ("GET", path(name="a"), None, {}),
        ("GET", path(), None, {}),
        ("GET", path(), None, TABLE),
        ("GET", path(name="a", sub="scale"), None, {}),
        ("POST", path(), box("b"), {}),
        ("PUT", path(name="a"), box("a", resourceVersion="1"), {}),
        ("PATCH", path(name="a"), {"spec": {"width": 4}}, MERGE),
        ("PATCH", path(name="a") + "?fieldManager=m", box("a"), APPLY),
        ("PATCH", path(name="a", sub="status"), {"status": {"full": True}}, MERGE),
        ("PATCH", path(name="a", sub="scale"), {"spec": {"replicas": 4}}, MERGE),
    ):
        assert await rig.fail(500, method, target, body, headers=headers) == "no converter today"
    assert boxes.stored("a")["spec"] == {"size": "2x3"}
    assert (await rig.ok("GET", path("v1", "a")))["spec"] == {"size": "2x3"}
    assert (await rig.call("GET", path("v1", "b"))).status == 404


async def test_a_list_is_one_batch(rig: Any, runner: Any, boxes: Boxes) -> None:
    await boxes.fill("a", "b", "c")
    found = await rig.ok("GET", path() + "?limit=2")
    assert [(item["apiVersion"], item["spec"]) for item in found["items"]] == [(V2, SIZE)] * 2
    assert found["metadata"]["continue"] and batches(boxes) == [(V2, ["a", "b"])]
    table = await rig.ok("GET", path(), headers=TABLE)
    assert [row["cells"] for row in table["rows"]] == [["a", 2], ["b", 2], ["c", 2]]
    assert batches(boxes) == [(V2, ["a", "b", "c"])]


async def test_a_long_list_is_a_batch_for_each_slice(rig: Any, runner: Any, boxes: Boxes) -> None:
    names = [f"b{i}" for i in range(8)]
    await boxes.fill(*names, annotations={"pad": "x" * 60_000})
    answer = await rig.call("GET", path())
    stream = answer.stream
    assert [call.to for call in boxes.fake.calls] == [V2]  # before the answer begins
    while not stream.closed:
        await asyncio.sleep(0.001)
    (body,) = stream.events()
    assert [item["metadata"]["name"] for item in body["items"]] == names
    assert all(item["spec"] == SIZE for item in body["items"]) and body["kind"] == "BoxList"
    calls = [name for _, group in batches(boxes) for name in group]
    assert calls == names
    boxes.fake.broken = "no converter today"
    assert await rig.fail(500, "GET", path()) == "no converter today"


async def test_a_long_list_that_breaks_off_is_cut(rig: Any, runner: Any, boxes: Boxes) -> None:
    await boxes.fill(*[f"b{i}" for i in range(8)], annotations={"pad": "x" * 60_000})
    answer = await rig.call("GET", path())
    boxes.fake.broken = "no converter any more"
    while not answer.stream.closed:
        await asyncio.sleep(0.001)
    assert answer.stream.aborted


async def test_metadata_and_deletes_do_not_convert(rig: Any, runner: Any, boxes: Boxes) -> None:
    await boxes.fill("a", "b", "c")
    boxes.fake.broken = "no converter today"
    one = await rig.ok("GET", path(name="a"), headers=METADATA)
    assert one["kind"] == "PartialObjectMetadata" and one["metadata"]["name"] == "a"
    assert len((await rig.ok("GET", path(), headers=METADATA_LIST))["items"]) == 3
    assert (await rig.ok("DELETE", path(name="a")))["status"] == "Success"
    await rig.ok("DELETE", path() + "?fieldSelector=metadata.name%3Db", headers=METADATA_LIST)
    assert (await rig.call("GET", path("v1", "b"))).status == 404


async def test_a_delete_that_has_to_wait_shows_the_object(rig: Any, runner: Any, boxes: Boxes) -> None:
    await boxes.fill("a", finalizers=["x/y"])
    gone = await rig.ok("DELETE", path(name="a"))
    assert gone["apiVersion"] == V2 and gone["spec"] == SIZE and gone["metadata"]["deletionTimestamp"]
    listed = await rig.ok("DELETE", path())
    assert [item["spec"] for item in listed["items"]] == [SIZE]


async def test_updates_both_ways(rig: Any, runner: Any, boxes: Boxes) -> None:
    await boxes.fill("a")
    obj = await rig.ok("GET", path(name="a"))
    obj["spec"]["height"] = 5
    batches(boxes)
    changed = await rig.ok("PUT", path(name="a"), obj)
    assert changed["spec"] == {"width": 2, "height": 5} and changed["metadata"]["generation"] == 2
    assert boxes.stored("a")["spec"] == {"size": "2x5"}
    obj = await rig.ok("GET", path("v1", "a"))
    obj["spec"]["size"] = "4x5"
    assert (await rig.ok("PUT", path("v1", "a"), obj))["spec"] == {"size": "4x5"}
    same = await rig.ok("PUT", path(name="a"), await rig.ok("GET", path(name="a")))
    assert same["metadata"]["generation"] == 3 and same["spec"] == {"width": 4, "height": 5}
    assert same["metadata"]["resourceVersion"] == boxes.stored("a")["metadata"]["resourceVersion"]
    why = await rig.fail(422, "PATCH", path(name="a"), {"spec": {"width": 10}}, headers=MERGE)
    assert "spec.width: Invalid value: 10: spec.width in body should be less than or equal to 9" in why


async def test_status_and_scale(rig: Any, runner: Any, boxes: Boxes) -> None:
    await boxes.fill("a")
    full = await rig.ok("PATCH", path(name="a", sub="status"), {"status": {"used": 1}}, headers=MERGE)
    assert full["status"] == {"used": 1} and full["spec"] == SIZE
    scale = await rig.ok("GET", path(name="a", sub="scale"))
    assert (scale["kind"], scale["spec"], scale["status"]["replicas"]) == ("Scale", {"replicas": 2}, 1)
    scale = await rig.ok("PATCH", path(name="a", sub="scale"), {"spec": {"replicas": 7}}, headers=MERGE)
    assert scale["spec"] == {"replicas": 7}
    stored = boxes.stored("a")
    assert (stored["apiVersion"], stored["spec"], stored["status"]) == (V1, {"size": "7x3"}, {"used": 1})
    scale["spec"]["replicas"] = 8
    assert (await rig.ok("PUT", path(name="a", sub="scale"), scale))["spec"] == {"replicas": 8}
    applied = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 9}}
    target = path(name="a", sub="scale") + "?fieldManager=m&force=true"
    assert (await rig.ok("PATCH", target, applied, headers=APPLY))["spec"] == {"replicas": 9}
    assert boxes.stored("a")["spec"] == {"size": "9x3"}


def managers(obj: Object) -> list[tuple[str, str, str]]:
    return [(e["manager"], e["operation"], e["apiVersion"]) for e in obj["metadata"]["managedFields"]]


async def test_fields_that_were_set_in_another_version(rig: Any, runner: Any, boxes: Boxes) -> None:
    await rig.ok("PATCH", path("v1", "a") + "?fieldManager=one", box("a", V1), headers=APPLY)
    batches(boxes)
    why = await rig.call(
        "PATCH", path(name="a") + "?fieldManager=two", {**box("a"), "spec": {"width": 4}}, headers=APPLY
    )
    assert why.status == 409 and 'conflict with "one"' in why.body["message"]
    assert ".spec.size" in why.body["message"]
    assert (V1, ["a", "a"]) in batches(boxes)  # the live and the new object in one batch
    target = path(name="a") + "?fieldManager=two&force=true"
    taken = await rig.ok("PATCH", target, {**box("a"), "spec": {"width": 4}}, headers=APPLY)
    assert taken["spec"] == {"width": 4, "height": 3}
    assert managers(taken) == [("two", "Apply", V2)]
    updated = await rig.ok(
        "PATCH", path("v1", "a") + "?fieldManager=three", {"spec": {"size": "5x3"}}, headers=MERGE
    )
    assert managers(updated) == [("three", "Update", V1)]


async def test_an_applier_that_changes_its_version_gives_up_fields(
    rig: Any, runner: Any, boxes: Boxes
) -> None:
    await rig.ok("PATCH", path(name="a") + "?fieldManager=one", box("a"), headers=APPLY)
    config = {"apiVersion": V1, "kind": "Box", "metadata": {"name": "a", "labels": {"l": "1"}}}
    left = await rig.ok("PATCH", path("v1", "a") + "?fieldManager=one", config, headers=APPLY)
    assert "size" not in left.get("spec", {}) and managers(left) == [("one", "Apply", V1)]


async def test_fields_that_cannot_be_compared(rig: Any, runner: Any, boxes: Boxes) -> None:
    """An update of the stored version goes on untracked without its converter, and an apply is refused."""
    await rig.ok("PATCH", path(name="a") + "?fieldManager=one", box("a"), headers=APPLY)
    boxes.fake.broken = "no converter today"
    target = path("v1", "a") + "?fieldManager=two&force=true"
    why = await rig.fail(500, "PATCH", target, {**box("a", V1), "spec": {"size": "4x4"}}, headers=APPLY)
    assert why == "failed to convert old object: no converter today"
    changed = await rig.ok("PATCH", path("v1", "a"), {"spec": {"size": "4x4"}}, headers=MERGE)
    assert changed["spec"] == {"size": "4x4"} and "managedFields" not in changed["metadata"]


class Looks(AdmissionPlugin):
    """Notes the versions of the objects that it is shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, list[str]]] = []

    def validate(self, a: AdmissionAttributes) -> None:
        if a.resource.plural == "boxes":
            shown = [obj["apiVersion"] for obj in (a.obj, a.old) if obj is not None]
            self.seen.append((a.operation, shown))


async def test_admission_sees_the_version_of_the_request(rig: Any, runner: Any, boxes: Boxes) -> None:
    looks = Looks()
    plug(rig.chain, looks)
    await rig.ok("POST", path(), box("a"))
    await rig.ok("PATCH", path(name="a"), {"spec": {"width": 4}}, headers=MERGE)
    await rig.ok("DELETE", path(name="a"))
    assert looks.seen == [("CREATE", [V2]), ("UPDATE", [V2, V2]), ("DELETE", [V2])]


async def test_fields_are_selected_in_the_stored_form(rig: Any, runner: Any, boxes: Boxes) -> None:
    await boxes.fill("a", "b")
    await rig.ok("PATCH", path("v1", "b"), {"spec": {"size": "1x1"}}, headers=MERGE)
    found = await rig.ok("GET", path("v1") + "?fieldSelector=spec.size%3D2x3")
    assert [item["metadata"]["name"] for item in found["items"]] == ["a"] and not boxes.fake.calls


async def test_fields_of_the_version_that_is_not_stored(rig: Any, runner: Any, boxes: Boxes) -> None:
    """The fields are read from the converted objects; a page is filled with what they select."""
    await boxes.fill(*"abcdef")
    for name in "bdf":
        await rig.ok("PATCH", path("v1", name), {"spec": {"size": "1x1"}}, headers=MERGE)
    boxes.fake.calls.clear()

    async def names(query: str, **headers: str) -> list[str]:
        found = await rig.ok("GET", f"{path()}?{query}", headers=headers)
        assert "remainingItemCount" not in found["metadata"]
        pages.append(found["metadata"].get("continue", ""))
        return [item["metadata"]["name"] for item in found["items"]]

    pages: list[str] = []
    assert await names("fieldSelector=spec.width%3D2") == ["a", "c", "e"]
    assert await names("fieldSelector=spec.width!%3D2") == ["b", "d", "f"]
    assert await names("fieldSelector=spec.width%3D1,metadata.name%3Dd") == ["d"]
    assert await names("fieldSelector=spec.width%3D1", **METADATA_LIST) == ["b", "d", "f"]
    assert await names("fieldSelector=spec.width%3D1&limit=2") == ["b", "d"]
    assert await names(f"fieldSelector=spec.width%3D1&limit=2&continue={pages[-1]}") == ["f"]
    assert not pages[-1]
    why = await rig.fail(400, "GET", f"{path()}?fieldSelector=spec.height%3D3")
    assert why.endswith("field label not supported: spec.height")
    await rig.ok("DELETE", f"{path()}?fieldSelector=spec.width%3D1")
    assert await names("") == ["a", "c", "e"]


async def test_a_write_meanwhile_is_noticed(rig: Any, runner: Any, boxes: Boxes) -> None:
    """A write that waits for its conversion loses to one that does not, and is made anew."""
    await boxes.fill("a")
    boxes.fake.held = True
    patched = asyncio.ensure_future(rig.ok("PATCH", path(name="a"), {"spec": {"width": 4}}, headers=MERGE))
    first = await boxes.called(1)
    await rig.ok("PATCH", path("v1", "a"), {"spec": {"size": "2x9"}}, headers=MERGE)
    boxes.fake.held = False
    first.release()
    assert (await patched)["spec"] == {"width": 4, "height": 9}
