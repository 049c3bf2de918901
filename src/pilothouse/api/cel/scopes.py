"""The names that an expression may use: variables, its own and those of its environment, and types."""

from collections.abc import Callable, Mapping

from pilothouse.api.cel import types
from pilothouse.api.cel.ast import IdentExpr
from pilothouse.api.cel.types import CelType

Structs = Callable[[str], CelType | None]
"""The object type that a name stands for, None when it is none."""


class Scopes:
    """The names of an environment, and the variables of the macros that are being checked."""

    def __init__(
        self, variables: Mapping[str, CelType], type_names: Mapping[str, CelType], structs: Structs
    ) -> None:
        self.variables = variables
        self.type_names = type_names
        self.structs = structs
        self.inner: list[dict[str, CelType]] = []

    def lookup(self, name: str) -> CelType | None:
        """The type of a variable; of a type's name, the type of that type."""
        if name.startswith("."):
            name = name[1:]
        else:
            for scope in reversed(self.inner):
                if name in scope:
                    return scope[name]
        found = self.variables.get(name)
        if found is None and (named := self.named(name)) is not None:
            return types.type_of(named)
        return found

    def named(self, name: str) -> CelType | None:
        """The type that has a name."""
        found = self.type_names.get(name)
        return found if found is not None else self.structs(name)

    def lookup_qualified(self, name: str) -> CelType | None:
        """A dotted name of a variable or type,
        unless its first part is a variable of the expression's own."""
        first = name.split(".", 1)[0]
        if any(first in scope for scope in self.inner):
            return None
        return self.lookup(name)

    def resolve(self, expr: IdentExpr, name: str) -> None:
        """Note what a name stands for."""
        plain = name.removeprefix(".")
        local = not name.startswith(".") and any(name in scope for scope in self.inner)
        if not local and plain not in self.variables:
            named = self.named(plain)
            expr.constant = named.name if named is not None and named.kind == "struct" else plain
        expr.name = plain if not local else name
