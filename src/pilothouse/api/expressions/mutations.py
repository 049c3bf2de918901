"""The types of what mutating policies make: apply configurations and JSON patches
(apiserver pkg/cel/mutation)."""

from collections.abc import Iterator
from typing import Any

from pilothouse.api.cel import DYN, STRING, CelType, Struct, StructField, struct

APPLY_CONFIGURATION = struct("Object", None)
JSON_PATCH_OPERATION = struct(
    "JSONPatch",
    {
        "op": StructField(STRING, "op"),
        "path": StructField(STRING, "path"),
        "from": StructField(STRING, "from"),
        "value": StructField(DYN, "value"),
    },
)


def mutation_structs(name: str) -> CelType | None:
    """`Object`, `Object.spec` and so on have any fields;
    the field by which one is reached is not checked here."""
    if name == "Object":
        return APPLY_CONFIGURATION
    if name == "JSONPatch":
        return JSON_PATCH_OPERATION
    return struct(name, None) if name.startswith("Object.") else None


def misnamed(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    """The faults in the names of objects that an expression has made: a name is the path to the object."""
    if isinstance(value, Struct):
        wanted = ".".join(path)
        if value.type_name != wanted:
            yield (
                f'unexpected type name "{value.type_name}", expected "{wanted}", which matches field name'
                " path from root Object type"
            )
        for name, member in value.fields.items():
            yield from misnamed(member, (*path, name))
    elif isinstance(value, list):
        for item in value:
            yield from misnamed(item, path)
    elif isinstance(value, dict):
        for item in value.values():
            yield from misnamed(item, path)
