"""Strategies and merge keys that the types of a release declare for strategic merge patches,
and the words for what does not fit (apimachinery util/strategicpatch)."""

from functools import cache
from typing import Any

from pilothouse import errors, gotext
from pilothouse.api import codec
from pilothouse.api._schema import DecodeError
from pilothouse.api.changes.patch import PANIC
from pilothouse.api.types.schema import Field, Type
from pilothouse.api.values import times
from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote

__all__ = [
    "PANIC",
    "as_list",
    "as_map",
    "check_other",
    "check_scalar",
    "go_kind",
    "lookup",
    "lookup_list",
    "places",
    "reflect_kind",
    "text_of",
]

_SCALARS = {"string": "string", "bool": "bool", "int32": "int32", "int64": "int64", "number": "float64"}

_INTEGERS = frozenset(("int32", "int64", "uint8"))
_OWN = frozenset(("time", "microtime", "quantity", "duration", "intorstring"))
"""Kinds whose Go types decode themselves."""


# Lookups in the type


def lookup(type: Type, name: str) -> tuple[str, str, Type]:
    """Patch strategy, merge key and type of a member; errors.Unknown where there is none."""
    found = _strategies(type).get(name)
    if found is not None:
        return found
    if type.kind != "struct" and not type.fields and type.kind != "any":
        raise errors.Unknown(
            f"merging an object in json but data type is not struct, instead is: {go_kind(type)}"
        )
    folded = name.casefold()
    for known, strategy in _strategies(type).items():
        if known.casefold() == folded:
            return strategy
    struct = type.name.rpartition(".")[2]
    raise errors.Unknown(f"unable to find api field in struct {struct} for the json field {quote(name)}")


@cache
def _strategies(type: Type) -> dict[str, tuple[str, str, Type]]:
    """The answers of lookup() for the members, by their names."""
    return {
        name: (_strategy(field), field.patch_merge_key, field.type) for name, field in type.fields.items()
    }


def _strategy(field: Field) -> str:
    return next((text for text in field.patch_strategy.split(",") if text != "retainKeys"), "")


def lookup_list(type: Type, name: str) -> tuple[str, str, Type]:
    """Patch strategy, merge key and item type of a member that is a list; errors.Unknown."""
    strategy, key, found = lookup(type, name)
    if found.kind == "list" and found.items is not None:
        if found.items.kind == "list":
            raise errors.Unknown("unexpected slice of slice")
        return strategy, key, found.items
    if found.kind in {"bytes", "any"}:
        return strategy, key, found
    raise errors.Unknown(f"expected slice or array type, but got: {go_kind(type)}")


@cache
def places(type: Type) -> dict[str, int]:
    """The places of the members of a struct in the Go type."""
    return {name: place for place, name in enumerate(dict.fromkeys((*type.order, *type.fields)))}


# Values that do not fit


def check_scalar(value: Any, type: Type) -> None:
    """Raise ValueError for a value whose Go type cannot become a scalar of a type."""
    _check_kind(value, _SCALARS[type.kind], type.go)


def _check_kind(value: Any, want: str, named: str = "") -> None:
    """Raise ValueError for a value that cannot become a Go kind; `named` is the type of that kind."""
    have = reflect_kind(value)
    number = have in {"int64", "float64"}
    if have == want or (number and want == "float64") or (have == "int64" and want in _INTEGERS):
        return
    if have == "float64" and want in _INTEGERS:
        if value.is_integer():
            return
    elif not (have == "int64" and want == "string"):
        raise ValueError(f"unrecognized type: {want}")
    raise ValueError(f"cannot convert {have} to {named or want}")


def check_other(value: Any, type: Type) -> None:
    """Raise ValueError for what is no value of a type that reads its text itself, or of bytes."""
    if type.kind == "bytes":
        _check_bytes(value)
    elif type.kind in _OWN:
        try:
            codec.decode_value(value, type)
        except DecodeError as err:
            raise ValueError(str(err)) from None


def _check_bytes(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            if item is not None:
                _check_kind(item, "uint8")
        return
    if not isinstance(value, str):
        raise ValueError(f"cannot restore slice from {reflect_kind(value)}")
    try:
        times.base64(value)
    except ValueError as err:
        raise ValueError(f"error decoding from json: {err}") from None


def as_list(value: Any) -> list[Any]:
    """The value, which must be a list; errors.Unknown."""
    if not isinstance(value, list):
        raise errors.Unknown(f"expected a []interface {{}}, but received a {_go_type(value)}")
    return value


def as_map(value: Any) -> Object:
    """The value, which must be an object; errors.Unknown."""
    if not isinstance(value, dict):
        raise errors.Unknown(f"expected a map[string]interface {{}}, but received a {_go_type(value)}")
    return value


def text_of(value: Any) -> str:
    """A value as Go's %s writes it."""
    if isinstance(value, (str, dict, list)):
        return gotext.value(value)
    return "%!s(<nil>)" if value is None else f"%!s({_go_type(value)}={gotext.value(value)})"


def reflect_kind(value: Any) -> str:
    """The Go kind of a decoded value."""
    return "map" if isinstance(value, dict) else "slice" if isinstance(value, list) else _go_type(value)


def _go_type(value: Any) -> str:
    """The text of a value's reflected type for %s."""
    return "%!s(<nil>)" if value is None else gotext.type_name(value)


def go_kind(type: Type) -> str:
    """The Go kind of a type."""
    kinds = {"list": "slice", "bytes": "slice", "number": "float64"}
    structs = {"time", "microtime", "duration", "quantity", "intorstring", "any", "schemaor"}
    return "struct" if type.kind in structs else kinds.get(type.kind, type.kind)
