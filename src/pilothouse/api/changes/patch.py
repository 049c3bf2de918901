"""JSON patch (RFC 6902) and JSON merge patch (RFC 7386) with the behaviour of upstream's json-patch library.

Functions do not change the live document. They return the patched one, and the messages of fieldValidation
about the patch itself: repeated and unknown members.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from pilothouse import errors
from pilothouse.api._schema import Members, count_colons, count_members, scan
from pilothouse.api.json import DecodeError, ScanError, dump, parse
from pilothouse.api.types.depth import is_too_deep
from pilothouse.api.values.fields import Object
from pilothouse.api.values.turns import sorted_members
from pilothouse.gotext import quote
from pilothouse.process.patterns import pattern

MAX_OPERATIONS = 10_000
MAX_COPY_BYTES = 3 * 1024 * 1024
"""Bytes that the copy operations of one patch may add."""
MAX_MOVED = 100_000_000
"""List positions by which the operations of one patch may shift items in total: about 0.1 s of work. Ten
thousand operations on a list of ten thousand items stay below this."""
MAX_NOTES = 100
"""Messages that are kept."""
MAX_NOTES_TEXT = 64 * 1024
"""Characters of messages, beyond which no more are kept; each contains a path, which may be long."""
PANIC = "This request caused apiserver to panic. Look in the logs for details."

_REJECTED = "the server rejected our request due to an error in our request"
_MEMBERS = ("op", "path", "from", "value")
_INDEX = pattern(r"[+-]?[0-9]{1,18}")
_MISSING = object()


class Inapplicable(Exception):
    """An operation that does not fit the document, in the words of upstream's library.
    Clients that send a patch get a general text instead.
    """


class TestFailed(Inapplicable):
    """A test operation that does not hold."""


def apply_json_patch(live: Object, body: bytes, strict: bool = True) -> tuple[Any, list[str]]:
    """Apply all operations or none; raises Invalid (422) or BadRequest."""
    operations, notes = _operations(body, strict)
    if len(operations) > MAX_OPERATIONS:
        raise errors.RequestEntityTooLarge(
            "Request entity too large: The allowed maximum operations in a JSON patch is"
            f" {MAX_OPERATIONS}, got {len(operations)}"
        )
    try:
        return apply_operations(live, operations), notes
    except Inapplicable:
        raise errors.Unprocessable(_REJECTED, details={}) from None


def decode_operations(body: bytes) -> list[Object]:
    """The operations of a JSON patch that is not a client's own; ValueError with Go's message."""
    try:
        return _operations(body, strict=False)[0]
    except errors.BadRequest as err:
        raise ValueError(err.message) from None


def apply_operations(live: Object, operations: list[Object]) -> Any:
    """The document after all operations of a JSON patch, or Inapplicable and nothing done."""
    document = _Document(copy(live))
    try:
        for operation in operations:
            document.apply(operation)
        if is_too_deep(document.root):  # each operation can add one level
            raise Inapplicable("nested too deeply")
    except (RecursionError, orjson.JSONDecodeError):  # the latter on the way to what is too deep
        raise Inapplicable("nested too deeply") from None
    return document.ordered()


def apply_merge_patch(live: Object, body: bytes, strict: bool = True) -> tuple[Any, list[str]]:
    """Merge a patch into the document; nulls in the patch remove members.

    Parts that the patch does not change are shared with the live document.
    """
    notes: list[str] = []
    if strict:
        try:
            change, notes = decode_object(body)
        except ValueError as err:
            raise errors.BadRequest(f"error decoding patch: {err}") from None
    else:
        try:
            change = _parse(body)
        except ValueError:
            change = None
    if isinstance(change, list):
        return _without_nulls(change), notes
    if not isinstance(change, dict):
        raise errors.BadRequest("Invalid JSON Patch")
    return _merged(live, change), notes


def copy(value: Any) -> Any:
    """A deep copy of JSON data."""
    return orjson.loads(dump(value))


def decode_object(body: bytes) -> tuple[Any, list[str]]:
    """Parse the JSON object (or null) of a patch and return it with the messages of strict decoding.

    Raises ValueError with Go's message for anything else.
    """
    value = _parse(body)
    if value is not None and not isinstance(value, dict):
        raise ValueError(
            f"json: cannot unmarshal {go_kind(value)} into Go value of type map[string]interface {{}}"
        )
    return value, repeated_members(body, value)


def repeated_members(body: bytes, value: Any) -> list[str]:
    """Messages about members that occur twice in one object: `duplicate field "data.a"`."""
    if count_members(value) == count_colons(body):
        return []
    notes = _Notes()
    notes.find_repeated(scan(body))
    return list(notes.texts)


def go_kind(value: Any) -> str:
    """The name of a JSON value's type in the messages of Go's decoder."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _parse(body: bytes) -> Any:
    try:
        return parse(body)
    except (ScanError, DecodeError) as err:
        raise ValueError(str(err)) from None


