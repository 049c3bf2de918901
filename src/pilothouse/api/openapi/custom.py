"""Definitions of custom resources in OpenAPI documents
(apiextensions-apiserver pkg/controller/openapi/builder)."""

from typing import Any

from pilothouse.api.openapi import version_3
from pilothouse.api.openapi.paths import Document, OpenAPIResource
from pilothouse.api.openapi.structural_v2 import PRESERVE, is_open, simplified

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_API_VERSION = (
    "APIVersion defines the versioned schema of this representation of an object. Servers should convert "
    "recognized schemas to the latest internal value, and may reject unrecognized values. More info: "
    f"{_CONVENTIONS}#resources"
)
_KIND = (
    "Kind is a string value representing the REST resource this object represents. Servers may infer this "
    "from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: "
    f"{_CONVENTIONS}#types-kinds"
)
_EMBEDDED_API_VERSION = (
    "apiVersion defines the versioned schema of this representation of an object. More info: "
    f"{_CONVENTIONS}#resources"
)
_EMBEDDED_KIND = (
    "kind is a string value representing the type of this object. In CamelCase. More info: "
    f"{_CONVENTIONS}#types-kinds"
)
_METADATA = f"Standard object's metadata. More info: {_CONVENTIONS}#metadata"
_LIST_METADATA = f"Standard list metadata. More info: {_CONVENTIONS}#types-kinds"
_EITHER = [{"type": "integer"}, {"type": "string"}]
_EMBEDDED = "x-kubernetes-embedded-resource"


def custom_name(group: str, version: str, kind: str) -> str:
    """`com.example.v1.Widget`."""
    return ".".join([*reversed(group.split(".")), version, kind])


def custom_schema(kind: OpenAPIResource, declared: Document) -> Document:
    """A custom resource's own schema in version 3, with the members that every object has."""
    if not declared:  # kubectl would take properties for all that there may be
        return _of_any_members(kind)
    return _native(kind, _published(declared), open_has_members=True)


def custom_schema_v2(kind: OpenAPIResource, declared: Document) -> Document:
    """Like custom_schema(), for version 2, which leaves the members out when others are allowed beside them.

    kubectl would refuse members that it does not find in the properties.
    `version_2.definition` does the rest.
    """
    if is_open(declared):
        return _of_any_members(kind)
    return _native(kind, simplified(declared), open_has_members=False)


def custom_list(kind: OpenAPIResource, own: str) -> Document:
    """The schema of a list in version 3. `own` is the name of the definition of its items."""
    about = f"List of {kind.plural}. More info: {_CONVENTIONS}"
    items = {"type": "array", "items": {"$ref": f"{version_3.REFERENCE}{own}"}, "description": about}
    return {
        "description": f"{kind.list_kind} is a list of {kind.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": _API_VERSION},
            "items": items,
            "kind": {"type": "string", "description": _KIND},
            "metadata": _reference("ListMeta", _LIST_METADATA),
        },
        **_extensions(kind, kind.list_kind),
    }


def _native(kind: OpenAPIResource, out: Document, *, open_has_members: bool) -> Document:
    """Add what every object has to a schema; `open_has_members` is as in `_embed`."""
    _embed(out, open_has_members)
    properties = dict(out.get("properties") or {})
    properties["apiVersion"] = {"type": "string", "description": _API_VERSION}
    properties["kind"] = {"type": "string", "description": _KIND}
    properties["metadata"] = _reference("ObjectMeta", _METADATA)
    return {
        **out,
        "type": "object",
        "properties": dict(sorted(properties.items())),
        **_extensions(kind, kind.kind),
    }


def _of_any_members(kind: OpenAPIResource) -> Document:
    return {"type": "object", **_extensions(kind, kind.kind)}


def _extensions(kind: OpenAPIResource, name: str) -> Document:
    out: Document = {
        "x-kubernetes-group-version-kind": [{"group": kind.group, "version": kind.version, "kind": name}]
    }
    if kind.selectable_fields:
        out["x-kubernetes-selectable-fields"] = [{"fieldPath": path} for path in kind.selectable_fields]
    return out


def _reference(short: str, description: str) -> Document:
    return {"allOf": [{"$ref": f"{version_3.REFERENCE}{META}.{short}"}], "description": description}


def _published(declared: Document) -> Document:
    """A copy of a schema with its members by name,
    in which int-or-string is also said in plain OpenAPI (Unfold)."""
    out = {name: value for name, value in declared.items() if value is not None}
    if out.get("x-kubernetes-int-or-string"):
        _unfold(out)
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), dict):
            out[key] = _published(out[key])
    if isinstance(out.get("properties"), dict):
        properties = {}
        for name in sorted(out["properties"]):
            properties[name] = _published(out["properties"][name])
        out["properties"] = properties
    return out


def _unfold(out: Document) -> None:
    """Say that a value is an integer or a string,
    unless the schema says so in one of the two ways that are allowed."""
    every = out.get("allOf") or []
    if out.get("anyOf") == _EITHER or (every and every[0].get("anyOf") == _EITHER):
        return
    if out.get("anyOf"):
        out["allOf"] = [{"anyOf": _EITHER}, *every]
    else:
        out["anyOf"] = _EITHER


def _embed(out: Document, open_has_members: bool) -> None:
    """Add what every object has to the embedded ones, in place (addEmbeddedProperties).

    `open_has_members`: also to those that preserve unknown members.
    kubectl validates by version 2 and would refuse these.
    """
    below: list[Any] = [
        out.get("items"),
        out.get("additionalProperties"),
        *(out.get("properties") or {}).values(),
    ]
    for schema in below:
        if isinstance(schema, dict):
            _embed(schema, open_has_members)
    if not out.get(_EMBEDDED) or (out.get(PRESERVE) and not open_has_members):
        return
    properties = dict(out.get("properties") or {})
    properties["apiVersion"] = {"type": "string", "description": _EMBEDDED_API_VERSION}
    properties["kind"] = {"type": "string", "description": _EMBEDDED_KIND}
    properties["metadata"] = _reference("ObjectMeta", _METADATA)
    out["properties"] = dict(sorted(properties.items()))
    required = list(out.get("required") or ())
    out["required"] = required + [name for name in ("kind", "apiVersion") if name not in required]
