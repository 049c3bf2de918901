"""The type tree of a kind, used by decoding, defaulting, patching and server-side apply.

Types of built-in kinds come from the generated data in schemas/ (`builtin`), those of custom resources from
their structural schemas. A struct type is created once and shared by all its uses; lists and maps belong to
the field that contains them.
"""

import functools
import zlib
from pathlib import Path
from typing import Any

import orjson


class Type:
    """A node of the type tree.

    kind: struct (known `fields`), map (string keys, values of `items`), list (of `items`), string, int32,
    int64, number, bool, bytes (base64 text), time, microtime, duration, quantity, intorstring, scalar (of any
    type), any (arbitrary JSON), schemaor (a JSON schema, which is the struct `items`; or a bool, a list of
    schemas or a list of names). name: the OpenAPI definition's name for a struct, else "". list_type: atomic
    | set | map; list_keys: the keys of a `map` list, in order. "" counts as atomic. map_type: atomic |
    granular ("" counts as granular), for structs and maps. go: the type's name in Go, for messages about
    wrong JSON types. node: data of the compiled decoder about the type (see codec); paths: data of field sets
    (see managed); empties: the result of `empty_lists`; blank: an empty object (see managed). order: the
    members of a built-in struct in the order of its Go type.
    """

    __slots__ = (
        "blank",
        "empties",
        "fields",
        "go",
        "items",
        "kind",
        "list_keys",
        "list_type",
        "map_type",
        "name",
        "node",
        "order",
        "paths",
        "preserve_unknown",
        "rules",
    )

    def __init__(
        self,
        kind: str,
        name: str = "",
        fields: "dict[str, Field] | None" = None,
        items: "Type | None" = None,
        list_type: str = "",
        list_keys: tuple[str, ...] = (),
        map_type: str = "",
        preserve_unknown: bool = False,
        rules: Any = None,
        go: str = "",
    ) -> None:
        self.kind = kind
        self.name = name
        self.fields = fields if fields is not None else {}
        self.items = items
        self.list_type = list_type
        self.list_keys = list_keys
        self.map_type = map_type
        self.preserve_unknown = preserve_unknown
        self.rules = rules
        self.go = go
        self.node: Any = None
        self.order: tuple[str, ...] = ()
        self.paths: Any = None
        self.blank: Any = None
        self.empties: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<Type {self.kind} {self.name or self.go}>"


class Field:
    """A member of a struct.

    omit: left out of JSON if it has its zero value (Go omitempty); pointer: may be absent, and an empty value
    is kept. A field without `omit` is always written, with its zero value if it is absent; the zero value of
    a pointer, list, map or time is null. default: the schema's plain default, None if there is none or it is
    Go's zero value; declared: the same including Go zero values, which distinguish items of lists with keys.
    patch_strategy: merge | replace | retainKeys or a comma-separated pair; patch_merge_key: the key of a
    strategic-merge list. embedded: dotted names of the embedded Go structs that contain the member, "" for
    the struct's own.
    """

    __slots__ = (
        "declared",
        "default",
        "embedded",
        "name",
        "omit",
        "patch_merge_key",
        "patch_strategy",
        "pointer",
        "required",
        "type",
    )

    def __init__(
        self,
        name: str,
        type: Type,
        omit: bool = True,
        pointer: bool = False,
        default: Any = None,
        required: bool = False,
        patch_strategy: str = "",
        patch_merge_key: str = "",
        embedded: str = "",
        declared: Any = None,
    ) -> None:
        self.name = name
        self.type = type
        self.omit = omit
        self.pointer = pointer
        self.default = default
        self.required = required
        self.patch_strategy = patch_strategy
        self.patch_merge_key = patch_merge_key
        self.embedded = embedded
        self.declared = default if declared is None else declared

    def __repr__(self) -> str:
        return f"<Field {self.name}: {self.type!r}>"


# Go struct -> members that are omitted if empty, although empty and absent differ in meaning.
_EMPTY_DIFFERS = {"v1.ObjectMeta": ("managedFields",), "v2.HPAScalingRules": ("policies",)}

REFERENCE = "#/components/schemas/"

# Definitions whose JSON form differs from their Go struct, by their last two names.
_SPECIAL = {
    "resource.Quantity": "quantity",
    "intstr.IntOrString": "intorstring",
    "v1.Time": "time",
    "v1.MicroTime": "microtime",
    "v1.Patch": "any",
    "v1.FieldsV1": "any",
    "v1.JSON": "any",
    "runtime.RawExtension": "any",
    "v1.JSONSchemaPropsOrArray": "schemaor",
    "v1.JSONSchemaPropsOrBool": "schemaor",
    "v1.JSONSchemaPropsOrStringArray": "schemaor",
}
# Go's omitempty never omits structs, whatever their JSON form.
_GO_STRUCTS = {"struct", "time", "microtime", "duration", "quantity", "intorstring"}

SCHEMAS = Path(__file__).parent.with_name("schemas")
"""The folder of the release's data."""
_types: dict[str, Type] = {}
_scalars: dict[tuple[str, str], Type] = {}


def load(name: str) -> Any:
    """The parsed content of a file in schemas/; raises FileNotFoundError."""
    data = (SCHEMAS / f"{name}.z").read_bytes()
    return orjson.loads(zlib.decompress(data))


@functools.cache
def index() -> dict[str, Any]:
    """The index of all kinds, written by tools/gen_schemas.py."""
    found: dict[str, Any] = load("index")
    return found