class _Notes:
    """Collects messages about members, each once, and tracks the path of the current value."""

    def __init__(self) -> None:
        self.texts: dict[str, None] = {}
        self.way: list[str | int] = []
        self.length = 0

    def full(self) -> bool:
        return len(self.texts) >= MAX_NOTES or self.length >= MAX_NOTES_TEXT

    def add(self, what: str, name: str) -> None:
        if self.full():
            return
        path = ""
        for step in (*self.way, name):
            path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
        self.texts[f'{what} field "{path}"'] = None
        self.length += len(path)

    def find_repeated(self, value: Any) -> None:
        """Add messages about members that occur twice in one object."""
        if self.full():
            return
        if isinstance(value, Members):
            seen = set()
            for name, member in value.pairs:
                if name in seen:
                    self.add("duplicate", name)
                seen.add(name)
                self.below(name, member)
        elif isinstance(value, list):
            for i, item in enumerate(value):
                self.below(i, item)

    def below(self, step: str | int, value: Any) -> None:
        self.way.append(step)
        self.find_repeated(value)
        self.way.pop()


# Operations of a JSON patch


def _operations(body: bytes, strict: bool) -> tuple[list[Object], list[str]]:
    """The operations, each with its members; `value` may be None or missing."""
    lead, what = ("error decoding patch: ", "[]handlers.jsonPatchOp") if strict else ("", "jsonpatch.Patch")
    item = "handlers.jsonPatchOp" if strict else "jsonpatch.Operation"
    try:
        value = _parse(body)
        if value is None:
            return [], []
        if not isinstance(value, list):
            raise ValueError(f"json: cannot unmarshal {go_kind(value)} into Go value of type {what}")
        for operation in value:
            if operation is not None and not isinstance(operation, dict):
                raise ValueError(f"json: cannot unmarshal {go_kind(operation)} into Go value of type {item}")
            if strict:
                _check_types(operation or {})
    except ValueError as err:
        raise errors.BadRequest(lead + str(err)) from None
    known = all(set(operation or ()) <= set(_MEMBERS) for operation in value)
    if not strict or (known and count_members(value) == count_colons(body)):
        return value, []
    notes = _Notes()
    for i, operation in enumerate(scan(body)):
        if isinstance(operation, Members):
            notes.way = [i]
            _complain(operation, notes)
    return value, [f"json patch {note}" for note in notes.texts]


def _check_types(operation: Object) -> None:
    for name in ("op", "path", "from"):
        value = operation.get(name)
        if value is not None and not isinstance(value, str):
            field = f"jsonPatchOp.{name}"
            raise ValueError(
                f"json: cannot unmarshal {go_kind(value)} into Go struct field {field} of type string"
            )


def _complain(operation: Members, notes: _Notes) -> None:
    seen = set()
    for name, member in operation.pairs:
        if name not in _MEMBERS:
            notes.add("unknown", name)
            continue
        if name in seen:
            notes.add("duplicate", name)
        seen.add(name)
        if name == "value":
            notes.below(name, member)


