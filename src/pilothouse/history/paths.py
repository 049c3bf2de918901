"""Paths of fields as texts: .spec.containers[0].image, .metadata.labels['app.kubernetes.io/name']."""

import re
from collections.abc import Sequence

PLAIN = re.compile(r"[A-Za-z_$][\w$-]*")
HIDDEN: tuple[tuple[str, ...], ...] = (
    ("metadata", "managedFields"),
    ("metadata", "resourceVersion"),
    ("metadata", "generation"),
)
"""Fields that the server writes with each change, and that tell nobody anything."""


def shown(path: Sequence[str | int]) -> str:
    """The text of a path."""
    out = []
    for step in path:
        if isinstance(step, int):
            out.append(f"[{step}]")
        elif PLAIN.fullmatch(step):
            out.append(f".{step}")
        else:
            quoted = step.replace("\\", "\\\\").replace("'", "\\'")
            out.append(f"['{quoted}']")
    return "".join(out) or "."


def hidden(path: Sequence[str | int]) -> bool:
    """Whether a path leads to what is left out."""
    return any(tuple(path[: len(one)]) == one for one in HIDDEN)


STEP = re.compile(r"\.([A-Za-z_$][\w$-]*)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]", re.S)


def parsed(text: str) -> tuple[str | int, ...]:
    """The path that a text shows; ValueError for another text."""
    path: list[str | int] = []
    at = 0
    while at < len(text) and text != ".":
        found = STEP.match(text, at)
        if found is None:
            raise ValueError(f"not a path of a field: {text}")
        name, number, quoted = found.groups()
        path.append(
            int(number) if number else re.sub(r"\\(.)", r"\1", quoted, flags=re.S) if name is None else name
        )
        at = found.end()
    return tuple(path)
