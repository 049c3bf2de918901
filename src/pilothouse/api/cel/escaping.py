"""Names of properties as identifiers of expressions:
`__dot__`, `__namespace__` (apiserver pkg/cel/escaping.go)."""

import re

from pilothouse.api.cel.tokens import RESERVED

_SPECIAL = re.compile(r"__|[-./]|[^a-zA-Z0-9\-./_]")
_ESCAPED = re.compile(r"__[^_]+__")
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_MEANINGS = {"underscores": "__", "dot": ".", "dash": "-", "slash": "/"}
_PLAIN = re.compile(r"[a-zA-Z](?:_?[a-zA-Z0-9])*")


def escape(name: str) -> str | None:
    """The identifier for a property, None when there is none."""
    if not name or name[0] in "0123456789":
        return None
    if name in RESERVED:
        return f"__{name}__"
    if _PLAIN.fullmatch(name):
        return name
    if any(found not in _ESCAPES for found in _SPECIAL.findall(name)):
        return None
    return _SPECIAL.sub(lambda found: _ESCAPES[found.group()], name)


def unescape(identifier: str) -> str | None:
    """The property that an identifier stands for, None when it is no escaped name."""
    wrong = False

    def meaning(found: re.Match[str]) -> str:
        nonlocal wrong
        inside = found.group()[2:-2]
        if inside in _MEANINGS:
            return _MEANINGS[inside]
        if inside not in RESERVED or found.group() != identifier:
            wrong = True
        return inside

    out = _ESCAPED.sub(meaning, identifier)
    return None if wrong else out
