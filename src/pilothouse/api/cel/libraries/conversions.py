"""Conversions between types, by the names of the types (cel-go common/stdlib/standard.go)."""

from collections.abc import Callable
from typing import Any

from pilothouse._cel import (
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
from pilothouse.api.cel import estimates, sizes, types
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


def _failure(value: Any, target: str) -> EvaluationError:
    return EvaluationError(f"type conversion error from '{type_name(value)}' to '{target}'")


def to_int(value: Any) -> int:
    if type(value) is str:
        found = read_int(value)
        if found is None:
            raise _failure(value, "int")
        return found
    if isinstance(value, Duration):
        return int(value.ns)
    if isinstance(value, Timestamp):
        return int(value.ns // 10**9)
    if type(value) is float:
        if not INT_MIN < value < INT_MAX:
            raise EvaluationError("integer overflow")
        return int(value)
    if value > INT_MAX:
        raise EvaluationError("integer overflow")
    return int(value)


def to_uint(value: Any) -> UInt:
    if type(value) is str:
        found = read_uint(value)
        if found is None:
            raise _failure(value, "uint")
        return UInt(found)
    if not 0 <= value <= UINT_MAX:
        raise EvaluationError("unsigned integer overflow")
    return UInt(value)


def to_double(value: Any) -> float:
    if type(value) is str:
        found = read_float(value)
        if found is None:
            raise _failure(value, "double")
        return found
    return float(value)


_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


def to_bool(value: Any) -> bool:
    if type(value) is str:
        if value not in _TRUE and value not in _FALSE:
            raise _failure(value, "bool")
        return value in _TRUE
    return bool(value)


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


def to_bytes(value: Any) -> bytes:
    return value.encode("utf-8", "surrogatepass") if type(value) is str else value


def to_timestamp(value: Any) -> Timestamp:
    if type(value) is str:
        found = read_timestamp(value)
        if found is None:
            raise _failure(value, "google.protobuf.Timestamp")
        return found
    if type(value) is int:
        if not TIME_MIN <= value * 10**9 <= TIME_MAX:
            raise EvaluationError("timestamp overflow")
        return Timestamp(value * 10**9)
    assert isinstance(value, Timestamp)
    return value


def to_duration(value: Any) -> Duration:
    if type(value) is str:
        found = read_duration(value)
        if found is None:
            raise _failure(value, "google.protobuf.Duration")
        return found
    return Duration(value) if type(value) is int else value


def _conversion(
    function: Callable[[Any], Any], result: CelType, ids: dict[str, CelType]
) -> tuple[Overload, ...]:
    return tuple(Overload(id, (one,), result, function) for id, one in ids.items())


def _text_size(factor: int) -> Any:
    """The estimate of a conversion between text and bytes: of each character up to four bytes."""

    def estimate(sizer: sizes.Sizer, value: sizes.Sized) -> sizes.Estimate:
        size = estimates.known(value)
        result = sizes.Range(size.least, min(size.most * 4, sizes.MOST))
        if factor < 0:
            result = sizes.Range(size.least // 4, size.most)
        return sizes.Estimate(size.times(STRING_FACTOR), result)

    return estimate


FUNCTIONS: Functions = {
    "type": (Overload("type", (_A,), type_of(_A), lambda value: TypeValue(type_name(value))),),
    "dyn": (Overload("to_dyn", (_A,), DYN, lambda value: value),),
    "bool": _conversion(to_bool, BOOL, {"bool_to_bool": BOOL, "string_to_bool": STRING}),
    "bytes": (
        Overload("bytes_to_bytes", (BYTES,), BYTES, to_bytes),
        Overload("string_to_bytes", (STRING,), BYTES, to_bytes, cost=walk, estimate=_text_size(1)),
    ),
    "double": _conversion(
        to_double,
        DOUBLE,
        {
            "double_to_double": DOUBLE, "int64_to_double": INT, "string_to_double": STRING,
            "uint64_to_double": UINT,
        },
    ),
    "duration": _conversion(
        to_duration,
        DURATION,
        {"duration_to_duration": DURATION, "int64_to_duration": INT, "string_to_duration": STRING},
    ),
    "int": _conversion(
        to_int,
        INT,
        {
            "int64_to_int64": INT, "double_to_int64": DOUBLE, "duration_to_int64": DURATION,
            "string_to_int64": STRING, "timestamp_to_int64": TIMESTAMP, "uint64_to_int64": UINT,
        },
    ),
    "string": (
        Overload("string_to_string", (STRING,), STRING, to_string),
        Overload("bool_to_string", (BOOL,), STRING, to_string),
        Overload("bytes_to_string", (BYTES,), STRING, to_string, cost=walk, estimate=_text_size(-1)),
        *_conversion(
            to_string,
            STRING,
            {
                "double_to_string": DOUBLE, "duration_to_string": DURATION, "int64_to_string": INT,
                "timestamp_to_string": TIMESTAMP, "uint64_to_string": UINT,
            },
        ),
    ),
    "timestamp": _conversion(
        to_timestamp,
        TIMESTAMP,
        {"timestamp_to_timestamp": TIMESTAMP, "int64_to_timestamp": INT, "string_to_timestamp": STRING},
    ),
    "uint": _conversion(
        to_uint,
        UINT,
        {
            "uint64_to_uint64": UINT, "double_to_uint64": DOUBLE, "int64_to_uint64": INT,
            "string_to_uint64": STRING,
        },
    ),
}  # fmt: skip
TYPE_NAMES: dict[str, CelType] = {
    "bool": BOOL,
    "int": INT,
    "uint": UINT,
    "double": DOUBLE,
    "string": STRING,
    "bytes": BYTES,
    "list": list_of(DYN),
    "map": map_of(DYN, DYN),
    "null_type": types.NULL,
    "type": types.TYPE,
    "google.protobuf.Timestamp": TIMESTAMP,
    "google.protobuf.Duration": DURATION,
}
