"""Compiled structural schemas of custom resources: pruning, dropping nulls, defaulting, and the type tree.

Upstream: apiextensions-apiserver pkg/apiserver/schema. The functions change the given object.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pilothouse.api import json
from pilothouse.api.changes.patch import copy
from pilothouse.api.structural.paths import Path, item, member, show_all
from pilothouse.api.types import schema as types
from pilothouse.api.types.schema import Field, Type
from pilothouse.api.values.fields import Object

TYPE_META = ("apiVersion", "kind", "metadata")
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
MOST_UNKNOWN = 1000
"""Unknown fields of one object that are reported to the client."""
MOST_DEFAULTED = 16 << 20
"""Bytes of JSON that defaults may add to one object, so that a small object cannot become a huge one."""


class Schema:
    """A node of a structural schema.

    type: "" where none is given. additional: the schema of further members, True or False where only that was
    said, None where nothing was. default: None where there is none; size: the bytes of its JSON. defaulted:
    the members that have one. embeds: whether embedded resources stand here or below. formatted: a string
    with a format, of which the types of managed fields know only that it is a scalar
    (kube-openapi schemaconv).
    """

    __slots__ = (
        "additional",
        "default",
        "defaulted",
        "embedded",
        "embeds",
        "formatted",
        "int_or_string",
        "items",
        "list_keys",
        "list_type",
        "map_type",
        "nullable",
        "preserve",
        "properties",
        "size",
        "type",
    )

    def __init__(self, declared: Object) -> None:
        self.type: str = declared.get("type") or ""
        self.formatted = self.type == "string" and (declared.get("format") or "byte") != "byte"
        self.nullable = bool(declared.get("nullable"))
        self.default: Any = declared.get("default")
        self.size = len(json.dump(self.default)) if self.default is not None else 0
        self.preserve = bool(declared.get("x-kubernetes-preserve-unknown-fields"))
        self.embedded = bool(declared.get("x-kubernetes-embedded-resource"))
        self.int_or_string = bool(declared.get("x-kubernetes-int-or-string"))
        self.list_type: str = declared.get("x-kubernetes-list-type") or ""
        self.list_keys: tuple[str, ...] = tuple(declared.get("x-kubernetes-list-map-keys") or ())
        self.map_type: str = declared.get("x-kubernetes-map-type") or ""
        items = declared.get("items")
        self.items = Schema(items) if isinstance(items, dict) else None
        self.properties: Mapping[str, Schema] = _NONE
        if properties := declared.get("properties"):
            self.properties = {name: Schema(below) for name, below in properties.items()}
        additional = declared.get("additionalProperties")
        self.additional: Schema | bool | None = (
            Schema(additional) if isinstance(additional, dict) else additional
        )
        self.embeds: bool = self.embedded or any(one.embeds for one in children(self))
        self.defaulted = tuple([name for name, one in self.properties.items() if one.default is not None])

    def member(self, name: str) -> "Schema | None":
        """The schema of an object's member, None if it has none."""
        found = self.properties.get(name)
        if found is None and isinstance(self.additional, Schema):
            return self.additional
        return found


_NONE: Mapping[str, Any] = {}


def compile(declared: Object) -> Schema:
    """Compile an openAPIV3Schema that api/validate/crd/definition.py has validated; prunes its defaults."""
    out = Schema(declared)
    prune_defaults(out)
    return out


# Pruning


def prune(obj: Object, schema: Schema) -> list[str]:
    """Drop fields that a resource's schema does not have; returns their sorted paths.
    Leaves metadata unchanged."""
    unknown: list[Path] = []
    _prune_object(obj, schema, None, unknown, skip=schema.preserve, embedded=True)
    return show_all(unknown)


def prune_value(value: Any, schema: Schema, *, root: bool = False) -> None:
    """Like prune() for a value inside a resource, or for a whole one if `root`."""
    if root and isinstance(value, dict):
        prune(value, schema)
    else:
        _prune(value, schema, None, [])


def _prune(value: Any, schema: Schema | None, path: Path, unknown: list[Path], *, skip: bool = False) -> None:
    """Prune a value. With `skip`, unknown members are kept,
    but known members below are pruned by their own schemas."""
    skip = schema is not None and (schema.preserve or skip)
    if isinstance(value, dict):
        _prune_object(
            value, schema, path, unknown, skip=skip, embedded=schema is not None and schema.embedded
        )
    elif isinstance(value, list):
        items = schema.items if schema is not None else None
        if items is None and skip:
            return
        for i, one in enumerate(value):
            if isinstance(one, dict | list):
                _prune(one, items, item(path, i), unknown, skip=skip)


def _prune_object(
    obj: Object, schema: Schema | None, path: Path, unknown: list[Path], *, skip: bool, embedded: bool
) -> None:
    if schema is None:
        _note(obj, path, unknown)
        obj.clear()
        return
    gone = []
    for name, value in obj.items():
        if embedded and name in TYPE_META:
            continue
        found = schema.properties.get(name)
        if found is None and schema.additional is None:
            if not skip:
                gone.append(name)
            continue
        if isinstance(value, dict | list):
            below = found if found is not None else schema.additional
            _prune(value, below if isinstance(below, Schema) else None, member(path, name), unknown)
    for name in gone:
        del obj[name]
    _note(gone if path is not None else [name for name in gone if name not in TYPE_META], path, unknown)


