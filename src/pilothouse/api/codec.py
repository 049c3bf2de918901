"""Decodes request bodies into objects of a kind,
and encodes objects into the bytes that are stored and served.

Checks, their order and all messages are those of kube-apiserver's create and update handlers with
apimachinery's JSON and YAML serializers.
"""

from collections.abc import Callable, Container
from typing import Any, NoReturn

import orjson

from pilothouse import errors
from pilothouse.api import _schema, _stored, json
from pilothouse.api.convert import kinds as convert
from pilothouse.api.defaults import kinds as defaults
from pilothouse.api.protobuf import _reader as protobuf
from pilothouse.api.types import schema, scheme
from pilothouse.api.types.schema import Type
from pilothouse.api.values import quantity, times
from pilothouse.api.values.fields import Object
from pilothouse.api.yaml import text as yaml
from pilothouse.gotext import QUOTED, quote, short

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
MEDIA_TYPES = (JSON, YAML, PROTOBUF)

IGNORE, WARN, STRICT = "Ignore", "Warn", "Strict"

_VERSION_KIND = (
    r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'
)
_SUMMARY = 30

_schema.set_parsers(quantity.canonical, quantity.canonical_milli, times.time, times.micro_time, times.base64)


class Undecodable(ValueError):
    """A body cannot be decoded; the message is upstream's without its prefix."""


def media_type(content_type: str) -> str:
    """The media type of a Content-Type header, JSON for None; raises 415 if such bodies are not supported."""
    text = content_type.partition(";")[0].strip().lower()
    if not content_type:
        return JSON
    if text not in MEDIA_TYPES:
        raise unsupported_media_type(MEDIA_TYPES)
    return text


def unsupported_media_type(accepted: tuple[str, ...]) -> errors.UnsupportedMediaType:
    """The 415 for a body whose media type is not in `accepted`."""
    listed = ", ".join(accepted)
    return errors.UnsupportedMediaType(
        f"the body of the request was in an unknown format - accepted media types include: {listed}"
    )


def decode(
    body: bytes,
    content_type: str,
    type: Type,
    expected: scheme.GroupVersionKind,
    validation: str = IGNORE,
    accepted: Container[tuple[str, str]] = (),
    kind_fault: Callable[[scheme.GroupVersionKind], str] | None = None,
) -> tuple[Object, list[str]]:
    """Decode a body into an object of a built-in kind with all defaults,
    and return it with the warnings to send.

    `expected` is group, version and kind of the resource; `validation` is the option fieldValidation;
    `accepted` are further group versions that the body may have; `kind_fault` words what is wrong with a
    kind, "" for nothing, where the scheme is not that of objects. Raises UnsupportedMediaType, or BadRequest,
    whose cause is what was wrong without the words around it.
    """
    media = media_type(content_type)
    actual: scheme.GroupVersionKind | None = None
    strict: list[str] = []
    data: bytes | None
    try:
        if media == PROTOBUF:
            value, exact, data = _from_protobuf(body, expected, accepted)
        else:
            data, repeated = _from_yaml(body) if media == YAML else (body, "")
            value, exact = _read(data)
            if repeated:
                strict.append(repeated)
        actual = _kind_of(value, expected, accepted)
        if not actual[1]:
            raise Undecodable(f"Object 'apiVersion' is missing in '{_beginning(value, data)}'")
        if kind_fault is None:
            if actual != expected:
                _check_kind(actual, expected)
        elif fault := kind_fault(actual):
            raise Undecodable(fault)
        obj, found = _walk(value, exact, type if actual == expected else _type_of(actual, type), data)
        strict += found
        if actual != expected:
            _check_conversion(actual, expected)
        if strict and validation == STRICT:
            raise Undecodable("strict decoding error: " + ", ".join(strict))
    except (Undecodable, yaml.YAMLError, protobuf.ProtobufError, json.ScanError, json.DecodeError) as error:
        refuse(str(error), actual, expected, body)
    notes = [w for text in strict for w in warnings_of(text)] if strict and validation == WARN else []
    if actual[:2] != expected[:2]:
        raise other_version(scheme.group_version(*actual[:2]), scheme.group_version(*expected[:2]), notes)
    obj["kind"], obj["apiVersion"] = expected[2], scheme.group_version(expected[0], expected[1])
    _schema.keep_empty(schema.empty_lists(type), value, obj)
    defaults.apply(obj, *expected)
    try:
        convert.normalise(obj, expected[0], expected[2])
    except ValueError as error:
        refuse(str(error), actual, expected, body)
    return obj, notes


