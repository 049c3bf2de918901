"""Documents of version 2 as version 3."""

from aggregated import FLUNDER, META, PREFIX, document_v2

from pilothouse.api.openapi.aggregate import AggregatedDocument, part_of
from pilothouse.api.openapi.convert_v2 import to_v3


def test_a_document_is_converted() -> None:
    document = document_v2()
    found = to_v3(part_of(document, "wardle.example.com", "v1"), document["info"])
    assert (found["openapi"], found["info"]) == ("3.0.0", {"title": "Wardle", "version": "v0"})
    reference = {"$ref": f"#/components/schemas/{FLUNDER}"}
    content = {"application/json": {"schema": reference}}
    item = found["paths"][f"{PREFIX}/flunders"]
    assert item["get"] == {
        "operationId": "listFlunder",
        "parameters": [{"name": "pretty", "in": "query", "schema": {"type": "string", "uniqueItems": True}}],
        "responses": {"200": {"description": "OK", "content": content}},
    }
    assert item["post"]["requestBody"] == {"content": content, "required": True}
    schemas = found["components"]["schemas"]
    meta = {"$ref": f"#/components/schemas/{META}.ObjectMeta"}
    assert schemas[FLUNDER]["properties"] == {"metadata": meta}
    assert list(schemas) == [FLUNDER, f"{META}.ObjectMeta"]


def test_what_is_odd_is_left_as_it_is() -> None:
    item = {
        "get": 1,
        "parameters": [{"name": "a", "in": "path", "required": True, "type": "string"}, 2],
        "x-b": [],
    }
    found = to_v3(
        AggregatedDocument({"/a": item, "/b": {"get": {"responses": [], "parameters": 3}}}, {}), "no info"
    )
    assert found["info"] == {}
    assert found["paths"] == {
        "/a": {
            "get": 1,
            "parameters": [{"name": "a", "in": "path", "required": True, "schema": {"type": "string"}}],
            "x-b": [],
        },
        "/b": {"get": {}},
    }
    deeper = {"get": {"responses": {"200": {"description": "OK"}, "500": 1}}}
    assert to_v3(AggregatedDocument({"/a": deeper}, {}), {})["paths"] == {"/a": deeper}
