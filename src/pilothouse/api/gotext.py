"""Formats JSON data as Go's package fmt does, for error messages."""

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
"""Python type -> Go type name for %T; bool is first because it is a subclass of int."""


def value(data: Any) -> str:
    """Format a value as Go's %v does."""
    if isinstance(data, dict):
        return f"map[{' '.join(f'{name}:{value(data[name])}' for name in sorted(data))}]"
    if isinstance(data, list):
        return f"[{' '.join(map(value, data))}]"
    if data is None:
        return "<nil>"
    return str(data).lower() if isinstance(data, bool) else str(data)


def type_name(data: Any) -> str:
    """Name a value's type as Go's %T does."""
    return next(name for kind, name in TYPES.items() if isinstance(data, kind))
