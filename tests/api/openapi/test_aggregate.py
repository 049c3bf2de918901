"""Documents of other servers: what is taken of them, and how they are merged."""

from typing import Any

import pytest
from aggregated import FLUNDER, META, PREFIX, document_v2

from pilothouse.api.openapi.aggregate import GVK, AggregatedDocument, digest, merge, part_of, read

OBJECT_META = f"{META}.ObjectMeta"
DELETE = f"{META}.DeleteOptions"


def reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/definitions/{name}"}


def path(name: str) -> dict[str, Any]:
    return {"get": {"responses": {"200": {"schema": reference(name)}}}}


def nothing(name: str) -> None:
    return None


def test_a_part_has_the_paths_of_its_group_version_and_what_they_use() -> None:
    part = part_of(document_v2(), "wardle.example.com", "v1")
    assert list(part.paths) == [f"{PREFIX}/flunders"]
    assert list(part.definitions) == [FLUNDER, OBJECT_META]
    [pretty] = part.paths[f"{PREFIX}/flunders"]["get"]["parameters"]
    assert pretty["name"] == "pretty"  # the shared parameter itself


def test_parts_of_the_core_group() -> None:
    document = {"paths": {"/api/v1/pods": path("a"), "/api/v1": {}, "/apis/v1/": {}}}
    assert list(part_of(document, "", "v1").paths) == ["/api/v1/pods"]


def test_a_path_item_has_shared_parameters_as_well() -> None:
    document = {
        "paths": {
            "/api/v1/a": {"parameters": [{"$ref": "#/parameters/p"}, {"$ref": "#/parameters/q"}], "x-a": 1}
        },
        "parameters": {"p": {"name": "p"}},
    }
    item = part_of(document, "", "v1").paths["/api/v1/a"]
    assert item == {"parameters": [{"name": "p"}, {"$ref": "#/parameters/q"}], "x-a": 1}


@pytest.mark.parametrize("data", [b"", b"[]", b"1", b"{", b'{"a":' * 300 + b"1" + b"}" * 300])
def test_what_is_no_document(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no OpenAPI document|line 1 column"):
        read(data)


@pytest.mark.parametrize(
    "document", [{"paths": []}, {"paths": {"/api/v1/a": 1}}, {"definitions": {"a": []}}, {"parameters": 1}]
)
def test_documents_that_are_malformed(document: Any) -> None:
    with pytest.raises(ValueError, match="it must be an object"):
        part_of(document, "", "v1")


def test_definitions_that_differ_get_other_names() -> None:
    own = {"T": {"type": "object"}, "T_v2": {"type": "string"}}
    part = AggregatedDocument(
        {"/a": path("Uses")},
        {
            "Uses": {"properties": {"t": reference("T"), "l": {"items": [reference("T")]}}},
            "T": {"type": "integer"},
        },
    )
    merged = merge([part], own.get)
    assert list(merged.definitions) == ["Uses", "T_v3"]
    assert merged.definitions["Uses"]["properties"] == {
        "t": reference("T_v3"),
        "l": {"items": [reference("T_v3")]},
    }
    assert merged.paths == {"/a": path("Uses")}


def test_a_new_name_is_used_again_for_an_equal_definition() -> None:
    parts = [AggregatedDocument({f"/{n}": path("T")}, {"T": {"type": "integer"}}) for n in "ab"]
    merged = merge(parts, {"T": {"type": "object"}}.get)
    assert merged.definitions == {"T_v2": {"type": "integer"}}
    assert merged.paths == {"/a": path("T_v2"), "/b": path("T_v2")}


def test_a_new_name_is_not_one_that_the_part_has() -> None:
    part = AggregatedDocument({"/a": path("T")}, {"T": {"type": "integer"}, "T_v2": {"type": "boolean"}})
    merged = merge([part], {"T": {"type": "object"}}.get)
    assert merged.definitions == {"T_v3": {"type": "integer"}, "T_v2": {"type": "boolean"}}


def test_equal_definitions_stay_one_with_the_kinds_of_both() -> None:
    kinds = [{"group": group, "version": "v1", "kind": "DeleteOptions"} for group in ("a", "c", "b")]
    own = {DELETE: {"type": "object", GVK: kinds[:2]}}
    part = AggregatedDocument({"/a": path(DELETE)}, {DELETE: {"type": "object", GVK: kinds[1:]}})
    merged = merge([part], own.get)
    assert merged.definitions == {DELETE: {"type": "object", GVK: [kinds[0], kinds[2], kinds[1]]}}
    same = AggregatedDocument({"/a": path(DELETE)}, own)
    assert merge([same], own.get).definitions[DELETE] is own[DELETE]
    bare = AggregatedDocument({"/a": path(DELETE)}, {DELETE: {"type": "object"}})
    assert merge([bare], own.get).definitions[DELETE] is own[DELETE]
    assert (
        merge([AggregatedDocument(part.paths, part.definitions)], bare.definitions.get).definitions[DELETE][
            GVK
        ]
        == kinds[1:]
    )


def test_the_first_one_has_a_path() -> None:
    first = AggregatedDocument({"/a": path("A")}, {"A": {"type": "object"}})
    second = AggregatedDocument(
        {"/a": path("B"), "/b": path("C")}, {"B": {"type": "object"}, "C": {"type": "string"}}
    )
    merged = merge([first, second], nothing)
    assert merged == AggregatedDocument(
        {"/a": path("A"), "/b": path("C")}, {"A": {"type": "object"}, "C": {"type": "string"}}
    )


def test_hashes_are_those_of_etags() -> None:
    assert digest(b'{"a":1}') == digest({"a": 1}) == digest({"a": 1}).upper()
    assert len(digest(b"")) == 128