def decode_value(value: Any, type: Type, kept: Object | None = None) -> tuple[Any, list[str]]:
    """Decode a value that is parsed already (a patched object):
    returns it with the errors of strict validation.

    Sets only the defaults in the schema. `kept` are members that become part of the result as they stand
    there. Raises DecodeError with Go's message.
    """
    try:
        out = _run(value, False, type, kept=kept)
    except _schema.Odd:
        out = _run(_schema.scan(json.dump(value)), True, type, kept=kept)
    _schema.keep_empty(schema.empty_lists(type), value, out[0])
    return out


def prune(value: Any, type: Type) -> Any:
    """The value without unknown members, in canonical form and with the schema's plain defaults."""
    return decode_value(value, type)[0]


def refuse(
    message: str, actual: scheme.GroupVersionKind | None, expected: scheme.GroupVersionKind, body: bytes
) -> NoReturn:
    """The 400 that names the kind in the body or quotes its beginning (transformDecodeError)."""
    if actual is not None and actual[2]:
        text = f"{actual[2]} in version {quote(actual[1])} cannot be handled as a {expected[2]}: {message}"
    else:
        must = f"the object provided is unrecognized (must be of type {expected[2]})"
        text = f"{must}: {message} ({_summary(body)})"
    raise errors.BadRequest(text) from Undecodable(message)


def other_version(given: str, wanted: str, notes: list[str]) -> errors.BadRequest:
    """The 400 for a body of another version than the path's, with the warnings of its decoder."""
    error = errors.BadRequest(
        f"the API version in the data ({given}) does not match the expected API version ({wanted})"
    )
    error.warnings = notes
    return error


def _beginning(value: Any, data: bytes | None) -> str:
    """The beginning of a value's JSON, which is known or is made here."""
    text = json.dump(value) if data is None else data
    return short(text[: 2 * QUOTED].decode("utf-8", "replace"))


def _summary(body: bytes) -> str:
    if not body:
        return "<empty>"
    head = body[:_SUMMARY]
    text = head.decode("utf-8", "replace") if body[:1] == b"{" else head.hex()
    return text + " ..." if len(body) > _SUMMARY else text


def warnings_of(strict: str) -> list[str]:
    """The warnings for one strict error; an error from YAML has one line per warning."""
    if strict.startswith("yaml: "):
        return [line.strip() for line in strict.split("\n")[1:]]
    return [strict]


def _from_yaml(body: bytes) -> tuple[bytes, str]:
    """Convert a YAML body to JSON and return it with the errors of the strict converter.

    Members are sorted as Go writes a map, which determines the order of later messages.
    """
    document = yaml.parse(body)
    return json.dump(document.value, sort=True), document.strict_error()


def _read(data: bytes) -> tuple[Any, bool]:
    """Parse a JSON body; also returns whether the exact scanner was used."""
    if not json.takes_long(data):
        try:
            return orjson.loads(data), False
        except orjson.JSONDecodeError:
            pass
    try:
        return _schema.scan(data), True
    except _schema.ScanError as error:
        raise not_interpreted(str(error)) from None


def _from_protobuf(
    body: bytes, expected: scheme.GroupVersionKind, accepted: Container[tuple[str, str]]
) -> tuple[Object, bool, bytes | None]:
    """Convert a protobuf body to the JSON object that it encodes;
    also returns whether the exact scanner was used, and its JSON if that was made.

    A body has at most as many objects and arrays as bytes. Those of a long one are counted in its JSON.
    """
    api_version, kind, raw = protobuf.read(body)
    out: Object = {"apiVersion": api_version, "kind": kind}
    actual = _kind_of(out, expected, accepted)
    try:
        type_: Type | None = schema.for_kind(*actual)
    except KeyError:
        type_ = None
    if type_ is not None:
        out = protobuf.decode(raw, type_) | out
    if len(body) <= json.MAX_CONTAINERS:
        return out, False, None
    data = json.dump(out)
    return *_read(data), data


def not_interpreted(message: str) -> Undecodable:
    return Undecodable(f"couldn't get version/kind; json parse error: {message}")


def kind_of(value: Any, expected: scheme.GroupVersionKind) -> scheme.GroupVersionKind:
    """The body's group, version and kind,
    with missing parts taken from `expected` (Interpret, gvkWithDefaults).

    Go decodes these two members with its own decoder, which ignores the case of member names.
    """
    if type(value) is dict and value.get("kind") == expected[2] and _alone(value):
        named = value.get("apiVersion")
        if type(named) is str and named == scheme.group_version(expected[0], expected[1]):
            return expected  # PERF: nearly every body
    found = {"apiversion": "", "kind": ""}
    if value is not None:
        for key, item in value.items() if type(value) is dict else _members(value):
            if len(key) not in (4, 10) or (folded := key.lower()) not in found or item is None:
                continue
            if not isinstance(item, str) or isinstance(item, _schema.Literal):
                name = "kind" if folded == "kind" else "apiVersion"
                raise not_interpreted(
                    f"json: cannot unmarshal {_describe(item)} into Go struct field .{name} of type string"
                )
            found[folded] = item
    try:
        group, version = scheme.parse_group_version(found["apiversion"])
    except ValueError as error:
        raise Undecodable(str(error)) from None
    kind = found["kind"] or expected[2]
    if not version and not group:
        return expected[0], expected[1], kind
    if not version and group == expected[0]:
        version = expected[1]
    return group, version, kind


