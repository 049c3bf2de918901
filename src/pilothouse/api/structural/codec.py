"""Decodes custom resources: request bodies,
patched objects and stored objects (apiextensions crdHandler's codecs)."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pilothouse.api import _schema, codec, json
from pilothouse.api.changes.patch import repeated_members
from pilothouse.api.structural import schema as structural
from pilothouse.api.structural.rules import coerce, read_metadata, unknown_field
from pilothouse.api.structural.schema import Schema
from pilothouse.api.types import scheme
from pilothouse.api.values.fields import Object
from pilothouse.api.yaml import text as yaml

TOO_DEEP = "exceeded max depth"
_INT_MAX = 2**63 - 1


class StructuralCodec:
    """The codec of one group, version and kind; `schema` returns the compiled schema of that version."""

    def __init__(self, group: str, version: str, kind: str, schema: Callable[[], Schema]) -> None:
        self.expected = (group, version, kind)
        self.api_version = f"{group}/{version}"
        self._schema = schema

    def decode(self, body: bytes, content_type: str, validation: str) -> tuple[Object, list[str]]:
        """Decode a body; returns the pruned, defaulted object and warnings.
        Raises BadRequest, UnsupportedMediaType."""
        media = codec.media_type(content_type)
        if media == codec.PROTOBUF:
            raise codec.unsupported_media_type(codec.MEDIA_TYPES)
        actual: scheme.GroupVersionKind | None = None
        try:
            value, strict = _parse(body, media)
            actual = codec.kind_of(value, self.expected)
            obj = _object(value)
            if not obj.get("kind"):
                text = body.decode("utf-8", "replace")
                actual = None
                raise codec.Undecodable(f"Object 'Kind' is missing in '{text}'")
            actual = (*_group_version(obj), obj["kind"])
            strict += self.normalise(obj)
        except RecursionError:
            codec.refuse(TOO_DEEP, actual, self.expected, body)
        except ValueError as error:
            codec.refuse(str(error), actual, self.expected, body)
        if strict and validation == codec.STRICT:  # the object was read, so it is called by its own kind
            codec.refuse("strict decoding error: " + ", ".join(strict), actual, actual, body)
        notes = [w for text in strict for w in codec.warnings_of(text)] if validation == codec.WARN else []
        if obj.get("apiVersion", "") != self.api_version:
            raise codec.other_version(obj.get("apiVersion", ""), self.api_version, notes)
        return obj, notes

    def decode_value(self, value: Object, applied: bool = False) -> tuple[Object, list[str]]:
        """Decode a patched object; returns it with the errors of strict decoding. Raises _schema.DecodeError.

        Of one that was `applied`, nulls that its schema refuses are kept: validation tells of them. Members
        of its metadata that cannot be read are left out.
        """
        try:
            codec.kind_of(value, self.expected)
        except codec.Undecodable as error:
            raise _schema.DecodeError(str(error)) from None
        if not value.get("kind"):
            text = json.dump(value, sort=True).decode()  # a patched document is written from a Go map
            raise _schema.DecodeError(f"Object 'Kind' is missing in '{text}'")
        try:
            return value, self.normalise(value, applied)
        except RecursionError:
            raise _schema.DecodeError(TOO_DEEP) from None
        except ValueError as error:
            raise _schema.DecodeError(str(error)) from None

    def normalise(self, obj: Object, applied: bool = False) -> list[str]:
        """Prune, drop nulls and set defaults in place; returns unknown fields.
        ValueError for invalid metadata.

        `applied` as in decode_value().
        """
        notes: list[str] = []
        found = "metadata" in obj
        if found:
            metadata, notes = read_metadata(obj["metadata"], drop=applied)
        if self._is_ours(obj):
            schema = self._schema()
            notes += map(unknown_field, structural.prune(obj, schema))
            structural.drop_nulls(obj, schema, not applied)
            notes += map(unknown_field, coerce(obj, schema))
            structural.default(obj, schema)
        if found:
            obj["metadata"] = metadata
        return notes

    def restore(self, obj: Object) -> Object:
        """Complete an object that is stored in this version in place: prunes it and sets defaults."""
        self.reduce(obj)
        structural.default(obj, self._schema())
        return obj

    def default(self, obj: Object) -> Object:
        """Set the defaults of an object that is stored in this version in place, without pruning it."""
        schema = self._schema()
        structural.drop_nulls(obj, schema)
        structural.default(obj, schema)
        return obj

    def reduce(self, obj: Object) -> Object:
        """Bring an object that was converted to this version into its form in place:
        sets its apiVersion and prunes.

        It gets no defaults: those of the version in which it is stored were set before
        (unstructuredDefaulter).
        """
        schema = self._schema()
        obj["apiVersion"] = self.api_version
        structural.prune(obj, schema)
        structural.drop_nulls(obj, schema)
        coerce(obj, schema, drop=True)
        return obj

    def _is_ours(self, obj: Object) -> bool:
        return obj["kind"] == self.expected[2] and obj.get("apiVersion") == self.api_version


def _parse(body: bytes, media: str) -> tuple[Any, list[str]]:
    """Parse a body; returns its value and the repeated members."""
    strict: list[str] = []
    if media == codec.YAML:
        document = yaml.parse(body)
        value = document.value
        if document.repeated:
            strict.append(document.strict_error())
        return plain(value), strict
    try:
        value = json.parse(body)
        return plain(value), repeated_members(body, value)
    except (json.ScanError, json.DecodeError) as error:
        raise codec.not_interpreted(str(error)) from None


def plain(value: Any) -> Any:
    """JSON as Go decodes it without a type: integers beyond 64 bits become floats."""
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, dict | list) or (
                type(item) is int and not -_INT_MAX <= item + 1 <= _INT_MAX + 1
            ):
                value[name] = plain(item)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            if isinstance(item, dict | list) or type(item) is int:
                value[i] = plain(item)
    elif type(value) is int and not -_INT_MAX - 1 <= value <= _INT_MAX:
        return float(value)
    return value


def _object(value: Any) -> Object:
    if value is None:
        return {}
    out: Object = value
    return out


def _group_version(obj: Object) -> tuple[str, str]:
    return scheme.parse_group_version(obj.get("apiVersion") or "")


def whole_numbers(value: Any) -> Any:
    """Convert floats without a fraction to integers, as they are written, in place. Integers beyond 64 bits,
    which a patch can bring, are written as floats are."""
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, _WALKED):
                value[name] = whole_numbers(item)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            if isinstance(item, _WALKED):
                value[i] = whole_numbers(item)
    elif isinstance(value, float):
        if value.is_integer() and abs(value) < 1e21:
            return int(Decimal(repr(value)))
    elif value > _INT_MAX:
        return whole_numbers(float(value))
    return value


_WALKED = (dict, list, float, int)
