"""Builds OpenAPI documents on demand: version 3 documents per group version, and the parts of the version 2 document.

A document depends only on the served resources and their schemas. Its hash is computed from these without
building the document, so the index of version 3 is cheap.
"""

import functools
import hashlib
import importlib.util
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pilothouse import __version__
from pilothouse.api import schema
from pilothouse.api.openapi.flavour import INSTALLED, JSON, TYPED
from pilothouse.api.openapi.paths import (
    DEFINITION,
    RESOURCE_LIST,
    Declared,
    Document,
    Kind,
    Operation,
    Parameter,
    Paths,
    document_path,
)
from pilothouse.api.openapi.structural_v2 import is_open, simplified
from pilothouse.logs import Logger

log = Logger(__name__)

V3, V2 = "#/components/schemas/", "#/definitions/"
RELEASE = "v1.36.0-local"
FRAME_V2: Document = {
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
"""The version 2 document without `paths` and `definitions`, to which all parts contribute."""

_BUILT_IN = re.compile(re.escape(DEFINITION) + r"[A-Za-z0-9.-]{1,200}")
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_API_VERSION = (
    "APIVersion defines the versioned schema of this representation of an object. Servers should convert "
    "recognized schemas to the latest internal value, and may reject unrecognized values. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources"
)
_KIND = (
    "Kind is a string value representing the REST resource this object represents. Servers may infer this "
    "from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"
)
_METADATA = (
    "Standard object's metadata. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)
_LIST_METADATA = (
    "Standard list metadata. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"
)

PLAIN_PATHS: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "api": ("APIVersions", "get available API versions", f"{_META}.APIVersions", TYPED),
    "apis": ("APIVersions", "get available API versions", f"{_META}.APIGroupList", TYPED),
    "version": (
        "CodeVersion",
        "get the version information for this server",
        "io.k8s.apimachinery.pkg.version.Info",
        (JSON,),
    ),
    ".well-known/openid-configuration": (
        "ServiceAccountIssuerOpenIDConfiguration",
        "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
        "string",
        (JSON,),
    ),
    "openid/v1/jwks": (
        "ServiceAccountIssuerOpenIDKeyset",
        "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
        "string",
        ("application/jwk-set+json",),
    ),
}


class Descriptions:
    """Descriptions of the fields of built-in kinds, if the package kubernetes-validate is installed."""

    def __init__(self) -> None:
        found = importlib.util.find_spec("kubernetes_validate")
        self._folder: Path | None = None
        if found is not None and found.origin is not None:
            folder = Path(found.origin).parent / "kubernetes-json-schema" / RELEASE
            self._folder = folder if folder.is_dir() else None

    def __bool__(self) -> bool:
        return self._folder is not None

    def of(self, name: str) -> Document:
        """The descriptions of a definition and its `properties`, as a schema without other members."""
        return _described(self._folder, name) if self._folder is not None else {}


@functools.lru_cache(maxsize=256)
def _described(folder: Path, name: str) -> Document:
    parts = name.split(".")
    short, version, group = parts[-1].lower(), parts[-2], parts[-3]
    for file in (f"{short}-{group}-{version}.json", f"{short}-{version}.json", f"{short}-{group}.json"):
        path = folder / file
        if path.is_file():
            found: Document = json.loads(path.read_bytes())
            return found
    return {}


class OpenAPI:
    """Builds the documents for the served resources.

    `versions()` lists (group, version); `resources(group, version)` returns the records served there.
    """

    def __init__(
        self,
        versions: Callable[[], Iterable[tuple[str, str]]],
        resources: Callable[[str, str], Iterable[Kind]],
    ) -> None:
        self._versions = versions
        self._resources = resources
        self._descriptions = Descriptions()
        self._held: dict[str, list[list[Kind]]] = {}
        """Document name -> the records that each builder now at work uses."""

    def names(self) -> list[str]:
        """The names of the version 3 documents: their paths without the leading slash."""
        found = dict.fromkeys(PLAIN_PATHS)
        for group, version in self._versions():
            found[f"apis/{group}/{version}" if group else f"api/{version}"] = None
            if group and f"apis/{group}" not in found and self._lists_group(group, version):
                found[f"apis/{group}"] = None
        return list(found)

    def hash(self, name: str) -> str:
        """The hash of a document: upper-case hexadecimal SHA-512; raises KeyError."""
        parts = self._parts(name)
        basis: list[Any] = [name, INSTALLED.version, __version__, bool(self._descriptions)]
        if parts is not None:
            basis += [self._basis(kind) for kind in self._resources(*parts)]
        return hashlib.sha512(json.dumps(basis, sort_keys=True).encode()).hexdigest().upper()

    def kinds(self, name: str) -> list[Kind]:
        """The resource records that a document describes; raises KeyError."""
        held = self._held.get(name)
        return held[-1] if held else self._kinds(name)

    def _kinds(self, name: str) -> list[Kind]:
        parts = self._parts(name)
        return list(self._resources(*parts)) if parts is not None else []

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Keep the current records for a document while a thread builds it; raises KeyError like `kinds`."""
        kinds = self._kinds(name)
        held = self._held.setdefault(name, [])
        held.append(kinds)
        try:
            yield
        finally:
            held.pop()
            if not held:
                self._held.pop(name, None)

    def document(self, name: str) -> Document:
        """Build a version 3 document; raises KeyError."""
        kinds = self.kinds(name)
        flavour = kinds[0].openapi if kinds else INSTALLED
        operations = self._operations(name, kinds)
        paths: Document = {}
        for operation in operations:
            _add(paths, operation, _v3_operation(operation), _v3_parameter)
        schemas = dict(self._schemas(operations, kinds))
        scheme = {
            "type": "apiKey",
            "description": "Bearer Token authentication",
            "name": "authorization",
            "in": "header",
        }
        return {
            "openapi": "3.0.0",
            "info": {"title": flavour.title, "version": flavour.version},
            "paths": paths,
            "components": {"schemas": schemas, "securitySchemes": {"BearerToken": scheme}},
        }

    def part_v2(self, name: str) -> tuple[Document, Document]:
        """The paths and definitions that a group version adds to the version 2 document; raises KeyError."""
        kinds = self.kinds(name)
        paths: Document = {}
        operations = self._operations(name, kinds)
        for operation in operations:
            _add(paths, operation, _v2_operation(operation), _v2_parameter)
        definitions = {found: _to_v2(of) for found, of in self._schemas(operations, kinds)}
        for kind in kinds:
            if kind.declared is not None:
                own = custom_name(kind.group, kind.version, kind.kind)
                definitions[own] = custom_schema_v2(kind, self._schema(kind, kind.declared))
        return paths, definitions

    def finder_v2(self) -> Callable[[str], Document | None]:
        """A function that finds a definition of version 2 by its name; for threads, it does not see later changes."""
        own = {
            custom_name(kind.group, kind.version, kind.kind): kind
            for version in self._versions()
            for kind in self._resources(*version)
            if kind.declared is not None
        }

        def find(name: str) -> Document | None:
            kind = own.get(name)
            if kind is not None and kind.declared is not None:
                return custom_schema_v2(kind, self._schema(kind, kind.declared))
            if not _BUILT_IN.fullmatch(
                name
            ):  # it may come from another server, and becomes the name of a file
                return None
            try:
                return _to_v2(_to_v3(schema.definition(name), self._descriptions.of(name)))
            except KeyError:
                return None

        return find

    def _lists_group(self, group: str, version: str) -> bool:
        return all(kind.openapi.group_paths for kind in self._resources(group, version))

    def _parts(self, name: str) -> tuple[str, str] | None:
        """Group and version of a document name; None for documents of single paths."""
        if name in PLAIN_PATHS:
            return None
        parts = name.split("/")
        if len(parts) == 2 and parts[0] == "apis" and name in self.names():
            return None
        if (parts[0], len(parts)) not in (("api", 2), ("apis", 3)):
            raise KeyError(name)
        group, version = ("", *parts[1:]) if parts[0] == "api" else parts[1:]
        if not any(self._resources(group, version)):
            raise KeyError(name)
        return group, version

    def _basis(self, kind: Kind) -> list[Any]:
        subresources = [(sub.name, sub.kind, sub.verbs) for sub in kind.subresources.values()]
        own = kind.declared.digest.hex() if kind.declared is not None else None
        return [kind.plural, kind.kind, kind.namespaced, kind.verbs, subresources, own]

    def _operations(self, name: str, kinds: list[Kind]) -> list[Operation]:
        if name in PLAIN_PATHS:
            return [document_path(f"/{name}/", *PLAIN_PATHS[name])]
        text = "get available resources"
        if not kinds:
            answer = f"{_META}.APIGroup"
            about = "get information of a group"
            return [document_path(f"/{name}/", "APIGroup", about, answer, TYPED)]
        paths = Paths(_definitions(kinds))
        operations = [op for kind in kinds for op in paths.of(kind)]
        if all(kind.openapi.group_paths for kind in kinds):
            head = document_path(f"/{name}/", "APIResources", text, RESOURCE_LIST, TYPED)
            operations.insert(0, head)
        return operations

    def _schemas(
        self, operations: Iterable[Operation], kinds: Iterable[Kind]
    ) -> Iterator[tuple[str, Document]]:
        """All definitions that the operations reference, directly or indirectly, in OpenAPI version 3."""
        own = dict(self._custom_schemas(kinds))
        yield from own.items()
        waiting = sorted({ref for op in operations for ref in (op.answer, op.body) if ref}, reverse=True)
        waiting += [ref for found in own.values() for ref in _references(found)]
        seen = set(own)
        while waiting:
            name = waiting.pop()
            if name in seen or not name.startswith(DEFINITION):
                continue
            seen.add(name)
            found = schema.definition(name)
            waiting += _references(found)
            yield name, _to_v3(found, self._descriptions.of(name))

    def _schema(self, kind: Kind, declared: Declared) -> Document:
        """A declared schema; an unreadable one is replaced by one that allows anything, so others are served."""
        try:
            return declared.document
        except Exception:
            log.exception("A schema is left out of the OpenAPI documents", kind=kind.kind)
            return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

    def _custom_schemas(self, kinds: Iterable[Kind]) -> Iterator[tuple[str, Document]]:
        for kind in kinds:
            if kind.declared is not None:
                own = custom_name(kind.group, kind.version, kind.kind)
                yield own, custom_schema(kind, self._schema(kind, kind.declared))
                yield f"{own}List", _custom_list(kind, own)


def _definitions(kinds: Iterable[Kind]) -> Callable[[str, str, str], str]:
    """Returns a function from group, version and kind to a definition's name, "" if it has none."""
    custom = {
        (k.group, k.version, kind)
        for k in kinds
        if k.declared is not None
        for kind in (k.kind, f"{k.kind}List")
    }

    def find(group: str, version: str, kind: str) -> str:
        group_version = f"{group}/{version}" if group else version
        found = schema.index()["kinds"].get(group_version, {}).get(kind)
        if found is not None:
            return str(found)
        return custom_name(group, version, kind) if (group, version, kind) in custom else ""

    return find


def custom_name(group: str, version: str, kind: str) -> str:
    """`com.example.v1.Widget`."""
    return ".".join([*reversed(group.split(".")), version, kind])


def custom_schema(kind: Kind, declared: Document) -> Document:
    """A custom resource's own schema, with the members that every object has."""
    if not declared:  # kubectl would take properties for all that there may be
        return _of_any_members(kind)
    out = _int_or_string(declared)
    out["type"] = "object"
    properties = dict(out.get("properties") or {})
    properties["apiVersion"] = {"type": "string", "description": _API_VERSION}
    properties["kind"] = {"type": "string", "description": _KIND}
    properties["metadata"] = {"allOf": [{"$ref": f"{V3}{_META}.ObjectMeta"}], "description": _METADATA}
    out["properties"] = properties
    out["x-kubernetes-group-version-kind"] = [_group_version_kind(kind, kind.kind)]
    return out


def custom_schema_v2(kind: Kind, declared: Document) -> Document:
    """The same in version 2, which says nothing of the members when others are allowed beside them.

    kubectl would refuse members that it does not find in the properties.
    """
    if is_open(declared):
        return _of_any_members(kind)
    return _to_v2(custom_schema(kind, simplified(declared)))


def _of_any_members(kind: Kind) -> Document:
    return {"type": "object", "x-kubernetes-group-version-kind": [_group_version_kind(kind, kind.kind)]}


def _custom_list(kind: Kind, own: str) -> Document:
    items = {"type": "array", "items": {"$ref": f"{V3}{own}"}, "description": f"List of {kind.plural}."}
    return {
        "description": f"{kind.kind}List is a list of {kind.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": _API_VERSION},
            "items": items,
            "kind": {"type": "string", "description": _KIND},
            "metadata": {"allOf": [{"$ref": f"{V3}{_META}.ListMeta"}], "description": _LIST_METADATA},
        },
        "x-kubernetes-group-version-kind": [_group_version_kind(kind, f"{kind.kind}List")],
    }


