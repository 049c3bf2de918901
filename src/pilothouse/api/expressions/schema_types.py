"""The types that schemas declare for expressions,
and how large their values may be (apiserver pkg/cel/common/schemas.go).

A `DeclaredType` is made from an OpenAPI schema as a definition has it. It says what the checker sees
(`type`), how values are seen when an expression reads them (`shape`),
and what the estimate of costs assumes (`most`, `min_size`).
"""

from pilothouse.api.cel import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    CelType,
    Range,
    Shape,
    Sizes,
    StructField,
    ValuePath,
    escape,
    list_of,
    map_of,
    struct,
)
from pilothouse.api.expressions import limits
from pilothouse.api.values.fields import Object

_PLAIN = Shape("plain")
_FORMATS = {
    "byte": (BYTES, Shape("bytes"), limits.MIN_STRING),
    "duration": (DURATION, Shape("duration"), limits.MIN_DURATION),
    "date": (TIMESTAMP, Shape("date"), limits.DATE),
    "date-time": (TIMESTAMP, Shape("timestamp"), limits.MIN_DATETIME),
}
_LONGEST = {"duration": limits.MAX_DURATION, "date": limits.DATE, "date-time": limits.MAX_DATETIME}
_LISTS = {"set": "set", "map": "maplist"}
_TEXT: Object = {"type": "string"}
_META: Object = {
    "kind": _TEXT,
    "apiVersion": _TEXT,
    "metadata": {"type": "object", "properties": {"name": _TEXT, "generateName": _TEXT}},
}


class DeclaredType:
    """The type of one node of a schema. most: the most items, members or characters of a value; min_size: the
    fewest bytes of its JSON; fields by the names that expressions use."""

    __slots__ = ("fields", "items", "keys", "min_size", "most", "shape", "type")

    def __init__(self, type: CelType, shape: Shape = _PLAIN, most: int = 0, min_size: int = 1) -> None:
        self.type = type
        self.shape = shape
        self.most = most
        self.min_size = min_size
        self.fields: dict[str, DeclaredType] = {}
        self.items: DeclaredType | None = None
        self.keys: DeclaredType | None = None

    def below(self, step: str) -> "DeclaredType | None":
        """The type of what a step of a path leads to, None when it is not known."""
        if step in ("@items", "@values"):
            return self.items
        return self.keys if step == "@keys" else self.fields.get(step)

    def cardinality(self) -> int:
        """How often such a value can stand in one request, at most."""
        return limits.MAX_REQUEST_BYTES // (self.min_size + 1)


def declare(schema: Object, name: str, *, root: bool = False) -> DeclaredType | None:
    """The type of a schema, None when expressions cannot see its values.

    `name` is what object types are called after, so that equal ones in different places stay different types;
    `root`: of a resource, which has kind, apiVersion and metadata whatever the schema says.
    """
    if schema.get("x-kubernetes-int-or-string"):
        most = _characters(schema) if schema.get("maxLength") is not None else limits.MAX_REQUEST_BYTES - 2
        return DeclaredType(DYN, most=most)
    if root:
        schema = {**schema, "properties": {**(schema.get("properties") or {}), **_META}}
    kind = schema.get("type") or ""
    if kind == "array":
        return _list(schema, name)
    if kind == "object":
        further = schema.get("additionalProperties")
        return _map(schema, further, name) if isinstance(further, dict) else _object(schema, name)
    if kind == "string":
        return _string(schema)
    if kind == "boolean":
        return DeclaredType(BOOL, min_size=limits.MIN_BOOL)
    if kind == "number":
        return DeclaredType(DOUBLE, Shape("double"), min_size=limits.MIN_NUMBER)
    return DeclaredType(INT, min_size=limits.MIN_NUMBER) if kind == "integer" else None


def _embedded(schema: Object) -> bool:
    return bool(schema.get("x-kubernetes-embedded-resource"))


def _list(schema: Object, name: str) -> DeclaredType | None:
    below = schema.get("items")
    items = declare(below, f"{name}.@idx", root=_embedded(below)) if isinstance(below, dict) else None
    if items is None:
        return None
    most = schema.get("maxItems")
    if most is None:
        most = (limits.MAX_REQUEST_BYTES - 2) // (items.min_size + 1)
    form = _LISTS.get(schema.get("x-kubernetes-list-type") or "", "list")
    keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
    out = DeclaredType(list_of(items.type), Shape(form, None, items.shape, keys), max(most, 0), 2)
    out.items = items
    return out


def _map(schema: Object, further: Object, name: str) -> DeclaredType | None:
    items = declare(further, f"{name}.@elem", root=_embedded(further))
    if items is None:
        return None
    most = schema.get("maxProperties")
    if most is None:
        most = (limits.MAX_REQUEST_BYTES - 2) // (items.min_size + 6)
    out = DeclaredType(map_of(STRING, items.type), Shape("map", None, items.shape), max(most, 0), 2)
    out.items = items
    out.keys = DeclaredType(STRING, min_size=limits.MIN_STRING)
    return out


def _object(schema: Object, name: str) -> DeclaredType:
    required = frozenset(schema.get("required") or ())
    size = 2
    fields: dict[str, DeclaredType] = {}
    seen: dict[str, StructField] = {}
    shapes: dict[str, Shape] = {}
    for property, below in (schema.get("properties") or {}).items():
        identifier = escape(property)
        found = declare(below, f"{name}.{identifier}", root=_embedded(below))
        if found is None:
            continue
        if identifier is not None:
            fields[identifier] = found
            seen[identifier] = StructField(found.type, property)
        if not found.shape.plain:
            shapes[property] = found.shape
        if property in required and below.get("default") is None:
            size += len(property.encode()) + found.min_size + 4
    out = DeclaredType(struct(name, seen), Shape("object", shapes), 0, size)
    out.fields = fields
    return out


def _string(schema: Object) -> DeclaredType:
    format, longest = schema.get("format") or "", schema.get("maxLength")
    if (known := _FORMATS.get(format)) is not None:
        type, shape, size = known
        most = _LONGEST.get(format, limits.MAX_REQUEST_BYTES - 2)
        if format == "byte" and longest is not None:
            most = max(longest, 0)
        return DeclaredType(type, shape, most, size)
    if longest is not None:
        most = _characters(schema)
    elif enum := schema.get("enum"):
        most = max([len(one.encode()) for one in enum if isinstance(one, str)], default=0)
    else:
        most = limits.MAX_REQUEST_BYTES - 2
    return DeclaredType(STRING, most=most, min_size=limits.MIN_STRING)


def _characters(schema: Object) -> int:
    """The bytes of a text with a maxLength: a character has up to four."""
    most: int = schema["maxLength"]
    return max(most, 0) * 4


def sizes(root: DeclaredType) -> Sizes:
    """How large what stands at a path may be;
    the path's first step is a variable that has the type `root`."""

    def size(path: ValuePath) -> Range | None:
        at: DeclaredType | None = root if path else None
        for step in path[1:]:
            if at is None:
                break
            at = at.below(step)
        return Range(0, at.most) if at is not None else None

    return size
