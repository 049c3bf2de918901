"""Makes numbers fit integer types as Go's conversion from unstructured objects does.

Upstream decodes the results of strategic merge patches and applies with runtime.DefaultUnstructuredConverter.
It assigns numbers by a plain conversion (apimachinery runtime/converter.go): an int32 keeps the low 32 bits,
and a number outside int64 was read as a float, of which amd64 makes the lowest int64.
A whole float becomes an integer. Bytes may be a list of numbers, of which each keeps the low eight bits.
"""

from base64 import b64encode
from typing import Any

from pilothouse.api.types.schema import Type

_MIN, _MAX = -(2**63), 2**63 - 1


def wrapped(value: Any, type: Type) -> Any:
    """The value with wrapped integers, and bytes as base64; others are shared with the argument."""
    if type.kind in ("int32", "int64"):
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return _wrapped_int(value, type.kind) if isinstance(value, int) and value is not True else value
    if isinstance(value, dict):
        return {name: _member(name, item, type) for name, item in value.items()}
    if isinstance(value, list) and type.kind == "list" and type.items is not None:
        return [wrapped(item, type.items) for item in value]
    if isinstance(value, list) and type.kind == "bytes":
        return _base64(value)
    return value


def _base64(items: list[Any]) -> Any:
    """The text of bytes that are a list of numbers; any other list stays."""
    numbers = [0 if item is None else item for item in items]
    for number in numbers:
        whole = number.is_integer() if isinstance(number, float) else isinstance(number, int)
        if not whole or isinstance(number, bool):
            return items
    return b64encode(bytes(_wrapped_int(int(number), "int64") & 255 for number in numbers)).decode()


def _member(name: str, value: Any, type: Type) -> Any:
    field = type.fields.get(name)
    of = field.type if field is not None else type.items if type.kind == "map" else None
    return value if of is None else wrapped(value, of)


def _wrapped_int(value: int, kind: str) -> int:
    if isinstance(value, bool):
        return value
    if not _MIN <= value <= _MAX:
        value = _MIN
    return value if kind == "int64" else (value + 2**31) % 2**32 - 2**31