def _group_version_kind(kind: Kind, name: str) -> Document:
    return {"group": kind.group, "version": kind.version, "kind": name}


def _int_or_string(declared: Document) -> Document:
    """Copy a schema and describe int-or-string fields for clients that ignore the x-kubernetes extension."""
    out = dict(declared)
    if out.get("x-kubernetes-int-or-string") and not ("anyOf" in out or "allOf" in out):
        out["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), dict):
            out[key] = _int_or_string(out[key])
    if isinstance(out.get("properties"), dict):
        out["properties"] = {name: _int_or_string(member) for name, member in out["properties"].items()}
    return out


def _references(found: Document) -> list[str]:
    """The definitions that a schema references."""
    out = [found["$ref"].removeprefix(V3)] if "$ref" in found else []
    out += [entry["$ref"].removeprefix(V3) for entry in found.get("allOf", ()) if "$ref" in entry]
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            out += _references(found[key])
    for member in (found.get("properties") or {}).values():
        out += _references(member)
    return out


def _to_v3(found: Document, described: Document) -> Document:
    """A stored definition with its descriptions; references with sibling members are moved into allOf."""
    out = dict(found)
    if described.get("description"):
        out["description"] = described["description"]
    texts = described.get("properties") or {}
    if "properties" in out:
        out["properties"] = {
            name: _member(member, (texts.get(name) or {}).get("description", ""))
            for name, member in found["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), dict):
            out[key] = _element(out[key])
    return out


def _member(member: Document, description: str) -> Document:
    out = dict(member)
    if "$ref" in out:
        out["allOf"] = [{"$ref": out.pop("$ref")}]
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), dict):
            out[key] = _element(out[key])
    if description:
        out["description"] = description
    return out


def _element(element: Document) -> Document:
    """The items of a list or map; a struct defaults to an empty one."""
    if "$ref" not in element:
        return _member(element, "")
    if schema.definition(element["$ref"].removeprefix(V3)).get("type") != "object":
        return element
    return {"allOf": [{"$ref": element["$ref"]}], "default": {}}


_V2_DROPPED = ("default", "nullable", "oneOf", "anyOf", "allOf", "not")


def _to_v2(found: Document) -> Document:
    """Convert a definition to version 2, which has no defaults and no alternatives."""
    out = {key: value for key, value in found.items() if key not in _V2_DROPPED}
    if "$ref" in found:
        return {"$ref": found["$ref"].replace(V3, V2)}
    for entry in found.get("allOf", ()):
        if "$ref" in entry:
            out["$ref"] = entry["$ref"].replace(V3, V2)
    alternatives = [entry.get("type") for entry in found.get("oneOf", ())]
    if alternatives:
        out["type"] = "string"
        if "integer" in alternatives:
            out["format"] = "int-or-string"
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), dict):
            out[key] = _to_v2(out[key])
    if "properties" in out:
        out["properties"] = {name: _to_v2(member) for name, member in found["properties"].items()}
    return out


