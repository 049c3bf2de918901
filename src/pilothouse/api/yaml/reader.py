"""Reads the JSON subset of YAML that the API accepts, as sigs.k8s.io/yaml converts it to JSON.

Events of libyaml's parser are converted to plain values one by one without a node tree, so that reading takes
little more memory than the resulting value.
"""

from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from pilothouse.api.types.depth import MAX_DEPTH
from pilothouse.api.yaml.scalars import YAMLError, key_text, resolve

__all__ = ["Document", "YAMLError", "parse"]

MAX_ALIASED = 3 * 1024 * 1024
"""Bytes of JSON that a document's aliases may add: as many as a whole body may have."""

MAX_REPEATED, MAX_REPEATED_CHARS = 100, 64 * 1024
"""Repeated keys that are reported, as many as sigs.k8s.io/json reports,
and the characters of all together."""

MAX_TAGS = 100
"""%TAG directives allowed in a stream, because libyaml compares each with all earlier ones."""

_FEW, _MANY = 400_000, 4_000_000
"""Up to _FEW values, 99 % may come from aliases; from _MANY values on, 10 % (go-yaml allowedAliasRatio)."""

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT_TAGS = frozenset(("!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:binary"))
_MERGE_TAG = "tag:yaml.org,2002:merge"
_ENDS = (DocumentEndEvent, StreamEndEvent, type(None))
_OPEN: Any = object()
_NO_KEY: Any = object()
_MERGE: Any = object()


class Document:
    """A parsed document: its value, and the lines of repeated keys."""

    def __init__(self, value: Any, repeated: list[tuple[int, str]]) -> None:
        self.value = value
        self.repeated = repeated

    def strict_error(self) -> str:
        """The strict converter's message about repeated keys, "" if there are none."""
        if not self.repeated:
            return ""
        lines = [f"  line {line}: key {_show_key(key)} already set in map" for line, key in self.repeated]
        return "\n".join(["yaml: unmarshal errors:", *lines])


def _show_key(key: str) -> str:
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Frame:
    """A mapping or sequence under construction, or a complete value.

    size: approximate bytes of its JSON. nodes: number of values in it, as go-yaml counts them. height: its
    levels. key: in a mapping, the key whose value comes next.
    """

    __slots__ = ("anchor", "height", "key", "merged", "nodes", "size", "value")

    def __init__(self, value: Any, anchor: str | None, size: int = 2, height: int = 1) -> None:
        self.value = value
        self.anchor = anchor
        self.size = size
        self.nodes = 1
        self.height = height
        self.key: Any = _NO_KEY
        self.merged: dict[str, Any] | None = None


class _Builder:
    """Builds the value of one document from parser events."""

    def __init__(self) -> None:
        self.value: Any = None
        self.repeated: list[tuple[int, str]] = []
        self.stack: list[_Frame] = []
        self.anchors: dict[str, _Frame] = {}
        self.repeated_chars = 0
        self.decoded = self.aliased = self.added = 0

    def scalar(self, event: Any) -> None:
        """Add a scalar: a key, a merge key, an item or a member's value."""
        text, stack = event.value, self.stack
        self.decoded += 1
        frame = stack[-1] if stack else None
        plain = not event.style and event.tag not in _TEXT_TAGS
        if (
            frame is not None
            and text == "<<"
            and frame.key is _NO_KEY
            and type(frame.value) is dict
            and (event.tag == _MERGE_TAG or (event.tag is None and plain))
        ):
            frame.key = _MERGE
            return
        value = resolve(text) if plain else text
        if event.anchor is not None:
            self.anchors[event.anchor] = _Frame(value, None, len(text) + 3, 0)
        self.put(value, len(text) + 3, 1, 0, event)

    def start(self, event: Any, value: Any) -> None:
        """Open a mapping or a sequence."""
        self.decoded += 1
        stack = self.stack
        if stack and type(stack[-1].value) is dict and stack[-1].key is _NO_KEY:
            raise YAMLError(f"yaml: invalid map key: {_sort(value)}")
        if len(stack) >= MAX_DEPTH:
            raise YAMLError(f"yaml: exceeded max depth of {MAX_DEPTH}")
        if event.anchor is not None:
            self.anchors[event.anchor] = _OPEN
        stack.append(_Frame(value, event.anchor))

    def end(self, event: Any) -> None:
        """Close the innermost mapping or sequence."""
        frame = self.stack.pop()
        if frame.merged:
            frame.value = {**frame.merged, **frame.value}
        if frame.anchor is not None:
            self.anchors[frame.anchor] = frame
        self.put(frame.value, frame.size, frame.nodes, frame.height, event)

    def alias(self, event: Any) -> None:
        """Add a copy of an anchor's value, within the limits for aliases."""
        found = self.anchors.get(event.anchor)
        if found is None:
            raise YAMLError(f"yaml: unknown anchor '{event.anchor}' referenced")
        if found is _OPEN:
            raise YAMLError(f"yaml: anchor '{event.anchor}' value contains itself")
        self.decoded += 1 + found.nodes
        self.aliased += found.nodes
        self.added += found.size
        if self.added > MAX_ALIASED or _is_excessive(self.aliased, self.decoded):
            raise YAMLError("yaml: document contains excessive aliasing")
        if len(self.stack) + found.height > MAX_DEPTH:
            raise YAMLError(f"yaml: exceeded max depth of {MAX_DEPTH}")
        self.put(_copy(found.value), found.size, 1 + found.nodes, found.height, event)

    def put(self, value: Any, size: int, nodes: int, height: int, event: Any) -> None:
        """Add a complete value to the innermost open mapping or sequence."""
        if not self.stack:
            self.value = value
            return
        frame = self.stack[-1]
        frame.size += size
        frame.nodes += nodes
        if height >= frame.height:
            frame.height = height + 1
        if type(frame.value) is list:
            frame.value.append(value)
        elif frame.key is _NO_KEY:
            self.key(frame, value, event)
        elif frame.key is _MERGE:
            frame.merged = _merge(frame.merged, value)
            frame.key = _NO_KEY
        else:
            frame.value[frame.key] = value
            frame.key = _NO_KEY

    def key(self, frame: _Frame, value: Any, event: Any) -> None:
        """Add a key; records repeated ones."""
        if isinstance(value, dict | list):
            raise YAMLError(f"yaml: invalid map key: {_sort(value)}")
        frame.key = key = key_text(value)
        if (
            key in frame.value
            and len(self.repeated) < MAX_REPEATED
            and self.repeated_chars < MAX_REPEATED_CHARS
        ):
            self.repeated.append((event.start_mark.line + 1, key))
            self.repeated_chars += len(key)


