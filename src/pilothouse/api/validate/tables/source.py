"""The text of a table's function, while it is written (compiler.py): lines, blocks, typed variables."""

from collections.abc import Iterator
from contextlib import contextmanager

from pilothouse.api.types.schema import Type
from pilothouse.api.validate.tables import members
from pilothouse.api.validate.tables.lines import TableError

OUTER = "value"
"""The variable of what a table judges."""


class Source:
    """The lines of a function (value, path, errs, around).

    used: variable -> the name of what it is from outside. types: expression -> type; structs: (variable,
    member) -> variable, by block; lists: for each list around, the number of the line before which its loop
    begins, and how deep that is.
    """

    def __init__(self, type: Type) -> None:
        self.lines: list[str] = []
        self.used: dict[str, str] = {}
        self.types: dict[str, Type] = {OUTER: type}
        self._depth = 1
        self._count = 0
        self._structs: list[dict[tuple[str, str], str]] = [{}]
        self._lists: list[tuple[int, int]] = []

    def write(self, line: str) -> None:
        self.lines.append("    " * self._depth + line)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.write(f"{head}:")
        self._depth += 1
        self._structs.append({})
        yield
        self._structs.pop()
        self._depth -= 1

    @contextmanager
    def loop(self, head: str) -> Iterator[None]:
        """A block for each item of a list."""
        self._lists.append((len(self.lines), self._depth))
        with self.block(head):
            yield
        self._lists.pop()

    def seen(self) -> str:
        """The set of the values that a list's items have had, made before its loop."""
        before, depth = self._lists[-1]
        seen = self.new()
        self.lines.insert(before, "    " * depth + f"{seen} = set()")
        return seen

    def new(self, type: Type = members.ANY) -> str:
        """A new variable."""
        self._count += 1
        self.types[f"v{self._count}"] = type
        return f"v{self._count}"

    def outside(self, name: str) -> str:
        """The variable of a function from outside."""
        variable = "r_" + "".join(char if char.isalnum() else "_" for char in name)
        if self.used.setdefault(variable, name) != name:
            raise TableError(f"{name} and {self.used[variable]} have the same name in Python")
        return variable

    def member(self, struct: str, name: str) -> members.Member:
        """The member of what an expression stands for; raises TableError."""
        return members.member(self.types[struct], name)

    def struct(self, struct: str, name: str) -> str:
        """The variable of a struct inside another one; looked up once in each block."""
        for block in self._structs:
            if (struct, name) in block:
                return block[struct, name]
        found = self.new(self.member(struct, name).type)
        self.write(f"{found} = {struct}.get({name!r}) or EMPTY")
        self._structs[-1][struct, name] = found
        return found

    def cause(self, kind: str, at: str, rest: str) -> None:
        self.write(f"errs.{kind}({text(at)}, {rest})")


def below(path: str, member: str) -> str:
    """The template of a member's path."""
    return f"{path}.{member}" if path else member


def text(path: str) -> str:
    """The expression for a path."""
    return "path" if path == "{path}" else f'f"{path}"' if "{" in path else f'"{path}"'
