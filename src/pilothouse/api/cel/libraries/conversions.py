"""Conversions between types, by the names of the types (cel-go common/stdlib/standard.go)."""

from collections.abc import Callable
from typing import Any, TypeVar

from pilothouse.api.cel import estimates, sizes, types
from pilothouse.api.cel._cel import (
    INT_MAX,
    INT_MIN,
    TIME_MAX,
    TIME_MIN,
    UINT_MAX,
    Duration,
    EvaluationError,
    Timestamp,
    TypeValue,
    UInt,
    register_writers,
    show,
    type_name,
)
from pilothouse.api.cel.functions import STRING_FACTOR, Functions, Overload, walk
from pilothouse.api.cel.host import double, go_type
from pilothouse.api.cel.libraries.numbers import read_float, read_int, read_uint
from pilothouse.api.cel.libraries.times import read_duration, read_timestamp, show_duration, show_timestamp
from pilothouse.api.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    UINT,
    CelType,
    list_of,
    map_of,
    param,
    type_of,
)

register_writers(double, go_type)
_A = param("A")
_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
_Read = TypeVar("_Read")


def _read(text: str, read: Callable[[str], _Read | None], type: CelType) -> _Read:
    found = read(text)
    if found is None:
        raise EvaluationError(f"type conversion error from 'string' to '{type.runtime_name}'")
    return found


def _to_int(value: Any) -> int:
    if type(value) is str:
        return _read(value, read_int, INT)
    if isinstance(value, Duration):
        return int(value.ns)
    if isinstance(value, Timestamp):
        return int(value.ns // 10**9)
    if value > INT_MAX or (type(value) is float and not INT_MIN < value < INT_MAX):
        raise EvaluationError("integer overflow")
    return int(value)


def _to_uint(value: Any) -> UInt:
    if type(value) is str:
        return UInt(_read(value, read_uint, UINT))
    if not 0 <= value <= UINT_MAX:
        raise EvaluationError("unsigned integer overflow")
    return UInt(value)


def _to_double(value: Any) -> float:
    return _read(value, read_float, DOUBLE) if type(value) is str else float(value)


def _to_bool(value: Any) -> bool:
    return _read(value, _BOOLS.get, BOOL) if type(value) is str else bool(value)


def to_string(value: Any) -> str:
    if type(value) is bytes:
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise EvaluationError("invalid UTF-8 in bytes, cannot convert to string") from None
    if isinstance(value, Timestamp):
        return show_timestamp(value)
    if isinstance(value, Duration):
        return show_duration(value)
    return value if type(value) is str else str(show(value))


def _to_bytes(value: Any) -> bytes:
    return value.encode("utf-8", "surrogatepass") if type(value) is str else value


def to_timestamp(value: Any) -> Timestamp:
    if type(value) is str:
        return _read(value, read_timestamp, TIMESTAMP)
    if type(value) is int:
        if not TIME_MIN <= value * 10**9 <= TIME_MAX:
            raise EvaluationError("timestamp overflow")
        return Timestamp(value * 10**9)
    assert isinstance(value, Timestamp)
    return value


def to_duration(value: Any) -> Duration:
    if type(value) is str:
        return _read(value, read_duration, DURATION)
    return Duration(value) if type(value) is int else value


def _encoded(sizer: sizes.Sizer, text: sizes.Sized) -> sizes.Estimate:
    """The estimate of the bytes of a text: a character has up to four."""
    size = estimates.known(text)
    return sizes.Estimate(size.times(STRING_FACTOR), sizes.Range(size.least, min(size.most * 4, sizes.MOST)))


def _decoded(sizer: sizes.Sizer, data: sizes.Sized) -> sizes.Estimate:
    size = estimates.known(data)
    return sizes.Estimate(size.times(STRING_FACTOR), sizes.Range(size.least // 4, size.most))


def _to(result: CelType, function: Callable[[Any], Any], *kinds: CelType) -> tuple[Overload, ...]:
    return tuple(Overload(f"{one.id_name}_to_{result.id_name}", (one,), result, function) for one in kinds)


FUNCTIONS: Functions = {
    "type": (Overload("type", (_A,), type_of(_A), lambda value: TypeValue(type_name(value))),),
    "dyn": (Overload("to_dyn", (_A,), DYN, lambda value: value),),
    "bool": _to(BOOL, _to_bool, BOOL, STRING),
    "bytes": (
        *_to(BYTES, _to_bytes, BYTES),
        Overload("string_to_bytes", (STRING,), BYTES, _to_bytes, cost=walk, estimate=_encoded),
    ),
    "double": _to(DOUBLE, _to_double, DOUBLE, INT, STRING, UINT),
    "duration": _to(DURATION, to_duration, DURATION, INT, STRING),
    "int": _to(INT, _to_int, INT, DOUBLE, DURATION, STRING, TIMESTAMP, UINT),
    "string": (
        *_to(STRING, to_string, STRING, BOOL),
        Overload("bytes_to_string", (BYTES,), STRING, to_string, cost=walk, estimate=_decoded),
        *_to(STRING, to_string, DOUBLE, DURATION, INT, TIMESTAMP, UINT),
    ),
    "timestamp": _to(TIMESTAMP, to_timestamp, TIMESTAMP, INT, STRING),
    "uint": _to(UINT, _to_uint, UINT, DOUBLE, INT, STRING),
}
_NAMED = (
    *(BOOL, INT, UINT, DOUBLE, STRING, BYTES, list_of(DYN), map_of(DYN, DYN)),
    *(types.NULL, types.TYPE, TIMESTAMP, DURATION),
)
TYPE_NAMES = {one.runtime_name: one for one in _NAMED}
