"""The types of expressions for the objects of a kind,
as far as its schema tells them (apiserver pkg/cel/common SchemaDeclType)."""

from pilothouse.api.cel import (
    BOOL,
    BYTES,
    DOUBLE,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    CelType,
    StructField,
    escape,
    list_of,
    map_of,
    struct,
)
from pilothouse.api.types import schema

_PLAIN = {
    "string": STRING,
    "int32": INT,
    "int64": INT,
    "number": DOUBLE,
    "bool": BOOL,
    "bytes": BYTES,
    "time": TIMESTAMP,
    "microtime": TIMESTAMP,
    "duration": STRING,
    "quantity": STRING,
}


def declared(of: schema.Type) -> CelType:
    """The type of an object; what its schema leaves open is dyn."""
    return _declared(of, {})


def _declared(of: schema.Type, known: dict[int, CelType]) -> CelType:
    plain = _PLAIN.get(of.kind)
    if plain is not None:
        return plain
    if of.kind == "list" and of.items is not None:
        return list_of(_declared(of.items, known))
    if of.kind == "map" and of.items is not None:
        return map_of(STRING, _declared(of.items, known))
    if of.kind != "struct" or of.preserve_unknown or not of.fields:
        return DYN
    found = known.get(id(of))
    if found is None:
        fields: dict[str, StructField] = {}
        found = known[id(of)] = struct(of.name or f"object{len(known)}", fields)
        for name, field in of.fields.items():
            fields[escape(name) or name] = StructField(_declared(field.type, known), name)
    return found
