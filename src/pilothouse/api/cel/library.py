"""A library: functions, macros and names of types that come together."""

from collections.abc import Iterable, Mapping

from pilothouse.api.cel.functions import Functions, merge
from pilothouse.api.cel.macros import Macros
from pilothouse.api.cel.types import CelType


class Library:
    """Functions, macros and names of types that come together."""

    __slots__ = ("functions", "macros", "type_names")

    def __init__(
        self,
        functions: Functions | None = None,
        macros: Macros | None = None,
        type_names: Mapping[str, CelType] | None = None,
    ) -> None:
        self.functions = functions or {}
        self.macros = macros or {}
        self.type_names = type_names or {}


def joined(libraries: Iterable[Library]) -> Library:
    """Several libraries as one."""
    listed = list(libraries)
    return Library(
        merge(one.functions for one in listed),
        {call: expander for one in listed for call, expander in one.macros.items()},
        {name: type for one in listed for name, type in one.type_names.items()},
    )
