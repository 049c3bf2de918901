"""The types that schemas declare for expressions,
and how large their values may be (apiserver pkg/cel/common/schemas.go).

A `Declared` is made from an OpenAPI schema as a definition has it. It says what the checker sees (`type`),
how values are seen when an expression reads them (`shape`),
and what the estimate of costs assumes (`most`, `min_size`).
"""

from pilothouse._cel import Shape
from pilothouse.api.cel import limits, types
from pilothouse.api.cel.escaping import escape
from pilothouse.api.cel.sizes import Path, Range, Sizes
from pilothouse.api.cel.types import Field, Type
from pilothouse.api.values.fields import Object

_PLAIN = Shape("plain")
_FORMATS = {
    "byte": (types.BYTES, Shape("bytes"), limits.MIN_STRING),
    "duration": (types.DURATION, Shape("duration"), limits.MIN_DURATION),
    "date": (types.TIMESTAMP, Shape("date"), limits.DATE),
    "date-time": (types.TIMESTAMP, Shape("timestamp"), limits.MIN_DATETIME),
}
_LONGEST = {"duration": limits.MAX_DURATION, "date": limits.DATE, "date-time": limits.MAX_DATETIME}
_LISTS = {"set": "set", "map": "maplist"}
_TEXT: Object = {"type": "string"}
_META: Object = {
    "kind": _TEXT,
    "apiVersion": _TEXT,
    "metadata": {"type": "object", "properties": {"name": _TEXT, "generateName": _TEXT}},
}


class Declared:
    """The type of one node of a schema. most: the most items, members or characters of a value; min_size: the
    fewest bytes of its JSON; fields by the names that expressions use."""

    __slots__ = ("fields", "items", "keys", "min_size", "most", "shape", "type")

    def __init__(self, type: Type, shape: Shape = _PLAIN, most: int = 0, min_size: int = 1) -> None:
        self.type = type
        self.shape = shape
        self.most = most
        self.min_size = min_size
        self.fields: dict[str, Declared] = {}
        self.items: Declared | None = None
        self.keys: Declared | None = None

    def cardinality(self) -> int:
        """How often such a value can stand in one request, at most."""
        return limits.MAX_REQUEST_BYTES // (self.min_size + 1)


def declare(schema: Object, name: str, *, root: bool = False) -> Declared | None:
    """The type of a schema, None when expressions cannot see its values.

    `name` is what object types are called after, so that equal ones in different places stay different types;
    `root`: of a resource, which has kind, apiVersion and metadata whatever the schema says.
    """
    if schema.get("x-kubernetes-int-or-string"):
        most = _characters(schema) if schema.get("maxLength") is not None else limits.MAX_REQUEST_BYTES - 2
        return Declared(types.DYN, most=most)
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
        return Declared(types.BOOL, min_size=limits.MIN_BOOL)
    if kind == "number":
        return Declared(types.DOUBLE, Shape("double"), min_size=limits.MIN_NUMBER)
    return Declared(types.INT, min_size=limits.MIN_NUMBER) if kind == "integer" else None


def _embedded(schema: Object) -> bool:
    return bool(schema.get("x-kubernetes-embedded-resource"))


def _list(schema: Object, name: str) -> Declared | None:
    below = schema.get("items")
    items = declare(below, f"{name}.@idx", root=_embedded(below)) if isinstance(below, dict) else None
    if items is None:
        return None
    most = schema.get("maxItems")
    if most is None:
        most = (limits.MAX_REQUEST_BYTES - 2) // (items.min_size + 1)
    form = _LISTS.get(schema.get("x-kubernetes-list-type") or "", "list")
    keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
    out = Declared(types.list_of(items.type), Shape(form, None, items.shape, keys), max(most, 0), 2)
    out.items = items
    return out


def _map(schema: Object, further: Object, name: str) -> Declared | None:
    items = declare(further, f"{name}.@elem", root=_embedded(further))
    if items is None:
        return None
    most = schema.get("maxProperties")
    if most is None:
        most = (limits.MAX_REQUEST_BYTES - 2) // (items.min_size + 6)
    out = Declared(types.map_of(types.STRING, items.type), Shape("map", None, items.shape), max(most, 0), 2)
    out.items = items
    out.keys = Declared(types.STRING, min_size=limits.MIN_STRING)
    return out


def _object(schema: Object, name: str) -> Declared:
    required = frozenset(schema.get("required") or ())
    size = 2
    fields: dict[str, Declared] = {}
    seen: dict[str, Field] = {}
    shapes: dict[str, Shape] = {}
    for property, below in (schema.get("properties") or {}).items():
        identifier = escape(property)
        found = declare(below, f"{name}.{identifier}", root=_embedded(below))
        if found is None:
            continue
        if identifier is not None:
            fields[identifier] = found
            seen[identifier] = Field(found.type, property)
        if not found.shape.plain:
            shapes[property] = found.shape
        if property in required and below.get("default") is None:
            size += len(property.encode()) + found.min_size + 4
    out = Declared(types.struct(name, seen), Shape("object", shapes), 0, size)
    out.fields = fields
    return out


def _string(schema: Object) -> Declared:
    format, longest = schema.get("format") or "", schema.get("maxLength")
    if (known := _FORMATS.get(format)) is not None:
        type, shape, size = known
        most = _LONGEST.get(format, limits.MAX_REQUEST_BYTES - 2)
        if format == "byte" and longest is not None:
            most = max(longest, 0)
        return Declared(type, shape, most, size)
    if longest is not None:
        most = _characters(schema)
    elif enum := schema.get("enum"):
        most = max([len(one.encode()) for one in enum if isinstance(one, str)], default=0)
    else:
        most = limits.MAX_REQUEST_BYTES - 2
    return Declared(types.STRING, most=most, min_size=limits.MIN_STRING)


def _characters(schema: Object) -> int:
    """The bytes of a text with a maxLength: a character has up to four."""
    most: int = schema["maxLength"]
    return max(most, 0) * 4


def sizes(root: Declared) -> Sizes:
    """How large what stands at a path may be;
    the path's first step is a variable that has the type `root`."""

    def size(path: Path) -> Range | None:
        if not path:
            return None
        at: Declared | None = root
        for step in path[1:]:
            assert at is not None
            if step in ("@items", "@values"):
                at = at.items
            elif step == "@keys":
                at = at.keys
            else:
                at = at.fields.get(step)
            if at is None:
                return None
        assert at is not None
        return Range(0, at.most)

    return size