def _add(
    paths: Document, operation: Operation, written: Document, parameter: Callable[[Parameter], Document]
) -> None:
    item = paths.setdefault(operation.path, {})
    item[operation.method] = written
    if operation.path_parameters:
        item["parameters"] = [parameter(p) for p in operation.path_parameters]


def _head(operation: Operation) -> Document:
    out: Document = {
        "tags": operation.tags,
        "description": operation.description,
        "operationId": operation.id,
    }
    if operation.action:
        out["x-kubernetes-action"] = operation.action
        out["x-kubernetes-group-version-kind"] = operation.group_version_kind
    return out


_CODES = {200: "OK", 201: "Created", 202: "Accepted"}


def _value(name: str, prefix: str) -> Document:
    """A reference to a definition, or a plain type."""
    return {"type": name} if "." not in name else {"$ref": f"{prefix}{name}"}


def _v3_parameter(parameter: Parameter) -> Document:
    out: Document = {"name": parameter.name, "in": parameter.place, "description": parameter.description}
    if parameter.place == "path":
        out["required"] = True
    out["schema"] = {"type": parameter.type, "uniqueItems": True}
    return out


def _v3_operation(operation: Operation) -> Document:
    out = _head(operation)
    if operation.parameters:
        out["parameters"] = [_v3_parameter(parameter) for parameter in operation.parameters]
    if operation.body:
        value = {"schema": _value(operation.body, V3)}
        out["requestBody"] = {"content": dict.fromkeys(operation.body_types, value)}
        if operation.body_required:
            out["requestBody"]["required"] = True
    responses: Document = {}
    for code in operation.codes:
        responses[str(code)] = {"description": _CODES[code]}
        if operation.answer:
            value = {"schema": _value(operation.answer, V3)}
            responses[str(code)]["content"] = dict.fromkeys(operation.answer_types, value)
    responses["401"] = {"description": "Unauthorized"}
    out["responses"] = responses
    return out


def _v2_parameter(parameter: Parameter) -> Document:
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


def _v2_operation(operation: Operation) -> Document:
    out = _head(operation)
    out["consumes"] = list(operation.body_types)
    out["produces"] = list(operation.answer_types)
    out["schemes"] = ["https"]
    parameters = [_v2_parameter(parameter) for parameter in operation.parameters]
    if operation.body:
        body: Document = {"name": "body", "in": "body", "schema": _value(operation.body, V2)}
        if operation.body_required:
            body["required"] = True
        parameters.insert(0, body)
    if parameters:
        out["parameters"] = parameters
    responses: Document = {}
    for code in operation.codes:
        responses[str(code)] = {"description": _CODES[code]}
        if operation.answer:
            responses[str(code)]["schema"] = _value(operation.answer, V2)
    responses["401"] = {"description": "Unauthorized"}
    out["responses"] = responses
    return out
