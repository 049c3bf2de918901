"""The engines of bodies in JSON and protobuf, messages, field sets and merges: round trips, and sets of paths."""

import json
import random
from typing import Any

from fuzz.engine_json import shown, tokens, value_of
from fuzz.engines import Engine, same, text, tight
from fuzz.mutation import Mutation
from fuzz.seeds import creatable, seed

from pilothouse import errors
from pilothouse.api import _schema, codec
from pilothouse.api import json as exact
from pilothouse.api.changes import _fieldset as fieldset
from pilothouse.api.protobuf import _reader, _writer
from pilothouse.api.protobuf import writer as protobuf
from pilothouse.api.types import scheme
from pilothouse.registry.resource import Resource

KINDS = {f"{resource.api_version} {resource.kind}": resource for resource in creatable()}
NAMES = tuple(sorted(KINDS))

# Bodies


def _mutated(chance: random.Random, resource: Resource) -> dict[str, Any]:
    assert resource.type_of is not None
    mutation = Mutation(chance)
    obj: dict[str, Any] = mutation.mutate(seed(resource), resource.type_of(), chance.choice((0, 1, 3, 10)))
    return obj


def bodies(chance: random.Random) -> list[bytes]:
    """A line that names a kind and a media type, and an object of the kind, changed along its type."""
    name = chance.choice(NAMES)
    resource = KINDS[name]
    obj = _mutated(chance, resource)
    if chance.random() < 0.5:
        return [f"{name} {codec.JSON}\n".encode(), *tokens(obj, chance)]
    line = f"{name} {codec.PROTOBUF}\n".encode()
    try:
        message = protobuf.dump(decoded(json.dumps(obj).encode(), codec.JSON, resource))
    except errors.StatusError:
        return [line]
    places = sorted(chance.randint(0, len(message)) for _ in range(8))
    return [
        line,
        *(message[start:end] for start, end in zip([0, *places], [*places, len(message)], strict=True)),
    ]


def decoded(body: bytes, media: str, resource: Resource) -> dict[str, Any]:
    """The object in a body; StatusError when it is refused."""
    assert resource.type_of is not None
    group, version = scheme.parse_group_version(resource.api_version)
    expected = group, version, resource.kind
    return codec.decode(body, media, resource.type_of(), expected, codec.WARN)[0]


def check_body(data: bytes) -> None:
    line, _, body = data.partition(b"\n")
    name, _, media = line.decode("utf-8", "replace").rpartition(" ")
    resource = KINDS.get(name)
    if resource is None:
        return
    try:
        obj = decoded(body, media, resource)
    except errors.StatusError:
        return
    kept = codec.encode(obj, resource.kind, resource.api_version)
    same("what is decoded again", shown(decoded(kept, codec.JSON, resource)), shown(json.loads(kept)))
    there = decoded(
        protobuf.dump(obj), codec.PROTOBUF, resource
    )  # without empty lists, which may have a default
    message = protobuf.dump(there)
    same("protobuf's second form", protobuf.dump(decoded(message, codec.PROTOBUF, resource)), message)


# Messages


def messages(chance: random.Random) -> list[bytes]:
    """A line that names a kind, and the message of an object of it in pieces."""
    name, _, body = b"".join(bodies(chance)).partition(b"\n")
    name, _, media = name.rpartition(b" ")
    if media != codec.PROTOBUF.encode() or not body:
        return [name + b"\n"]
    message = _reader.read(body)[2]
    places = sorted(chance.randint(0, len(message)) for _ in range(8))
    pieces = zip([0, *places], [*places, len(message)], strict=True)
    return [name + b"\n", *(message[start:end] for start, end in pieces)]


def check_message(data: bytes) -> None:
    line, _, message = data.partition(b"\n")
    resource = KINDS.get(line.decode("utf-8", "replace"))
    if resource is None or resource.type_of is None:
        return
    try:
        with tight(message) as whole:
            obj = _reader.decode(whole, resource.type_of())
    except (_reader.ProtobufError, exact.ScanError, exact.DecodeError):
        return
    try:
        first = _writer.encode(obj, resource.type_of())
    except (AttributeError, TypeError, ValueError):  # nulls in maps, times that are none
        return
    again = _reader.decode(first, resource.type_of())
    same("a message that is written again", _writer.encode(again, resource.type_of()), first)


# Field sets


