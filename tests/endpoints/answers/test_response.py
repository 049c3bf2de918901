"""Answers in every form."""

import json
from typing import Any

import pytest
import yaml
from harness import CONFIG_MAPS, PODS, Rig, pod

TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIALS = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


async def get(rig: Rig, target: Any, accept: Any, **headers: Any) -> Any:
    return await rig.call("GET", target, headers={"Accept": accept, **headers})


async def test_yaml_says_what_json_says(rig: Rig) -> None:
    made = await rig.config_map("a", data={"k": "v", "yes": "no", "n": "1"})
    answer = await get(rig, CONFIG_MAPS + "/a", "application/yaml")
    assert answer.headers["content-type"] == "application/yaml"
    assert yaml.safe_load(answer.body) == made
    answer = await get(rig, CONFIG_MAPS, "application/yaml")
    assert yaml.safe_load(answer.body) == await rig.ok("GET", CONFIG_MAPS)


async def test_protobuf_begins_with_its_magic(rig: Rig) -> None:
    await rig.config_map("a")
    for target in (CONFIG_MAPS, CONFIG_MAPS + "/a"):
        answer = await get(rig, target, "application/vnd.kubernetes.protobuf")
        assert answer.status == 200 and answer.body.startswith(b"k8s\0")


async def test_json_is_one_line_with_its_end(rig: Rig) -> None:
    await rig.config_map("a")
    for target in (CONFIG_MAPS, CONFIG_MAPS + "/a", CONFIG_MAPS + "/none"):
        body = rig.handle("GET", target).body
        body = body if isinstance(body, bytes) else b"".join(body)
        assert body.count(b"\n") == 1 and body.endswith(b"}\n"), target


async def test_indented_json(rig: Rig) -> None:
    await rig.config_map("a")
    plain = rig.handle("GET", CONFIG_MAPS + "/a").body
    pretty = rig.handle("GET", CONFIG_MAPS + "/a?pretty=true").body
    assert pretty.startswith(b"{\n  ") and pretty.endswith(b"\n}") and json.loads(pretty) == json.loads(plain)
    listed = rig.handle("GET", CONFIG_MAPS + "?pretty=1").body
    assert b"\n  " in listed


async def test_a_table_of_a_list(rig: Rig) -> None:
    await rig.config_map("a", data={"k": "v"})
    await rig.config_map("b")
    answer = await get(rig, CONFIG_MAPS, TABLE)
    table = answer.body
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert table["metadata"]["resourceVersion"] == str(rig.storage.revision)
    assert [r["cells"][:2] for r in table["rows"]] == [["a", 1], ["b", 0]]
    assert [r["object"]["kind"] for r in table["rows"]] == ["PartialObjectMetadata"] * 2


@pytest.mark.parametrize(
    ("include", "kind"), [("Metadata", "PartialObjectMetadata"), ("Object", "ConfigMap"), ("None", None)]
)
async def test_what_rows_carry(rig: Rig, include: str, kind: str | None) -> None:
    await rig.config_map("a")
    for target in (CONFIG_MAPS, CONFIG_MAPS + "/a"):
        answer = await get(rig, f"{target}?includeObject={include}", TABLE)
        (row,) = answer.body["rows"]
        assert (row.get("object") or {}).get("kind") == kind
    answer = await get(rig, CONFIG_MAPS + "?includeObject=x", TABLE)
    assert answer.status == 400 and "must be 'Metadata', 'Object', 'None', or empty" in answer.body["message"]
    partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    assert (await get(rig, CONFIG_MAPS + "?includeObject=x", partial)).status == 200


async def test_pages_of_a_table(rig: Rig) -> None:
    for name in "abc":
        await rig.config_map(name)
    answer = await get(rig, CONFIG_MAPS + "?limit=2", TABLE)
    assert len(answer.body["rows"]) == 2 and answer.body["metadata"]["remainingItemCount"] == 1
    token = answer.body["metadata"]["continue"]
    answer = await get(rig, f"{CONFIG_MAPS}?limit=2&continue={token}", TABLE)
    assert [r["cells"][0] for r in answer.body["rows"]] == ["c"]


async def test_metadata_alone(rig: Rig) -> None:
    made = await rig.config_map("a", data={"k": "v"})
    answer = await get(rig, CONFIG_MAPS + "/a", PARTIAL)
    assert answer.body == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": made["metadata"],
    }
    answer = await get(rig, CONFIG_MAPS, PARTIALS)
    assert answer.body["kind"] == "PartialObjectMetadataList"
    assert answer.body["items"][0]["metadata"] == made["metadata"]


async def test_forms_that_do_not_fit(rig: Rig) -> None:
    await rig.config_map("a")
    answer = await get(rig, CONFIG_MAPS, PARTIAL)
    assert (answer.status, answer.body["reason"]) == (406, "NotAcceptable")
    assert answer.body["message"].startswith(
        "you requested PartialObjectMetadata, but the requested object is a list (*"
    )
    answer = await get(rig, CONFIG_MAPS + "/a", PARTIALS)
    assert answer.status == 406 and "is not a list (*" in answer.body["message"]


async def test_the_next_form_counts_where_the_first_is_none(rig: Rig) -> None:
    await rig.config_map("a")
    answer = await get(rig, CONFIG_MAPS + "/a", "text/html, application/json")
    assert answer.status == 200 and answer.body["kind"] == "ConfigMap"


async def test_an_error_is_no_table(rig: Rig) -> None:
    answer = await get(rig, CONFIG_MAPS + "/none", TABLE)
    assert (answer.status, answer.body["kind"]) == (404, "Status")
    answer = await get(rig, CONFIG_MAPS + "/none", "application/yaml")
    assert yaml.safe_load(answer.body)["reason"] == "NotFound"


async def test_items_of_a_deleted_collection_in_every_form(rig: Rig) -> None:
    await rig.config_map("a")
    answer = await rig.call("DELETE", CONFIG_MAPS, headers={"Accept": TABLE})
    assert [r["cells"][0] for r in answer.body["rows"]] == ["a"]


async def test_warnings_become_headers(rig: Rig) -> None:
    obj = {**pod("a"), 'b"\\c': 1}
    response = rig.handle("POST", PODS, obj)
    (header,) = [value for name, value in response.headers if name == "Warning"]
    assert header == '299 - "unknown field \\"b\\\\\\"\\\\\\\\c\\""'


async def test_lists_of_another_version(rig: Rig) -> None:
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}, "maxReplicas": 3}
    path = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
    await rig.ok("POST", path.format("v2"), {"metadata": {"name": "h"}, "spec": spec})
    listed = await rig.ok("GET", path.format("v1"))
    assert (listed["kind"], listed["apiVersion"]) == ("HorizontalPodAutoscalerList", "autoscaling/v1")
    assert "metrics" not in listed["items"][0]["spec"] and "kind" not in listed["items"][0]


async def test_what_is_written_in_unicode_is_answered_so(rig: Rig) -> None:
    made = await rig.config_map("a", data={"k": "ä<&>\u2028😀"})
    assert made["data"] == {"k": "ä<&>\u2028😀"}
    assert await rig.ok("GET", CONFIG_MAPS + "/a") == made
