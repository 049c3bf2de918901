"""The values of expressions as JSON data (cel-go ConvertToNative)."""

import base64
from typing import Any

from pilothouse.api.cel._cel import (
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


def as_json(value: Any) -> Any:
    """A value as JSON data, which it may share; EvaluationError for what JSON has nothing for."""
    if isinstance(value, Struct):
        return {name: as_json(member) for name, member in value.fields.items()}
    if isinstance(value, (MapView, ListView)):
        return unwrapped(value)
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise EvaluationError(f'map key "{key}" is not string')
        return {name: as_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
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