def _note(names: Iterable[str], path: Path, unknown: list[Path]) -> None:
    """Record unknown members, up to MOST_UNKNOWN."""
    for name in names:
        if len(unknown) >= MOST_UNKNOWN:
            return
        unknown.append(member(path, name))


def prune_defaults(schema: Schema) -> None:
    """Prune the defaults of a schema."""
    if isinstance(schema.default, dict | list):
        schema.default = copy(schema.default)
        prune_value(schema.default, schema)
    for below in children(schema):
        prune_defaults(below)


def children(schema: Schema) -> list[Schema]:
    """The schemas directly below a node."""
    out = list(schema.properties.values())
    if isinstance(schema.additional, Schema):
        out.append(schema.additional)
    if schema.items is not None:
        out.append(schema.items)
    return out


# Nulls and defaults.


def drop_nulls(value: Any, schema: Schema | None, typed: bool = True) -> None:
    """Drop nulls that are neither allowed nor replaced by a default;
    those of a type only where `typed` is set."""
    if isinstance(value, dict):
        gone = []
        for name, item in value.items():
            below = schema.member(name) if schema is not None else None
            if item is None:
                if below is None or below.nullable or below.default is not None:
                    continue
                if typed or not (below.type or below.int_or_string):
                    gone.append(name)
            elif isinstance(item, dict | list):
                drop_nulls(item, below, typed)
        for name in gone:
            del value[name]
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict | list):
                drop_nulls(item, schema.items if schema is not None else None, typed)


def default(value: Any, schema: Schema | None) -> None:
    """Set defaults for absent members and for nulls that are not allowed;
    ValueError if they are too large."""
    if schema is not None:
        _default(value, schema, [MOST_DEFAULTED])


def _default(value: Any, schema: Schema, left: list[int]) -> None:
    """`left` holds the number of bytes that defaults may still add."""
    if isinstance(value, dict):
        for name in schema.defaulted:
            below = schema.properties[name]
            if value.get(name) is None and (name not in value or not below.nullable):
                value[name] = _take(below, left)
        for name, one in value.items():
            found = schema.properties.get(name)
            if found is None and isinstance(schema.additional, Schema):
                found = schema.additional
                if one is None and not found.nullable:
                    one = value[name] = _take(found, left)
            if found is not None and isinstance(one, dict | list):
                _default(one, found, left)
    elif isinstance(value, list) and schema.items is not None:
        for i, one in enumerate(value):
            if one is None and not schema.items.nullable:
                one = value[i] = _take(schema.items, left)
            if isinstance(one, dict | list):
                _default(one, schema.items, left)


def _take(schema: Schema, left: list[int]) -> Any:
    left[0] -= schema.size + _MEMBER
    if left[0] < 0:
        raise ValueError(f"the defaults of the schema are larger than {MOST_DEFAULTED} bytes")
    return copy(schema.default)


_MEMBER = 16
"""Bytes that a member takes besides its value."""


# The type tree, for managed fields and server-side apply


def type_of(schema: Schema | None) -> Type:
    """The type of a resource with this schema:
    all members are optional; adds kind, apiVersion and metadata."""
    root = _type(schema) if schema is not None else Type("struct", preserve_unknown=True)
    if root.kind != "struct":
        root = Type("struct", preserve_unknown=True)
    _add_type_meta(root)
    return root


def _add_type_meta(type: Type) -> None:
    for name in ("apiVersion", "kind"):
        type.fields[name] = Field(name, _SCALARS["string"])
    type.fields["metadata"] = Field("metadata", types.builtin(OBJECT_META))


def _type(schema: Schema, preserve: bool = False) -> Type:
    """`preserve`: a schema above preserves unknown fields.
    All below it then do (kube-openapi schemaconv visitSpec)."""
    preserve = preserve or schema.preserve
    if schema.type == "array":
        return Type(
            "list",
            items=_type(schema.items, preserve) if schema.items is not None else None,
            list_type=schema.list_type,
            list_keys=schema.list_keys,
        )
    if schema.type == "object":
        return _object_type(schema, preserve)
    if schema.formatted:
        return _ANY_SCALAR
    return _SCALARS.get(schema.type) or _SCALARS[""]


def _object_type(schema: Schema, preserve: bool) -> Type:
    further = _type(schema.additional, preserve) if isinstance(schema.additional, Schema) else None
    if further is not None and not schema.properties:
        return Type("map", items=further, map_type=schema.map_type)
    out = Type("struct", items=further, map_type=schema.map_type, preserve_unknown=preserve)
    for name, below in schema.properties.items():
        out.fields[name] = Field(name, _type(below, preserve), default=below.default)
    if schema.embedded:
        _add_type_meta(out)
    return out


_ANY_SCALAR = Type("scalar")
_SCALARS = {
    "string": Type("string"),
    "integer": Type("int64"),
    "number": Type("number"),
    "boolean": Type("bool"),
    "": Type("any"),
}
"""Types by the `type` of a schema; one that says x-kubernetes-int-or-string has none."""


def has_rules(declared: Object) -> bool:
    """Whether rules stand anywhere in a schema, parts of `allOf` included."""
    if declared.get("x-kubernetes-validations"):
        return True
    below = [declared.get("items"), declared.get("additionalProperties"), *(declared.get("allOf") or ())]
    below += (declared.get("properties") or {}).values()
    return any(isinstance(one, dict) and has_rules(one) for one in below)