def _alone(value: Object) -> bool:
    """Whether no member could be read as `kind` or `apiVersion` beside these."""
    for name in value:
        if (
            len(name) in (4, 10)
            and name not in ("kind", "apiVersion")
            and name.lower() in ("kind", "apiversion")
        ):
            return False
    return True


def _kind_of(
    value: Any, expected: scheme.GroupVersionKind, accepted: Container[tuple[str, str]]
) -> scheme.GroupVersionKind:
    """Like `kind_of`; the expected kind in an accepted group version counts as what is expected."""
    actual = kind_of(value, expected)
    return expected if actual[2] == expected[2] and actual[:2] in accepted else actual


def _members(value: Any) -> Any:
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, _schema.Members):
        return value.pairs
    raise not_interpreted(f"json: cannot unmarshal {_describe(value)} into Go value of type {_VERSION_KIND}")


def _describe(value: Any) -> str:
    """Go's name for the type of a JSON value that has the wrong type."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float, _schema.Literal)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _check_kind(actual: scheme.GroupVersionKind, expected: scheme.GroupVersionKind) -> None:
    if actual != expected and not scheme.is_registered(expected[0], *actual):
        raise Undecodable(scheme.not_registered(expected[0], *actual))


def check_conversion(
    value: Object, actual: scheme.GroupVersionKind, expected: scheme.GroupVersionKind
) -> None:
    """Refuse an object of another kind, unless it shares an internal type with what is expected;
    Undecodable."""
    _check_kind(actual, expected)
    try:
        decode_value(value, schema.for_kind(*actual))
    except KeyError:  # a kind of an old version has no type of its own
        pass
    except _schema.DecodeError as error:
        raise Undecodable(str(error)) from None
    _check_conversion(actual, expected)


def _type_of(actual: scheme.GroupVersionKind, type: Type) -> Type:
    """The type into which a body of another kind than `type` is decoded;
    kinds of old versions have no type of their own."""
    try:
        return schema.for_kind(*actual)
    except KeyError:
        return type


def _check_conversion(actual: scheme.GroupVersionKind, expected: scheme.GroupVersionKind) -> None:
    if actual != expected and not scheme.same_internal_type(actual, expected):
        raise Undecodable(scheme.unknown_conversion(actual, expected))


def _walk(value: Any, exact: bool, type: Type, data: bytes | None) -> tuple[Object, list[str]]:
    """Prune, default and canonicalise a value; returns it with the errors of strict validation.
    `data` is its JSON, None for a value that was none.
    """
    if value is None:
        value = {}
    if not exact:
        try:
            return _run(value, False, type, data)
        except _schema.Odd:
            value = _schema.scan(json.dump(value) if data is None else data)
    return _run(value, True, type)


def _run(
    value: Any, exact: bool, type: Type, data: bytes | None = None, kept: Object | None = None
) -> tuple[Any, list[str]]:
    walk = _schema.Walk(exact, kept)
    out = walk.run(type, value)
    if data is not None and walk.members != _schema.count_colons(data):
        raise _schema.Odd  # a member is repeated
    strict = walk.strict
    return out, [f"{what} {quote(path)}" for what, path in strict] if strict else []


def drop_empty(obj: Object, of: Type) -> None:
    """Convert empty lists to their stored form: null if the member is always written, else absent."""
    _schema.drop_empty(schema.empty_lists(of), obj)


def encode(obj: Object, kind: str, api_version: str) -> bytes:
    """The stored and served bytes: kind, apiVersion and metadata come first; resourceVersion is left out."""
    out = _in_order(obj, kind, api_version)
    try:
        return _stored.dumps(out)
    except (orjson.JSONEncodeError, TypeError):
        return json.dump(out)


def encode_large(obj: Object, kind: str, api_version: str, limit: int) -> bytes | None:
    """Like encode(), but in parts, so that other threads can run; None if it exceeds `limit` bytes."""
    return json.dump_parts(_in_order(obj, kind, api_version), limit)


def _in_order(obj: Object, kind: str, api_version: str) -> Object:
    out: Object = {"kind": kind, "apiVersion": api_version}
    if "metadata" in obj:
        metadata = obj["metadata"]
        if metadata and "resourceVersion" in metadata:
            metadata = {key: value for key, value in metadata.items() if key != "resourceVersion"}
        out["metadata"] = metadata
    for key, value in obj.items():
        if key not in out:
            out[key] = value
    return out
