"""A library: functions, macros and names of types that come together."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from pilothouse.api.cel.functions import Functions, merge
from pilothouse.api.cel.macros import Macros
from pilothouse.api.cel.types import CelType

_NONE: Mapping[Any, Any] = MappingProxyType({})


class Library(NamedTuple):
    """Functions, macros and names of types that come together."""

    functions: Functions = _NONE
    macros: Macros = _NONE
    type_names: Mapping[str, CelType] = _NONE


def joined(libraries: Iterable[Library]) -> Library:
    """Several libraries as one."""
    listed = list(libraries)
    return Library(
        merge(one.functions for one in listed),
        {call: expander for one in listed for call, expander in one.macros.items()},
        {name: type for one in listed for name, type in one.type_names.items()},
    )
