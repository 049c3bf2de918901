"""Rules of structural schemas beyond OpenAPI: lists that are sets or maps, and embedded resources.

Upstream: apiextensions-apiserver pkg/apiserver/schema/{listtype,objectmeta}.
"""

from typing import Any

import orjson

from pilothouse import _schema
from pilothouse.api import meta, names, scheme
from pilothouse.api import schema as types
from pilothouse.api.codec import decode_value
from pilothouse.api.fields import Errors, Object, key, quote
from pilothouse.api.structural import OBJECT_META, TYPE_META, Schema

# Lists.


def validate_lists(value: Any, schema: Schema | None, errs: Errors, path: str = "") -> None:
    """Items of sets must differ, and items of maps in their keys."""
    if schema is None:
        return
    if isinstance(value, dict):
        _validate_members(value, schema, errs, path)
    elif isinstance(value, list):
        if schema.list_type == "set":
            for i in _repeated(value):
                errs.duplicate(f"{path}[{i}]", value[i])
        elif schema.list_type == "map":
            _validate_map(value, schema.list_keys, errs, path)
        if schema.items is not None:
            for i, item in enumerate(value):
                if isinstance(item, dict | list):
                    validate_lists(item, schema.items, errs, f"{path}[{i}]")


def _validate_members(value: Object, schema: Schema, errs: Errors, path: str) -> None:
    if isinstance(schema.additional, Schema):
        for name, item in sorted(value.items()):
            if isinstance(item, dict | list):
                validate_lists(item, schema.additional, errs, key(path, name))
    for name, below in sorted(schema.properties.items()):
        item = value.get(name)
        if isinstance(item, dict | list):
            validate_lists(item, below, errs, f"{path}.{name}" if path else name)


def _validate_map(value: list[Any], list_keys: tuple[str, ...], errs: Errors, path: str) -> None:
    for i, item in enumerate(value):
        if item is not None and not isinstance(item, dict):
            errs.invalid(f"{path}[{i}]", item, "must be an object for an array of list-type map")
            return
    found = [{name: item[name] for name in list_keys if name in item} if item else {} for item in value]
    for i in _repeated(found):
        errs.duplicate(f"{path}[{i}]", found[i])


def _repeated(values: list[Any]) -> list[int]:
    """Where values stand for the second time; further times do not count."""
    seen: dict[bytes, int] = {}
    out = []
    for i, value in enumerate(values):
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        seen[text] = seen.get(text, 0) + 1
        if seen[text] == 2:
            out.append(i)
    return out


# Metadata of whole resources and of embedded ones.


def read_metadata(value: Any) -> tuple[Object, list[str]]:
    """Metadata as its Go type would hold it, and what is unknown in it; ValueError when it does not fit the type."""
    if value is None:
        return {}, []
    try:
        out, notes = decode_value(value, types.builtin(OBJECT_META))
    except _schema.DecodeError as err:
        raise ValueError(str(err)) from None
    return out, [note.replace('field "', 'field "metadata.', 1) for note in notes]


def coerce(value: Any, schema: Schema | None, path: str = "", *, drop: bool = False) -> list[str]:
    """Bring embedded resources' own metadata into form, below the root; what is unknown in them, sorted.

    `drop`: what does not fit goes. ValueError otherwise, with the words of a cause.
    """
    unknown: list[str] = []
    if schema is not None:
        _coerce(value, schema, path, unknown, drop)
        unknown.sort()
    return unknown


def _coerce(value: Any, schema: Schema, path: str, unknown: list[str], drop: bool) -> None:
    if isinstance(value, list):
        if schema.items is not None:
            for i, item in enumerate(value):
                if isinstance(item, dict | list):
                    _coerce(item, schema.items, f"{path}[{i}]", unknown, drop)
        return
    if not isinstance(value, dict):
        return
    if schema.embedded:
        _coerce_type_meta(value, path, unknown, drop)
    for name, item in value.items():
        below = schema.properties.get(name)
        inner = f"{path}.{name}" if path else name
        if below is None and isinstance(schema.additional, Schema):
            below, inner = schema.additional, key(path, name)
        if below is not None and isinstance(item, dict | list):
            _coerce(item, below, inner, unknown, drop)


def _coerce_type_meta(value: Object, path: str, unknown: list[str], drop: bool) -> None:
    for name in TYPE_META[:2]:
        if name in value and not isinstance(value[name], str):
            if not drop:
                raise ValueError(_invalid(f"{path}.{name}", value[name], "must be a string"))
            del value[name]
    if "metadata" in value:
        try:
            value["metadata"], notes = read_metadata(value["metadata"])
        except ValueError as err:
            if not drop:
                raise ValueError(_invalid(f"{path}.metadata", value["metadata"], str(err))) from None
            return
        unknown += [note.split('"')[1].replace("metadata", f"{path}.metadata", 1) for note in notes]


def _invalid(path: str, value: Any, why: str) -> str:
    errs = Errors()
    errs.invalid(path, value, why)
    return f"{path}: {errs.causes[0]['message']}"


def validate_embedded(value: Any, schema: Schema | None, errs: Errors, path: str = "") -> None:
    """Embedded resources need a kind and an API version, and metadata like any object's."""
    if schema is None:
        return
    if isinstance(value, list):
        for i, item in enumerate(value):
            if isinstance(item, dict | list):
                validate_embedded(item, schema.items, errs, f"{path}[{i}]")
        return
    if not isinstance(value, dict):
        return
    if schema.embedded:
        validate_resource(value, errs, path)
    for name, item in sorted(value.items()):
        below = schema.properties.get(name)
        inner = f"{path}.{name}" if path else name
        if below is None and isinstance(schema.additional, Schema):
            below, inner = schema.additional, key(path, name)
        if below is not None and isinstance(item, dict | list):
            validate_embedded(item, below, errs, inner)


def validate_resource(value: Object, errs: Errors, path: str) -> None:
    """Kind, API version and metadata of one embedded resource."""
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
    """What a strict reader says of a member that the schema does not have."""
    return f"unknown field {quote(path)}"