@functools.cache
def _package(package: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = load(package.removeprefix("io.k8s."))
    except FileNotFoundError:
        raise KeyError(package) from None
    return found


def definition(name: str) -> dict[str, Any]:
    """The OpenAPI v3 definition `name` without descriptions; it is shared and must not be changed."""
    package, _, short = name.rpartition(".")
    found: dict[str, Any] = _package(package)["definitions"][short]
    return found


def definitions(group: str, version: str) -> list[str]:
    """The names of all definitions that the kinds of a group version reference, sorted."""
    group_version = f"{group}/{version}" if group else version
    waiting = list(index()["kinds"].get(group_version, {}).values())
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += _references(definition(name))
    return sorted(seen)


def _references(schema: dict[str, Any]) -> list[str]:
    found: list[str] = []
    if "$ref" in schema:
        found.append(schema["$ref"].removeprefix(REFERENCE))
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            found += _references(schema[key])
    for member in schema.get("properties", {}).values():
        found += _references(member)
    return found


def builtin(name: str) -> Type:
    """The type of a definition, for example `io.k8s.api.core.v1.Pod`; raises KeyError."""
    found = _types.get(name)
    return found if found is not None else _build(name)


def for_kind(group: str, version: str, kind: str) -> Type:
    """The type of a kind that is served or used as options; raises KeyError."""
    group_version = f"{group}/{version}" if group else version
    found = index()
    name = found["kinds"].get(group_version, {}).get(kind) or found["everywhere"].get(kind)
    if name is None:
        raise KeyError(f"{group_version} {kind}")
    return builtin(name)


def empty_lists(type: Type) -> dict[str, Any]:
    """Lists, not inside other lists or maps, for which empty and absent differ until the object is stored.

    A tree: the name of a struct -> the same of its members, the name of a list -> whether it is always
    written. Cached on the type.
    """
    if type.empties is None:
        type.empties = _empty_lists(type, ())
    return type.empties


def _empty_lists(type: Type, above: tuple[Type, ...]) -> dict[str, Any]:
    kept = _EMPTY_DIFFERS.get(type.go, ())
    found: dict[str, Any] = {}
    for name, field in type.fields.items():
        of = field.type
        if of.kind == "list" and (not field.omit or name in kept):
            found[name] = not field.omit
        elif of.kind == "struct" and of is not type and of not in above:
            below = _empty_lists(of, (*above, type))
            if below:
                found[name] = below
    return found


def _build(name: str) -> Type:
    package, _, short = name.rpartition(".")
    content = _package(package)
    schema = content["definitions"][short]
    go = ".".join(name.rsplit(".", 2)[-2:])
    special = _SPECIAL.get(go)
    made = Type(special or "struct", name, map_type=schema.get("x-kubernetes-map-type", ""), go=go)
    _types[name] = made
    if special == "schemaor":
        made.items = builtin(f"{package}.JSONSchemaProps")
    elif special is None:
        required = schema.get("required", ())
        members = {member: parts for member, *parts in content["members"][short]}
        made.order = tuple(members)
        for member, sub in schema.get("properties", {}).items():
            made.fields[member] = _field(member, sub, members.get(member, ()), member in required)
    return made


def _field(name: str, schema: dict[str, Any], parts: list[str], required: bool) -> Field:
    flags, go, embedded = (*parts, "", "", "")[:3]
    type_ = _type(schema, go)
    pointer = "p" in flags
    struct = type_.kind in _GO_STRUCTS or type_.go == "runtime.RawExtension"
    default = declared = schema.get("default")
    if not pointer and not default:
        default = None  # the value of an absent member anyway
    if type_.kind == "struct" and schema.get("x-kubernetes-map-type", type_.map_type) != type_.map_type:
        type_ = _of_map_type(type_, schema["x-kubernetes-map-type"])
    return Field(
        name,
        type_,
        omit="z" in flags or ("o" in flags and (pointer or not struct)),
        pointer=pointer,
        default=default,
        required=required,
        patch_strategy=schema.get("x-kubernetes-patch-strategy", ""),
        patch_merge_key=schema.get("x-kubernetes-patch-merge-key", ""),
        embedded=embedded,
        declared=declared,
    )


def _of_map_type(type: Type, map_type: str) -> Type:
    """The struct with this map_type, where a member overrides that of its definition."""
    made = Type(type.kind, type.name, type.fields, map_type=map_type, go=type.go)
    made.preserve_unknown, made.order = type.preserve_unknown, type.order
    return made


def _type(schema: dict[str, Any], go: str = "") -> Type:
    if "$ref" in schema:
        return builtin(schema["$ref"].removeprefix(REFERENCE))
    kind = schema.get("type", "")
    if kind == "array":
        items = _type(schema["items"], go[2:] if go.startswith("[]") else "")
        return Type(
            "list",
            items=items,
            list_type=schema.get("x-kubernetes-list-type", ""),
            list_keys=tuple(schema.get("x-kubernetes-list-map-keys", ())),
            go=go or "[]" + items.go,
        )
    if kind == "object":
        items = _type(schema["additionalProperties"], go.partition("]")[2] if go.startswith("map[") else "")
        map_type = schema.get("x-kubernetes-map-type", "")
        return Type("map", items=items, map_type=map_type, go=go or "map[string]" + items.go)
    return _scalar(kind, schema.get("format", ""), go)


def _scalar(kind: str, format: str, go: str) -> Type:
    match kind, format:
        case "string", "byte":
            key = ("bytes", go or "[]uint8")
        case "string", _:
            key = ("duration" if go.endswith(".Duration") else "string", go or "string")
        case "integer", _:
            key = (format or "int64", go or format or "int64")
        case "number", _:
            key = ("number", go or "float64")
        case "boolean", _:
            key = ("bool", go or "bool")
        case _:
            key = ("any", go)
    if key not in _scalars:
        _scalars[key] = Type(key[0], go=key[1])
    return _scalars[key]
