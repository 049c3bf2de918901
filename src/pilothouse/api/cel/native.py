"""The values of expressions as JSON data (cel-go ConvertToNative, apiserver pkg/cel/mutation)."""

import base64
from collections.abc import Iterator
from typing import Any

from pilothouse._cel import (
    Duration,
    EvaluationError,
    ListView,
    Lookup,
    MapView,
    Opaque,
    Optional,
    Struct,
    Timestamp,
    TypeValue,
    UInt,
    unwrapped,
)
from pilothouse.api.cel.libraries.times import show_duration, show_timestamp


def native(value: Any) -> Any:
    """A value as JSON data, which it may share; EvaluationError for what JSON has nothing for."""
    if isinstance(value, Struct):
        return {name: native(member) for name, member in value.fields.items()}
    if isinstance(value, (MapView, ListView)):
        return unwrapped(value)
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise EvaluationError(f'map key "{key}" is not string')
        return {name: native(member) for name, member in value.items()}
    if isinstance(value, list):
        return [native(item) for item in value]
    if isinstance(value, UInt):
        return int(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Timestamp):
        return show_timestamp(value)
    if isinstance(value, Duration):
        return show_duration(value)
    if isinstance(value, (Lookup, Opaque, Optional, TypeValue)):
        raise EvaluationError(f"unsupported native conversion of {type(value).__name__}")
    return value


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
