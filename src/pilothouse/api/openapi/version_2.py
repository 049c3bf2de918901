"""Writes operations and definitions in the form of OpenAPI version 2 (kube-openapi pkg/builder).

A document is joined of parts, one for each group version, and of the built-in definitions that they use. The
same parameter may stand in several parts.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pilothouse.api.openapi import version_3
from pilothouse.api.openapi.flavour import INSTALLED
from pilothouse.api.openapi.parameters import Parameter, without
from pilothouse.api.openapi.paths import CODES, Document, Operation, by_path, path_item

REFERENCE, PARAMETER = "#/definitions/", "#/parameters/"
FRAME: Document = {
    "swagger": "2.0",
    "info": {"title": INSTALLED.title, "version": INSTALLED.version},
    "securityDefinitions": {
        "BearerToken": {
            "description": "Bearer Token authentication",
            "type": "apiKey",
            "name": "authorization",
            "in": "header",
        }
    },
    "security": [{"BearerToken": []}],
}
"""The document without `paths`, `definitions` and `parameters`, to which all parts contribute."""

_OWN = ("name", "fieldValidation", "dryRun")
"""Parameters that each operation has for itself:
the first tells of a kind, kubectl looks for the others there."""


class GroupVersionDocument(NamedTuple):
    """The contribution of a group version to the document.
    `uses` names the built-in definitions that it needs."""

    paths: Document
    definitions: Document
    parameters: Document
    uses: tuple[str, ...] = ()


def part(
    operations: Iterable[Operation], definitions: Document, uses: tuple[str, ...]
) -> GroupVersionDocument:
    """The part of operations, with definitions of its own and those that it uses."""
    return deduplicated(
        {path: path_item(found, _operation, _parameter) for path, found in by_path(operations)},
        definitions,
        uses,
    )


def deduplicated(
    paths: Mapping[str, Document], definitions: Document, uses: tuple[str, ...] = ()
) -> GroupVersionDocument:
    """A part in which operations refer to parameters that others have as well (deduplicateParameters)."""
    parameters: Document = {}

    def refer(one: Document) -> Document:
        if not _is_shared(one):
            return one
        name = f"{one['name']}-{_short_hash(one)}"
        parameters[name] = one
        return {"$ref": PARAMETER + name}

    def changed(holder: Any) -> Any:
        if not isinstance(holder, dict) or not isinstance(holder.get("parameters"), list):
            return holder
        return {**holder, "parameters": [refer(one) for one in holder["parameters"]]}

    out = {
        path: {name: changed(member) for name, member in changed(item).items()}
        for path, item in paths.items()
    }
    return GroupVersionDocument(out, definitions, parameters, uses)


def _is_shared(parameter: Document) -> bool:
    place, name = parameter.get("in"), parameter.get("name")
    if not isinstance(name, str):
        return False
    if place == "body":
        reference = (parameter.get("schema") or {}).get("$ref", "")
        return name != "body" or str(reference).startswith(f"{REFERENCE}io.k8s.apimachinery")
    return place not in ("query", "path") or name not in _OWN


def _short_hash(value: Document) -> str:
    data = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
    return base64.urlsafe_b64encode(data[:6]).decode()


def _operation(operation: Operation, of_path: list[Parameter]) -> Document:
    out = operation.head()
    if operation.consumes:
        out["consumes"] = list(operation.consumes)
    out["produces"] = list(operation.answer_types)
    out["schemes"] = ["https"]
    parameters = [_parameter(one) for one in without(operation.parameters, of_path)]
    if operation.body:
        body: Document = {"name": "body", "in": "body", "schema": _schema(operation.body)}
        if operation.body_required:
            body["required"] = True
        parameters = sorted([body, *parameters], key=lambda one: str(one["name"]))
    if parameters:
        out["parameters"] = parameters
    responses: Document = {}
    for code in operation.codes:
        responses[str(code)] = {"description": CODES[code]}
        if operation.answer:
            responses[str(code)]["schema"] = _schema(operation.answer)
    responses["401"] = {"description": "Unauthorized"}
    out["responses"] = responses
    return out


def _schema(name: str) -> Document:
    """A reference to a definition, or a plain type."""
    return {"type": name} if "." not in name else {"$ref": f"{REFERENCE}{name}"}


def _parameter(parameter: Parameter) -> Document:
    out: Document = {
        "uniqueItems": True,
        "type": parameter.type,
        "description": parameter.description,
        "name": parameter.name,
        "in": parameter.place,
    }
    if parameter.place == "path":
        out["required"] = True
    return out


_DROPPED = ("default", "nullable", "oneOf", "anyOf", "allOf", "not")


def definition(found: Document) -> Document:
    """A definition of version 3 in version 2, which has no defaults and no alternatives."""
    out = {key: value for key, value in found.items() if key not in _DROPPED}
    if "$ref" in found:
        return {"$ref": found["$ref"].replace(version_3.REFERENCE, REFERENCE)}
    for entry in found.get("allOf", ()):
        if "$ref" in entry:
            out["$ref"] = entry["$ref"].replace(version_3.REFERENCE, REFERENCE)
    alternatives = [entry.get("type") for entry in found.get("oneOf", ())]
    if alternatives:
        out["type"] = "string"
        if "integer" in alternatives:
            out["format"] = "int-or-string"
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), dict):
            out[key] = definition(out[key])
    if "properties" in out:
        out["properties"] = {name: definition(member) for name, member in found["properties"].items()}
    return out
