"""The operators of the language, and the functions that are part of it (cel-go common/stdlib/standard.go).

Operators have no function here: the evaluator has nodes for them.
"""

from pilothouse.api.cel import estimates
from pilothouse.api.cel.functions import Estimating, Functions, Overload, member, search
from pilothouse.api.cel.libraries.equality import equality
from pilothouse.api.cel.libraries.regex import matches
from pilothouse.api.cel.types import (
    BOOL,
    BYTES,
    COMPARABLE,
    DOUBLE,
    DURATION,
    INT,
    STRING,
    TIMESTAMP,
    UINT,
    CelType,
    list_of,
    map_of,
    param,
)

A, B = param("A"), param("B")
_LIST, _MAP = list_of(A), map_of(A, B)


def _of(prefix: str, *kinds: CelType) -> tuple[Overload, ...]:
    """An operator that makes a value of two of one type."""
    return tuple(
        Overload(f"{prefix}_{one.id_name}", (one, one), one, estimate=_estimate(one, estimates.concatenated))
        for one in kinds
    )


def _comparison(prefix: str) -> tuple[Overload, ...]:
    """An operator that compares two values of one type, or two numbers."""
    mixed = (INT, DOUBLE), (INT, UINT), (UINT, DOUBLE), (UINT, INT), (DOUBLE, INT), (DOUBLE, UINT)
    return (
        *(
            Overload(f"{prefix}_{one.id_name}", (one, one), BOOL, estimate=_estimate(one, estimates.compared))
            for one in COMPARABLE
        ),
        *(Overload(f"{prefix}_{one.id_name}_{other.id_name}", (one, other), BOOL) for one, other in mixed),
    )


def _estimate(operand: CelType, walked: Estimating) -> Estimating | None:
    """The estimate for text and bytes, the default for all else."""
    return walked if operand in (STRING, BYTES) else None


FUNCTIONS: Functions = {
    "_?_:_": (Overload("conditional", (BOOL, A, A), A),),
    "_&&_": (Overload("logical_and", (BOOL, BOOL), BOOL),),
    "_||_": (Overload("logical_or", (BOOL, BOOL), BOOL),),
    "!_": (Overload("logical_not", (BOOL,), BOOL),),
    "@not_strictly_false": (Overload("not_strictly_false", (BOOL,), BOOL),),
    "_==_": (Overload("equals", (A, A), BOOL, estimate=equality),),
    "_!=_": (Overload("not_equals", (A, A), BOOL, estimate=estimates.compared),),
    "_+_": (
        *_of("add", BYTES, DOUBLE),
        Overload("add_duration_duration", (DURATION, DURATION), DURATION),
        Overload("add_duration_timestamp", (DURATION, TIMESTAMP), TIMESTAMP),
        Overload("add_timestamp_duration", (TIMESTAMP, DURATION), TIMESTAMP),
        *_of("add", INT),
        Overload("add_list", (_LIST, _LIST), _LIST, estimate=estimates.linked),
        *_of("add", STRING, UINT),
    ),
    "_-_": (
        *_of("subtract", DOUBLE),
        Overload("subtract_duration_duration", (DURATION, DURATION), DURATION),
        *_of("subtract", INT),
        Overload("subtract_timestamp_duration", (TIMESTAMP, DURATION), TIMESTAMP),
        Overload("subtract_timestamp_timestamp", (TIMESTAMP, TIMESTAMP), DURATION),
        *_of("subtract", UINT),
    ),
    "_*_": _of("multiply", DOUBLE, INT, UINT),
    "_/_": _of("divide", DOUBLE, INT, UINT),
    "_%_": _of("modulo", INT, UINT),
    "-_": (Overload("negate_double", (DOUBLE,), DOUBLE), Overload("negate_int64", (INT,), INT)),
    "_<_": _comparison("less"),
    "_<=_": _comparison("less_equals"),
    "_>_": _comparison("greater"),
    "_>=_": _comparison("greater_equals"),
    "_[_]": (Overload("index_list", (_LIST, INT), A), Overload("index_map", (_MAP, A), B)),
    "@in": (
        Overload("in_list", (A, _LIST), BOOL, estimate=estimates.listed),
        Overload("in_map", (A, _MAP), BOOL),
    ),
    "size": tuple(
        Overload(f"size_{name}" if not member else f"{name}_size", (one,), INT, member=member)
        for name, one in (("bytes", BYTES), ("list", _LIST), ("map", _MAP), ("string", STRING))
        for member in (False, True)
    ),
    "startsWith": (member("starts_with_string", (STRING, STRING), BOOL, estimate=estimates.bordered),),
    "endsWith": (member("ends_with_string", (STRING, STRING), BOOL, estimate=estimates.bordered),),
    "contains": (member("contains_string", (STRING, STRING), BOOL, estimate=estimates.contained),),
    "matches": (
        Overload("matches", (STRING, STRING), BOOL, matches),
        member("matches_string", (STRING, STRING), BOOL, matches, cost=search, estimate=estimates.matched),
    ),
}
