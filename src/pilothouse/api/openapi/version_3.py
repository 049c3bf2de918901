"""Writes operations and definitions in the form of OpenAPI version 3 (kube-openapi pkg/builder3)."""

from collections.abc import Iterable, Iterator
from typing import Any

from pilothouse.api.openapi.descriptions import Described
from pilothouse.api.openapi.flavour import Flavour
from pilothouse.api.openapi.parameters import Parameter, without
from pilothouse.api.openapi.paths import CODES, Document, Operation, by_path, path_item
from pilothouse.api.types import schema

REFERENCE = "#/components/schemas/"
_SECURITY: Document = {
    "BearerToken": {
        "type": "apiKey",
        "description": "Bearer Token authentication",
        "name": "authorization",
        "in": "header",
    }
}


def document(flavour: Flavour, operations: Iterable[Operation], schemas: Document) -> Document:
    """A whole document. Its paths and schemas are in the order of their names."""
    components: Document = {"schemas": dict(sorted(schemas.items()))}
    if flavour.security:
        components["securitySchemes"] = _SECURITY
    return {
        "openapi": "3.0.0",
        "info": {"title": flavour.title, "version": flavour.version},
        "paths": {path: path_item(found, _operation, _parameter) for path, found in by_path(operations)},
        "components": components,
    }


def _operation(operation: Operation, of_path: list[Parameter]) -> Document:
    out = operation.head()
    own = without(operation.parameters, of_path)
    if own:
        out["parameters"] = [_parameter(one) for one in own]
    if operation.body:
        out["requestBody"] = {"content": dict.fromkeys(sorted(operation.consumes), _schema(operation.body))}
        if operation.body_required:
            out["requestBody"]["required"] = True
    responses: Document = {}
    for code in operation.codes:
        responses[str(code)] = {"description": CODES[code]}
        if operation.answer:
            content = dict.fromkeys(sorted(operation.answer_types), _schema(operation.answer))
            responses[str(code)]["content"] = content
    responses["401"] = {"description": "Unauthorized"}
    out["responses"] = responses
    return out


def _schema(name: str) -> Document:
    """A reference to a definition, or a plain type."""
    return {"schema": {"type": name} if "." not in name else {"$ref": f"{REFERENCE}{name}"}}


def _parameter(parameter: Parameter) -> Document:
    out: Document = {"name": parameter.name, "in": parameter.place, "description": parameter.description}
    if parameter.place == "path":
        out["required"] = True
    out["schema"] = {"type": parameter.type, "uniqueItems": True}
    return out


def references(found: Document) -> Iterator[str]:
    """The definitions to which a schema refers."""
    if "$ref" in found:
        yield found["$ref"].removeprefix(REFERENCE)
    for entry in found.get("allOf", ()):
        if "$ref" in entry:
            yield entry["$ref"].removeprefix(REFERENCE)
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            yield from references(found[key])
    for member in (found.get("properties") or {}).values():
        yield from references(member)


def definition(found: Document, described: Described) -> Document:
    """A stored definition with its descriptions;
    references with sibling members are moved into allOf (WrapRefs)."""
    out = dict(found)
    if described.text:
        out["description"] = described.text
    if "properties" in out:
        out["properties"] = {
            name: _member(member, described.members.get(name, ""))
            for name, member in found["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), dict):
            out[key] = _element(out[key])
    return out


def _member(member: Document, description: str) -> Document:
    out = dict(member)
    if "$ref" in out and (len(out) > 1 or description):
        out["allOf"] = [{"$ref": out.pop("$ref")}]
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), dict):
            out[key] = _element(out[key])
    if description:
        out["description"] = description
    return out


def _element(element: Document) -> Any:
    """The items of a list or map; a struct defaults to an empty one."""
    if "$ref" not in element:
        return _member(element, "")
    if schema.definition(element["$ref"].removeprefix(REFERENCE)).get("type") != "object":
        return element
    return {"allOf": [{"$ref": element["$ref"]}], "default": {}}