def _sort(value: Any) -> str:
    """Go's name for a mapping or a sequence."""
    return "map" if isinstance(value, dict) else "slice"


def _merge(merged: dict[str, Any] | None, value: Any) -> dict[str, Any]:
    """The members from merge keys; the first of several values for a key counts."""
    out = {} if merged is None else merged
    for part in value if isinstance(value, list) else [value]:
        if not isinstance(part, dict):
            raise YAMLError("yaml: map merge requires map or sequence of maps as the value")
        for key, item in part.items():
            out.setdefault(key, item)
    return out


def _is_excessive(aliased: int, decoded: int) -> bool:
    """Whether too many of the values come from aliases."""
    if aliased <= 100 or decoded <= 1000:
        return False
    if decoded <= _FEW:
        allowed = 0.99
    elif decoded >= _MANY:
        allowed = 0.10
    else:
        allowed = 0.99 - 0.89 * (decoded - _FEW) / (_MANY - _FEW)
    return aliased / decoded > allowed


def _copy(value: Any) -> Any:
    """Copy a value, because later steps change it in place."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def parse(data: bytes) -> Document:
    """Parse the first document of a YAML stream; raises YAMLError with upstream's message."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise YAMLError("yaml: invalid leading UTF-8 octet") from None
    if text.count("%TAG") > MAX_TAGS and text.count("\n%TAG") >= MAX_TAGS:
        raise YAMLError("yaml: too many %TAG directives")
    try:
        parser = _Parser(text)
        try:
            return _read(parser)
        finally:
            parser.dispose()
    except yaml.MarkedYAMLError as error:
        raise YAMLError(_message(error)) from None
    except yaml.YAMLError:
        raise YAMLError("yaml: control characters are not allowed") from None


def _read(parser: Any) -> Document:
    """Build the document from events;
    YAML syntax errors take precedence over values that JSON does not have."""
    builder, event = _Builder(), parser.get_event
    try:
        while True:
            found = event()
            kind = type(found)
            if kind is ScalarEvent:
                builder.scalar(found)
            elif kind is MappingStartEvent:
                builder.start(found, {})
            elif kind is SequenceStartEvent:
                builder.start(found, [])
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                builder.end(found)
            elif kind is AliasEvent:
                builder.alias(found)
            elif kind in _ENDS:  # text after the first document is not read
                return Document(builder.value, builder.repeated)
    except YAMLError:
        while not isinstance(event(), _ENDS):
            pass
        raise


def _message(error: yaml.MarkedYAMLError) -> str:
    """Convert libyaml's message to go-yaml's: the parser counts lines from 0, and line 0 is not shown."""
    line = 0
    for mark in (error.problem_mark, error.context_mark):
        if mark is not None and mark.line:
            line = mark.line + isinstance(error, yaml.scanner.ScannerError)
            break
    where = f"line {line}: " if line else ""
    return f"yaml: {where}{error.problem or 'unknown problem parsing YAML content'}"
