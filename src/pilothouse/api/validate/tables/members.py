"""The types of what tables of rules judge (rules.py), and the members of these types."""

from typing import NamedTuple

from pilothouse.api.types import schema
from pilothouse.api.types.schema import Type
from pilothouse.api.validate.tables.lines import TableError

ANY = Type("any")
"""The type of a value that has none in the schema: all its members are known, and may be absent."""
NUMBERS = frozenset(("int32", "int64", "number", "intorstring"))
_ZEROS = {
    "string": '""',
    "bytes": '""',
    "int32": "0",
    "int64": "0",
    "number": "0",
    "bool": "False",
    "struct": "EMPTY",
    "intorstring": "0",
    "quantity": '"0"',
}
"""Go's zero values, as the expressions of Python for them; that of other types is nil."""


class Member(NamedTuple):
    """A member of a struct. zero: the expression for its zero value; optional: it may be nil in Go."""

    type: Type
    zero: str
    optional: bool


def alternatives(names: str) -> list[str]:
    """The names of types that share a table, which `|` joins.

    A name with nothing before it is of the package, or the group version, of the first.
    """
    first, *more = names.split("|")
    before = first.rstrip("".join(set(first) - {" ", "."}))
    return [first, *(name if "." in name or " " in name else before + name for name in more)]


def named(name: str) -> Type:
    """A type by name: `batch/v1 Job` a kind, `api.core.v1.Pod` a definition, `[]api.core.v1.Taint` a list."""
    if name.startswith("[]"):
        return Type("list", items=named(name[2:]))
    group_version, space, kind = name.rpartition(" ")
    try:
        if not space:
            return schema.builtin(f"io.k8s.{name}")
        group, _, version = group_version.rpartition("/")
        return schema.for_kind(group, version, kind)
    except KeyError:
        raise TableError(f"the schema has no type {name}") from None


def name_of(type: Type) -> str:
    """The name of a type as tables have it; "" for one that is no definition, and for lists of these."""
    if type.kind == "list" and type.items is not None:
        items_ = name_of(type.items)
        return f"[]{items_}" if items_ else ""
    return type.name.removeprefix("io.k8s.")


def member(struct: Type, name: str) -> Member:
    """The member of a struct or of a map; raises TableError."""
    if struct.kind == "any":
        return Member(ANY, '""', True)
    if struct.kind == "map" and struct.items is not None:
        return _member(struct.items, False)
    field = struct.fields.get(name)
    if field is None:
        from difflib import get_close_matches

        near = get_close_matches(name, struct.fields, 1)
        hint = f"; the nearest is `{near[0]}`" if near else ""
        raise TableError(f"{struct.go or struct.kind} has no member `{name}`{hint}")
    return _member(field.type, field.pointer)


def _member(type: Type, pointer: bool) -> Member:
    zero = _ZEROS.get(type.kind)
    return Member(type, zero or "None", pointer or zero is None)


def items(listed: Type) -> Type:
    """The type of a list's items, or of a map's keys."""
    if listed.kind == "any":
        return ANY
    if listed.kind == "map":
        return Type("string")
    if listed.kind != "list" or listed.items is None:
        raise TableError(f"{listed.go or listed.kind} is no list")
    return listed.items