class _Document:
    """The document while the operations of a JSON patch are applied."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.copied = 0
        self.moved = 0
        self.opened: dict[int, Object] = {}

    def ordered(self) -> Any:
        """The document with the members of changed objects sorted; inserted values stay as they are."""
        for one in (self.root, *self.opened.values()):
            if isinstance(one, dict):
                members = sorted(one.items(), key=_key)
                one.clear()
                one.update(members)
        return self.root

    def apply(self, operation: Object | None) -> None:
        operation = operation or {}
        kind = operation.get("op")
        if kind not in {"add", "remove", "replace", "move", "test", "copy"}:
            raise Inapplicable(f"Unexpected kind: {kind if isinstance(kind, str) else 'unknown'}")
        getattr(self, f"_{kind}")(operation)

    def _add(self, operation: Object) -> None:
        path = _text(operation, "path")
        container, key = self._find(path, 'add operation does not apply: doc is missing path: "{}"')
        with _place("add", path):
            self._insert(container, key, operation.get("value"))

    def _remove(self, operation: Object) -> None:
        path = _text(operation, "path")
        container, key = self._find(path, 'remove operation does not apply: doc is missing path: "{}"')
        with _place("remove", path):
            self._delete(container, key)

    def _replace(self, operation: Object) -> None:
        path = _text(operation, "path")
        value = operation.get("value")
        if path:
            container, key = self._find(path, "replace operation does not apply: doc is missing path: {}")
            if isinstance(container, list):
                with _place("remove", path):
                    container[_position(container, key)] = value
            else:
                container[key] = value
        elif "value" not in operation:
            raise errors.InternalError(PANIC)
        elif not isinstance(value, (dict, list)):
            raise Inapplicable("replace operation value must be object or array")
        else:
            self.root = value

    def _move(self, operation: Object) -> None:
        value, container, key = self._taken(operation, "move")
        with _place("move", key):
            self._delete(container, key)
        self._put(operation, "move", value)

    def _copy(self, operation: Object) -> None:
        value = self._taken(operation, "copy")[0]
        if value is not None:
            data = dump(value)
            value = orjson.loads(data)
            self.copied += len(data)
            if self.copied > MAX_COPY_BYTES:
                raise Inapplicable(f"copies of {self.copied} bytes, more than {MAX_COPY_BYTES}")
        self._put(operation, "copy", value)

    def _taken(self, operation: Object, kind: str) -> tuple[Any, Any, str]:
        """The value at `from`, its container and its key."""
        missing = kind + " operation does not apply: doc is missing from path: {}"
        container, key = self._find(_text(operation, "from"), missing)
        with _place(kind, key):
            return _value_at(container, key), container, key

    def _put(self, operation: Object, kind: str, value: Any) -> None:
        path = _text(operation, "path")
        missing = kind + " operation does not apply: doc is missing destination path: {}"
        container, key = self._find(path, missing)
        with _place(kind, path):
            self._insert(container, key, value)

    def _test(self, operation: Object) -> None:
        path = _text(operation, "path")
        wanted = operation.get("value", _MISSING)
        if path:
            container, key = self._find(path, "test operation does not apply: is missing path: {}")
            with _place("test", path):
                value = _value_at(container, key)
            if value is None and (wanted is None or wanted is _MISSING):
                return
        elif wanted is _MISSING:
            raise errors.InternalError(PANIC)
        else:
            value = self.root
        if wanted is _MISSING or not equal(value, wanted):
            raise TestFailed(f"testing value {path} failed")

    def _insert(self, container: Any, key: str, value: Any) -> None:
        if not isinstance(container, list):
            container[key] = value
        elif key == "-":
            container.append(value)
        else:
            at = _position(container, key, 1)
            self._move_items(len(container) - at)
            container.insert(at, value)

    def _delete(self, container: Any, key: str) -> None:
        if isinstance(container, list):
            at = _position(container, key)
            self._move_items(len(container) - at)
            del container[at]
        elif key in container:
            del container[key]
        else:
            raise Inapplicable(f"Unable to remove nonexistent key: {key}: missing value")

    def _move_items(self, count: int) -> None:
        self.moved += count
        if self.moved > MAX_MOVED:
            raise errors.RequestEntityTooLarge(
                "Request entity too large: The operations of a JSON patch may move items of lists by no more"
                f" than {MAX_MOVED} places"
            )

    def _find(self, path: str, missing: str) -> tuple[Any, str]:
        """The container that a pointer's last part is a key of; what precedes the first slash is ignored.

        `missing` are the words for a document that has none.
        """
        parts = path.split("/")
        if len(parts) < 2:
            raise Inapplicable(missing.format(path) + ": missing value")
        container = self.root
        for part in parts[1:-1]:
            container = _value_at(container, _unescape(part))
            if not isinstance(container, (dict, list)):
                raise Inapplicable(missing.format(path) + ": missing value")
            if isinstance(container, dict):
                self.opened[id(container)] = container
        return container, _unescape(parts[-1])


@contextmanager
def _place(kind: str, path: str) -> Iterator[None]:
    """Names operation and path in the text of what does not fit."""
    try:
        yield
    except Inapplicable as err:
        raise type(err)(f"error in {kind} for path: '{path}': {err}") from None


def _key(pair: tuple[str, Any]) -> str:
    return pair[0]


def _text(operation: Object, name: str) -> str:
    value = operation.get(name)
    if not isinstance(value, str):
        raise Inapplicable(f"operation missing {name} field")
    return value


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~") if "~" in part else part


def _position(container: list[Any], key: str, extra: int = 0) -> int:
    """The index that a key denotes; negative ones count from the end,
    or one further (`extra`) for an insertion."""
    if not _INDEX.fullmatch(key):
        raise Inapplicable(
            f"value was not a proper array index: '{key}': strconv.Atoi: parsing {quote(key)}: invalid syntax"
        )
    size = len(container) + extra
    index = int(key)
    if not -size <= index < size:
        raise Inapplicable(f"Unable to access invalid index: {index}: invalid index referenced")
    return index + size if index < 0 else index


def _value_at(container: Any, key: str) -> Any:
    """The value at a key; None for an absent member, which upstream does not treat as an error."""
    return container[_position(container, key)] if isinstance(container, list) else container.get(key)


def equal(a: Any, b: Any) -> bool:
    """Equality of JSON data in which 1, 1.0 and true differ."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(value, b[name]) for name, value in a.items())
    if isinstance(a, list):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


# Merging of a merge patch


def _merged(live: Object, change: Object) -> Object:
    document = dict(live)
    for name, value in change.items():
        if value is None:
            document.pop(name, None)
            continue
        current = document.get(name)
        if not isinstance(current, dict):
            document[name] = _without_nulls(value)
        elif isinstance(value, dict):
            document[name] = _merged(current, value)
        else:
            document[name] = value
    return sorted_members(document)


def _without_nulls(value: Any) -> Any:
    """A value of the patch that replaces the old one: null members of its objects are removed."""
    if isinstance(value, dict):
        return sorted_members({name: _without_nulls(m) for name, m in value.items() if m is not None})
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
