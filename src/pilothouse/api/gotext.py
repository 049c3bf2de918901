"""JSON data as Go's fmt writes it, for the texts of errors."""

from typing import Any

TYPES: dict[type, str] = {
    bool: "bool",
    int: "int64",
    float: "float64",
    str: "string",
    list: "[]interface {}",
    dict: "map[string]interface {}",
    type(None): "<nil>",
}
"""What %T says of each type; bool, which is an int too, stands before it."""


def value(data: Any) -> str:
    """Go's %v."""
    if isinstance(data, dict):
        return f"map[{' '.join(f'{name}:{value(data[name])}' for name in sorted(data))}]"
    if isinstance(data, list):
        return f"[{' '.join(map(value, data))}]"
    if data is None:
        return "<nil>"
    return str(data).lower() if isinstance(data, bool) else str(data)


def type_name(data: Any) -> str:
    """Go's %T."""
    return next(name for kind, name in TYPES.items() if isinstance(data, kind))
