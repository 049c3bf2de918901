"""Rules of structural schemas beyond OpenAPI: list types set and map, and embedded resources.

Upstream: apiextensions-apiserver pkg/apiserver/schema/{listtype,objectmeta}.
"""

from collections.abc import Hashable, Iterable
from typing import Any

from pilothouse.api import _schema, json, meta
from pilothouse.api.codec import decode_value
from pilothouse.api.structural.paths import Path, item, member, root, show, show_all
from pilothouse.api.structural.schema import MOST_UNKNOWN, OBJECT_META, TYPE_META, Schema
from pilothouse.api.types import schema as types
from pilothouse.api.types import scheme
from pilothouse.api.values import names
from pilothouse.api.values.equality import identity, key_identity
from pilothouse.api.values.fields import Errors, Object
from pilothouse.gotext import quote

# Lists


def validate_lists(value: Any, schema: Schema | None, errs: Errors, path: Path = None) -> None:
    """Check that the items of sets are distinct, and those of maps by their keys."""
    if schema is None:
        return
    if isinstance(value, dict):
        if isinstance(schema.additional, Schema):
            for name in _nested(value):
                validate_lists(value[name], schema.additional, errs, item(path, name))
        for name in _nested(value):
            if name in schema.properties:
                validate_lists(value[name], schema.properties[name], errs, member(path, name))
    elif isinstance(value, list):
        if schema.list_type == "set":
            for i in _repeated(map(identity, value)):
                errs.duplicate(show(item(path, i)), value[i])
        elif schema.list_type == "map":
            _validate_map(value, schema.list_keys, errs, path)
        if schema.items is not None:
            for i, one in enumerate(value):
                if isinstance(one, dict | list):
                    validate_lists(one, schema.items, errs, item(path, i))


def _nested(value: Object) -> list[str]:
    """The members whose values are objects or lists, sorted."""
    return sorted([name for name, one in value.items() if isinstance(one, dict | list)])


def _validate_map(value: list[Any], list_keys: tuple[str, ...], errs: Errors, path: Path) -> None:
    for i, one in enumerate(value):
        if one is not None and not isinstance(one, dict):
            errs.invalid(show(item(path, i)), one, "must be an object for an array of list-type map")
            return
    none: Object = {}
    identify = key_identity(list_keys)
    for i in _repeated(identify(one or none) for one in value):
        one = value[i] or none
        errs.duplicate(show(item(path, i)), {name: one[name] for name in list_keys if name in one})


def _repeated(values: Iterable[Hashable]) -> list[int]:
    """Positions at which a value occurs for the second time; later repetitions do not count."""
    seen: set[Hashable] = set()
    twice: set[Hashable] = set()
    out = []
    for i, value in enumerate(values):
        if value not in seen:
            seen.add(value)
        elif value not in twice:
            twice.add(value)
            out.append(i)
    return out


# Metadata of whole resources and of embedded ones


def read_metadata(value: Any, *, drop: bool = False) -> tuple[Object, list[str]]:
    """Decode metadata into its Go type; returns it with its unknown fields.

    `drop` leaves out members that do not fit; otherwise they raise ValueError.
    """
    if value is None:
        return {}, []
    try:
        out, notes = decode_value(value, types.builtin(OBJECT_META))
    except _schema.DecodeError as err:
        if drop and isinstance(value, dict):
            return read_metadata({name: one for name, one in value.items() if _fits({name: one})})
        raise ValueError(str(err)) from None
    return out, [note.replace('field "', 'field "metadata.', 1) for note in notes]


def _fits(metadata: Object) -> bool:
    try:
        decode_value(metadata, types.builtin(OBJECT_META))
    except _schema.DecodeError:
        return False
    return True


def coerce(value: Any, schema: Schema | None, path: str = "", *, drop: bool = False) -> list[str]:
    """Decode the metadata of embedded resources below the root; returns their unknown fields, sorted.

    `drop` removes metadata that does not fit; otherwise raises ValueError with a cause's message.
    """
    unknown: list[Path] = []
    if schema is not None and schema.embeds:
        _coerce(value, schema, root(path), unknown, drop)
    return show_all(unknown)


