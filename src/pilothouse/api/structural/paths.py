"""Paths of values inside a custom resource, put into words only when a message needs them.

A value with a long key can have many members. Writing out the path of each of them would copy that key again and again.
"""

from typing import Any

Path = tuple[Any, str, str | int, str] | None
"""The path of what is around, a text, a name or an index, a text; None for the root."""
MOST_PATH = 128 << 10
"""Characters of a path that are written out; an error shows fewer."""
MOST_TEXT = 1 << 20
"""Characters of paths that are written out for one list of what is unknown."""


def root(text: str) -> Path:
    """The path that a text stands for."""
    return (None, "", text, "") if text else None


def member(path: Path, name: str) -> Path:
    """`path.name`, at the root the name alone."""
    return (path, "." if path is not None else "", name, "")


def item(path: Path, index: int | str) -> Path:
    """`path[index]`."""
    return (path, "[", index, "]")


def show(path: Path) -> str:
    """A path in words."""
    parts: list[str] = []
    while path is not None:
        path, before, name, after = path
        parts += (after, str(name), before)
    return _join(parts)


def _join(parts: list[str]) -> str:
    """The parts of a path, the last one first, as one text; no more of it than an error shows."""
    out: list[str] = []
    left = MOST_PATH
    for part in reversed(parts):
        out.append(part[:left])
        left -= len(out[-1])
        if left <= 0:
            break
    return "".join(out)


def show_all(paths: list[Path]) -> list[str]:
    """Paths in words, sorted; those beyond MOST_TEXT are left out."""
    out: list[str] = []
    length = 0
    for path in paths:
        out.append(show(path))
        length += len(out[-1])
        if length > MOST_TEXT:
            break
    out.sort()
    return out


class Trail:
    """A path of a schema that is put into words by `f"{trail}"`, which an error does."""

    __slots__ = ("_around", "_text")

    def __init__(self, text: str, around: "Trail | None" = None) -> None:
        self._text = text
        self._around = around

    def below(self, text: str) -> "Trail":
        """The path with a text behind it."""
        return Trail(text, self)

    def __str__(self) -> str:
        parts: list[str] = []
        trail: Trail | None = self
        while trail is not None:
            parts.append(trail._text)
            trail = trail._around
        return _join(parts)
