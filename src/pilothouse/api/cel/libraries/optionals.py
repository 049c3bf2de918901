"""Values that may be absent (cel-go cel/libraries.go optionalLib), and the map that `transformMap` builds."""

from typing import Any

from pilothouse.api.cel._cel import (
    NONE,
    Duration,
    EvaluationError,
    Optional,
    Struct,
    Timestamp,
    items_of,
    show,
)
from pilothouse.api.cel.functions import Functions, Overload, member
from pilothouse.api.cel.types import BOOL, DYN, INT, CelType, list_of, map_of, optional_of, param

_K, _V = param("K"), param("V")
_OPTIONAL, _MAP = optional_of(_V), map_of(_K, _V)
_GO_ZERO_TIME = -62135596800 * 10**9


def _of_non_zero(value: Any) -> Optional:
    if isinstance(value, Timestamp):
        return NONE if value.ns == _GO_ZERO_TIME else Optional(value)
    if isinstance(value, Duration):
        return Optional(value) if value.ns else NONE
    if isinstance(value, Struct):
        return Optional(value) if value.fields else NONE
    if value is None or isinstance(value, bool | int | float | str | bytes | list | dict):
        return Optional(value) if value else NONE
    if hasattr(value, "shape"):  # a view of a list or a map
        return Optional(value) if len(value) else NONE
    return Optional(value)


def _value(value: Optional) -> Any:
    if not value.present:
        raise EvaluationError("optional.none() dereference")
    return value.value


def _unwrap(items: Any) -> list[Any]:
    out = []
    for one in items_of(items):
        if not isinstance(one, Optional):
            raise EvaluationError(f"value {show(one)} is not optional")
        if one.present:
            out.append(one.value)
    return out


def _first(items: Any) -> Optional:
    listed = items_of(items)
    return Optional(listed[0]) if listed else NONE


def _last(items: Any) -> Optional:
    listed = items_of(items)
    return Optional(listed[-1]) if listed else NONE


FUNCTIONS: Functions = {
    "optional.of": (Overload("optional_of", (_V,), _OPTIONAL, Optional),),
    "optional.ofNonZeroValue": (Overload("optional_ofNonZeroValue", (_V,), _OPTIONAL, _of_non_zero),),
    "optional.none": (Overload("optional_none", (), _OPTIONAL, lambda: NONE),),
    "value": (member("optional_value", (_OPTIONAL,), _V, _value),),
    "hasValue": (member("optional_hasValue", (_OPTIONAL,), BOOL, lambda one: one.present),),
    "or": (member("optional_or_optional", (_OPTIONAL, _OPTIONAL), _OPTIONAL),),
    "orValue": (member("optional_orValue_value", (_OPTIONAL, _V), _V),),
    "optional.unwrap": (Overload("optional_unwrap", (list_of(_OPTIONAL),), list_of(_V), _unwrap),),
    "unwrapOpt": (member("optional_unwrapOpt", (list_of(_OPTIONAL),), list_of(_V), _unwrap),),
    "first": (member("list_first", (list_of(_V),), _OPTIONAL, _first),),
    "last": (member("list_last", (list_of(_V),), _OPTIONAL, _last),),
    "_[?_]": (
        Overload("list_optindex_optional_int", (list_of(_V), INT), _OPTIONAL),
        Overload("optional_list_optindex_optional_int", (optional_of(list_of(_V)), INT), _OPTIONAL),
        Overload("map_optindex_optional_value", (_MAP, _K), _OPTIONAL),
        Overload("optional_map_optindex_optional_value", (optional_of(_MAP), _K), _OPTIONAL),
    ),
    "_[_]": (
        Overload("optional_list_index_int", (optional_of(list_of(_V)), INT), _OPTIONAL),
        Overload("optional_map_index_value", (optional_of(_MAP), _K), _OPTIONAL),
    ),
}
MAP_INSERT: Functions = {
    "cel.@mapInsert": (
        Overload("@mapInsert_map_key_value", (_MAP, _K, _V), _MAP),
        Overload("@mapInsert_map_map", (_MAP, _MAP), _MAP),
    ),
}
TYPE_NAMES: dict[str, CelType] = {"optional_type": optional_of(DYN)}