def _coerce(value: Any, schema: Schema, path: Path, unknown: list[Path], drop: bool) -> None:
    if not schema.embeds:
        return
    if isinstance(value, list):
        if schema.items is not None:
            for i, one in enumerate(value):
                if isinstance(one, dict | list):
                    _coerce(one, schema.items, item(path, i), unknown, drop)
        return
    if not isinstance(value, dict):
        return
    if schema.embedded:
        _coerce_type_meta(value, path, unknown, drop)
    for name, one in value.items():
        if isinstance(one, dict | list):
            below, inner = _below(schema, path, name)
            if below is not None:
                _coerce(one, below, inner, unknown, drop)


def _below(schema: Schema, path: Path, name: str) -> tuple[Schema | None, Path]:
    """The schema and path of a member."""
    below = schema.properties.get(name)
    if below is None and isinstance(schema.additional, Schema):
        return schema.additional, item(path, name)
    return below, member(path, name)


def _coerce_type_meta(value: Object, path: Path, unknown: list[Path], drop: bool) -> None:
    for name in TYPE_META[:2]:
        if name in value and not isinstance(value[name], str):
            if not drop:
                raise ValueError(_invalid((path, ".", name, ""), value[name], "must be a string"))
            del value[name]
    if "metadata" in value:
        inner = (path, ".", "metadata", "")
        try:
            value["metadata"], notes = read_metadata(value["metadata"])
        except ValueError as err:
            if not drop:
                raise ValueError(_invalid(inner, value["metadata"], str(err))) from None
            return
        for note in notes:
            if len(unknown) < MOST_UNKNOWN:
                unknown.append((inner, "", note.split('"')[1].removeprefix("metadata"), ""))


def _invalid(path: Path, value: Any, why: str) -> str:
    errs = Errors()
    errs.invalid(show(path), json.in_key_order(value), why)
    return f"{errs.causes[0]['field']}: {errs.causes[0]['message']}"


def validate_embedded(value: Any, schema: Schema | None, errs: Errors, path: str = "") -> None:
    """Validate embedded resources: they need a kind, an apiVersion and valid metadata."""
    if schema is not None:
        _validate_embedded(value, schema, errs, root(path))


def _validate_embedded(value: Any, schema: Schema, errs: Errors, path: Path) -> None:
    if not schema.embeds:
        return
    if isinstance(value, list):
        if schema.items is not None:
            for i, one in enumerate(value):
                if isinstance(one, dict | list):
                    _validate_embedded(one, schema.items, errs, item(path, i))
        return
    if not isinstance(value, dict):
        return
    if schema.embedded:
        validate_resource(value, errs, show(path))
    for name in _nested(value):
        below, inner = _below(schema, path, name)
        if below is not None:
            _validate_embedded(value[name], below, errs, inner)


def validate_resource(value: Object, errs: Errors, path: str) -> None:
    """Validate kind, apiVersion and metadata of one embedded resource."""
    prefix = f"{path}." if path else ""
    for name in TYPE_META[:2]:
        if name not in value:
            errs.required(f"{prefix}{name}")
    if "apiVersion" in value:
        _validate_api_version(value["apiVersion"], f"{prefix}apiVersion", errs)
    if "kind" in value:
        _validate_kind(value["kind"], f"{prefix}kind", errs)
    if "metadata" in value:
        _validate_metadata(value["metadata"], f"{prefix}metadata", errs)


def _validate_api_version(text: Any, path: str, errs: Errors) -> None:
    if not isinstance(text, str):
        errs.invalid(path, text, "must be a string")
    elif not text:
        errs.invalid(path, text, "must not be empty")
    else:
        try:
            scheme.parse_group_version(text)
        except ValueError as err:
            errs.invalid(path, text, str(err))


def _validate_kind(text: Any, path: str, errs: Errors) -> None:
    if not isinstance(text, str):
        errs.invalid(path, text, "must be a string")
    elif not text:
        errs.invalid(path, text, "must not be empty")
    elif wrong := names.dns1035_label(text.lower()):
        errs.invalid(path, text, "may have mixed case, but should otherwise match: " + ",".join(wrong))


def _validate_metadata(value: Any, path: str, errs: Errors) -> None:
    try:
        metadata, _ = read_metadata(value)
    except ValueError as err:
        errs.invalid(path, value, str(err))
        return
    metadata["name"] = metadata.get("name") or "fakename"
    found = Errors()
    meta.validate_create({"metadata": metadata}, bool(metadata.get("namespace")), names.path_segment, found)
    for cause in found.causes:
        errs.add(cause["reason"], path + cause["field"].removeprefix("metadata"), cause["message"])


def unknown_field(path: str) -> str:
    """The message of strict decoding about a field that the schema does not have."""
    return f"unknown field {quote(path)}"
