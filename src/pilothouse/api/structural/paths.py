"""Paths of values in a custom resource, formatted only when a message needs them.

A value with a long key may have many members. Formatting the path of each would copy the key every time.
"""

from typing import Any

Path = tuple[Any, str, str | int, str] | None
"""(parent's path, text, name or index, text); None for the root."""
MOST_PATH = 128 << 10
"""Characters of a path that are formatted; an error shows fewer."""
MOST_TEXT = 1 << 20
"""Characters of all paths that are formatted for one list of unknown fields."""


def root(text: str) -> Path:
    """The path for a prefix text."""
    return (None, "", text, "") if text else None


def member(path: Path, name: str) -> Path:
    """`path.name`; at the root the name alone."""
    return (path, "." if path is not None else "", name, "")


def item(path: Path, index: int | str) -> Path:
    """`path[index]`."""
    return (path, "[", index, "]")


def show(path: Path) -> str:
    """Format a path."""
    parts: list[str] = []
    while path is not None:
        path, before, name, after = path
        parts += (after, str(name), before)
    return _join(parts)


def _join(parts: list[str]) -> str:
    """Join the parts of a path, given last part first, up to the length that an error shows."""
    out: list[str] = []
    left = MOST_PATH
    for part in reversed(parts):
        out.append(part[:left])
        left -= len(out[-1])
        if left <= 0:
            break
    return "".join(out)


def show_all(paths: list[Path]) -> list[str]:
    """Format paths, sorted; paths beyond MOST_TEXT are left out."""
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
    """A schema's path that is formatted by `f"{trail}"`, when an error needs it."""

    __slots__ = ("_around", "_text")

    def __init__(self, text: str, around: "Trail | None" = None) -> None:
        self._text = text
        self._around = around

    def below(self, text: str) -> "Trail":
        """The path with an appended text."""
        return Trail(text, self)

    def __str__(self) -> str:
        parts: list[str] = []
        trail: Trail | None = self
        while trail is not None:
            parts.append(trail._text)
            trail = trail._around
        return _join(parts)