def field_sets(chance: random.Random) -> list[bytes]:
    """Two sets of fields."""
    return list(tokens([_set(chance), _set(chance)], chance))


def _set(chance: random.Random, depth: int = 0) -> dict[str, Any]:
    out: dict[str, Any] = {".": {}} if chance.random() < 0.3 else {}
    for _ in range(chance.randint(0, 4 if depth < 4 else 0)):
        match chance.randrange(5):
            case 0 | 1:
                element = "f:" + text(chance, 3)
            case 2:
                element = "k:" + json.dumps(
                    {chance.choice("ab"): value_of(chance, 5) for _ in range(chance.randint(0, 2))}
                )
            case 3:
                element = "v:" + json.dumps(value_of(chance, 4))
            case _:
                element = chance.choice(
                    ("i:0", "i:3", "i:-1", "i:99999999999999999999", "?:1", "", ".", "f:", "x")
                )
        out[element] = _set(chance, depth + 1)
    return out


def _members(fields: Any) -> set[tuple[str, ...]]:
    return set(fieldset.paths(fields))


def check_fieldset(data: bytes) -> None:
    found = parsed_quietly(data)
    if not isinstance(found, list) or len(found) < 2:
        return
    try:
        a, b = fieldset.parse(found[0]), fieldset.parse(found[1])
    except fieldset.FieldError:
        return
    one, other = _members(a), _members(b)
    union = fieldset.union(a, b)
    same("union", _members(union), one | other)
    same("union of all", _members(fieldset.union_all([a, b, a, {}])), one | other)
    same("difference", _members(fieldset.difference(a, b)), one - other)
    same("intersection", _members(fieldset.intersection(a, b)), one & other)
    below = {path for path in one if not any(path[:size] in other for size in range(1, len(path) + 1))}
    same("recursive difference", _members(fieldset.recursive_difference(a, b)), below)
    for fields in (a, b, union):
        same(
            "a set that is read again",
            _members(fieldset.parse(json.loads(exact.dump(fields)))),
            _members(fields),
        )
        same("a set of its paths", _members(fieldset.of(fieldset.paths(fields))), _members(fields))
        for path in fieldset.paths(fields)[:20]:
            fieldset.path_text(path)
            same("a member", fieldset.has(fields, path), other=True)


def parsed_quietly(data: bytes) -> Any:
    try:
        return exact.parse(data)
    except (_schema.ScanError, _schema.DecodeError):
        return None


# Merges


def merges(chance: random.Random) -> list[bytes]:
    """A line that names a kind, a live object and one that is applied to it."""
    name = chance.choice(NAMES)
    resource = KINDS[name]
    assert resource.type_of is not None
    live = _mutated(chance, resource)
    applied = (
        Mutation(chance).thinned(live, resource.type_of())
        if chance.random() < 0.5
        else _mutated(chance, resource)
    )
    return [name.encode() + b"\n", *tokens([live, applied], chance)]


def check_merge(data: bytes) -> None:
    line, _, body = data.partition(b"\n")
    resource = KINDS.get(line.decode("utf-8", "replace"))
    found = parsed_quietly(body)
    if resource is None or resource.type_of is None or not isinstance(found, list) or len(found) < 2:
        return
    kind = resource.type_of()
    try:
        live, applied = (codec.decode_value(value, kind)[0] for value in found[:2])
    except _schema.DecodeError:
        return
    if fieldset.validate(kind, live) or fieldset.validate(kind, applied):
        return
    fields, wanted = fieldset.from_object(kind, live), fieldset.from_object(kind, applied)
    added, modified, removed = fieldset.compare(kind, live, applied)
    back = fieldset.compare(kind, applied, live)
    same("a comparison the other way", (back[0], back[2]), (removed, added))
    same("what has not changed", fieldset.compare(kind, live, live), ({}, {}, {}))
    same("what is added and removed", fieldset.intersection(added, removed), {})
    merged = fieldset.merge(kind, live, applied)
    same("what is merged twice", shown(fieldset.merge(kind, merged, applied)), shown(merged))
    fieldset.from_object(kind, fieldset.remove(kind, live, wanted))
    fieldset.reconcile(kind, fields)
    fieldset.with_named_members(kind, modified)


ENGINES = (
    Engine("body", bodies, check_body),
    Engine("message", messages, check_message),
    Engine("fieldset", field_sets, check_fieldset),
    Engine("merge", merges, check_merge),
)
