"""Resolves field paths of selectable fields and CEL rules in a schema
(apiserver/schema/cel ValidFieldPath)."""

import re
from collections.abc import Iterator

import re2

from pilothouse.api.values.fields import Object

_TOKEN = re2.compile(r"(?s)'(?:[^'\\]|\\.)*'|[.\[\]]|[^.\[\]']+|.")


class PathError(ValueError):
    """A path does not exist in the schema; the message is upstream's."""


def valid_path(path: str, declared: Object, *, arrays: bool = True) -> tuple[str, Object]:
    """The normal form of a path and the schema that it leads to; raises PathError.

    `arrays` allows `['name']` besides `.name`.
    """
    tokens = (found.group() for found in _TOKEN.finditer(path))  # up to the first invalid one
    out = ""
    for token in tokens:
        if token == "[":
            if not arrays:
                raise PathError("array notation is not allowed")
            quoted = _next(tokens)
            if len(quoted) < 2 or quoted[0] != "'" or quoted[-1] != "'":
                raise PathError(f"expected single quoted string but got {quoted}")
            out, declared = _step(out, declared, re.sub(r"\\(.)", r"\1", quoted[1:-1]))
            closing = _next(tokens)
            if closing != "]":
                raise PathError(f"expected ] but got {closing}")
        elif token == ".":
            out, declared = _step(out, declared, _next(tokens))
        else:
            raise PathError(f"expected [ or . but got: {token}")
    return out, declared


def _next(tokens: Iterator[str]) -> str:
    token = next(tokens, None)
    if token is None:
        raise PathError("unexpected end of JSON path")
    return token


def _step(path: str, declared: Object, name: str) -> tuple[str, Object]:
    properties, additional = declared.get("properties"), declared.get("additionalProperties")
    if properties:
        if name not in properties:
            raise PathError("does not refer to a valid field")
        return (f"{path}.{name}" if path else name), properties[name]
    if additional is None:
        raise PathError("does not refer to a valid field")
    return f"{path}[{name}]", additional if isinstance(additional, dict) else {}
