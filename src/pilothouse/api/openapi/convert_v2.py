"""Converts OpenAPI from version 2 to version 3,
for aggregated servers that have no other (kube-openapi openapiconv)."""

from collections.abc import Iterable
from typing import Any

from pilothouse.api.openapi.aggregate import DEFINITIONS, AggregatedDocument
from pilothouse.api.openapi.paths import Document

SCHEMAS = "#/components/schemas/"
JSON = "application/json"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_OF_SCHEMA = ("type", "format", "items", "enum", "default", "pattern", "uniqueItems", "minimum", "maximum")
"""Members of a parameter that version 3 has in its schema."""


def to_v3(part: AggregatedDocument, info: Any) -> Document:
    """The document of version 3 with the same paths and definitions."""
    return {
        "openapi": "3.0.0",
        "info": info if isinstance(info, dict) else {},
        "paths": {path: _path_item(item) for path, item in part.paths.items()},
        "components": {"schemas": {name: schema_to_v3(schema) for name, schema in part.definitions.items()}},
    }


def schema_to_v3(value: Any) -> Any:
    """A schema whose references lead to where version 3 has the definitions."""
    if isinstance(value, list):
        return [schema_to_v3(item) for item in value]
    if not isinstance(value, dict):
        return value
    out = {name: schema_to_v3(member) for name, member in value.items()}
    reference = out.get("$ref")
    if isinstance(reference, str) and reference.startswith(DEFINITIONS):
        out["$ref"] = SCHEMAS + reference.removeprefix(DEFINITIONS)
    return out


def _path_item(item: Document) -> Document:
    out: Document = {}
    for name, member in item.items():
        if name in METHODS and isinstance(member, dict):
            out[name] = _operation(member)
        elif name == "parameters":
            out[name] = [_parameter(one) for one in _dicts(member)]
        else:
            out[name] = member
    return out


def _operation(value: Document) -> Document:
    dropped = ("consumes", "produces", "schemes", "parameters", "responses")
    out = {name: member for name, member in value.items() if name not in dropped}
    parameters = list(_dicts(value.get("parameters")))
    others = [_parameter(one) for one in parameters if one.get("in") != "body"]
    if others:
        out["parameters"] = others
    for one in parameters:
        if one.get("in") == "body":
            out["requestBody"] = _body(one, _types(value.get("consumes")))
    responses = value.get("responses")
    types = _types(value.get("produces"))
    if isinstance(responses, dict):
        out["responses"] = {code: _response(one, types) for code, one in responses.items()}
    return out


def _types(value: Any) -> list[str]:
    """Media types; JSON where none are named, or any."""
    found = [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
    return [JSON if one == "*/*" else one for one in found] or [JSON]


def _body(parameter: Document, types: list[str]) -> Document:
    out: Document = {"content": _content(parameter, types)}
    for name in ("description", "required"):
        if name in parameter:
            out[name] = parameter[name]
    return out


def _content(holder: Document, types: list[str]) -> Document:
    value = {"schema": schema_to_v3(holder.get("schema"))}
    return dict.fromkeys(types, value)


def _response(value: Any, types: list[str]) -> Any:
    if not isinstance(value, dict) or "schema" not in value:
        return value
    out = {name: member for name, member in value.items() if name != "schema"}
    return {**out, "content": _content(value, types)}


def _parameter(value: Document) -> Document:
    out = {name: member for name, member in value.items() if name not in _OF_SCHEMA}
    schema = {name: schema_to_v3(value[name]) for name in _OF_SCHEMA if name in value}
    if schema:
        out["schema"] = schema
    return out


def _dicts(value: Any) -> Iterable[Document]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
