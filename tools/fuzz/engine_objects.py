"""The engines of JSON, stored objects, bodies in JSON and protobuf, field sets and merges."""

import json
import math
import random
import re
from collections.abc import Iterator
from typing import Any

from fuzz.engines import Engine, chance_of, same, text
from fuzz.mutation import Mutation
from fuzz.seeds import creatable, seed

from pilothouse import _fieldset as fieldset
from pilothouse import _json, _schema, errors
from pilothouse.api import codec, scheme
from pilothouse.api import json as exact
from pilothouse.api.protobuf import writer as protobuf
from pilothouse.registry.resource import Resource

REFUSED = object()
"""The value of bytes that are refused."""

KINDS = {f"{resource.api_version} {resource.kind}": resource for resource in creatable()}
NAMES = tuple(sorted(KINDS))

# JSON


def value_of(chance: random.Random, depth: int = 0) -> Any:
    """Any value."""
    match chance.randrange(9 if depth < 5 else 6):
        case 0:
            return chance.choice((0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64, 10**30))
        case 1:
            return chance.choice((0.5, -0.0, 1e300, 1.5e-7, 1e21, chance.random()))
        case 2:
            return chance.choice((True, False, None))
        case 3 | 4 | 5:
            return text(chance)
        case 6:
            return [value_of(chance, depth + 1) for _ in range(chance.randint(0, 4))]
        case _:
            return {text(chance, 4): value_of(chance, depth + 1) for _ in range(chance.randint(0, 4))}


def tokens(value: Any, chance: random.Random) -> Iterator[bytes]:
    """JSON in tokens, with spaces and escapes here and there."""
    if chance.random() < 0.1:
        yield chance.choice((b" ", b"\n", b"\t\r "))
    if isinstance(value, dict):
        yield b"{"
        for at, (name, inner) in enumerate(value.items()):
            yield (b"," if at else b"") + json.dumps(name, ensure_ascii=chance.random() < 0.5).encode()
            yield b":"
            yield from tokens(inner, chance)
        yield b"}"
    elif isinstance(value, list):
        yield b"["
        for at, inner in enumerate(value):
            if at:
                yield b","
            yield from tokens(inner, chance)
        yield b"]"
    else:
        yield json.dumps(value, ensure_ascii=chance.random() < 0.5).encode()


def json_texts(chance: random.Random) -> list[bytes]:
    out = list(tokens(value_of(chance), chance))
    if chance.random() < 0.05:
        deep = chance.choice((100, 1100, 11_000))
        out = [b"[" * deep, *out, b"]" * deep]
    return out


def _constant(name: str) -> Any:
    raise ValueError(name)


_LONE = re.compile("[\ud800-\udfff]")


def _as_gos(value: Any) -> Any:
    """A value of Python's reader as Go has it: lone surrogates are replaced, infinity is nothing."""
    if isinstance(value, str):
        return _LONE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_as_gos(inner) for inner in value]
    if isinstance(value, dict):
        return {_as_gos(name): _as_gos(inner) for name, inner in value.items()}
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        value = float(value) if value.bit_length() < 1024 else math.inf
    return None if isinstance(value, float) and not math.isfinite(value) else value


def of_python(data: bytes) -> Any:
    """The value that Python's own reader finds, REFUSED for none; None for what it cannot tell."""
    try:
        return json.loads(data.decode(), parse_constant=_constant)
    except ValueError as error:
        if "integer string conversion" in str(error):
            raise OverflowError from None
        return REFUSED


def scanned(data: bytes) -> Any:
    try:
        return _schema.as_plain(_schema.scan(data))
    except _schema.ScanError:
        return REFUSED


def parsed(data: bytes) -> Any:
    try:
        return exact.parse(data)
    except _schema.ScanError:
        return REFUSED


def shown(value: Any) -> str:
    """A text that tells 1, 1.0 and True apart."""
    return "refused" if value is REFUSED else json.dumps(value, sort_keys=True)


def check_json(data: bytes) -> None:
    members, containers, _ = _schema.shape(data)
    colons = _schema.count_colons(data)
    try:
        mine = scanned(data)
        theirs = of_python(data)
    except (_schema.DecodeError, OverflowError, RecursionError):
        return
    same("the scanner and Python", shown(mine), shown(REFUSED if theirs is REFUSED else _as_gos(theirs)))
    found = parsed(data)
    if (found is REFUSED) != (mine is REFUSED):
        raise AssertionError(f"orjson or the scanner refuses it: {found!r}, {mine!r}")
    if mine is REFUSED:
        return
    same("members and colons", members, colons)
    if containers > _containers(mine) and len(shown(mine)) < 200 and b'":' not in data:
        raise AssertionError(f"{containers} objects and lists in {mine!r}")
    again = exact.dump(mine)
    same("what is written", shown(parsed(again)), shown(mine))
    same("what is written in parts", exact.dump_parts(mine, 1 << 30), again)


def _containers(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_containers, value.values()))
    return 1 + sum(map(_containers, value)) if isinstance(value, list) else 0


# Objects as they are stored


def stored(chance: random.Random) -> list[bytes]:
    """An object as it is stored, or one with its members in another order."""
    metadata: dict[str, Any] = {
        "name": text(chance),
        "labels": {text(chance, 5): text(chance) for _ in range(chance.randint(0, 3))},
    }
    if chance.random() < 0.3:
        metadata["resourceVersion"] = chance.choice(("1", "", 5, None))
    metadata[text(chance, 4)] = value_of(chance, 4)
    obj = {"kind": text(chance), "apiVersion": "v1", "metadata": metadata, "spec": value_of(chance, 3)}
    names = list(obj)
    if chance.random() < 0.2:
        chance.shuffle(names)
    return [
        piece
        for piece in tokens({name: obj[name] for name in names}, chance)
        if piece.strip() or chance.random() < 0.3
    ]


def _strict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a member is repeated")
    return dict(pairs)


def check_stored(data: bytes) -> None:
    chance = chance_of(data)
    _json.labels(data, 0)
    _json.text(data, ["metadata", "name"])
    _json.event("ADDED", data)
    for refused in (_json.strip, _json.head_of):
        try:
            refused(data)
        except ValueError:
            pass
    try:
        obj = json.loads(data.decode(), parse_constant=_constant, object_pairs_hook=_strict)
        data.decode("utf-8")
    except (ValueError, RecursionError):
        obj = None
    revision = chance.choice((0, 7, 2**63 - 1))
    try:
        served = _json.encoded(data, revision)
    except (ValueError, TypeError):
        return
    _json.labels(served.value, served.head)
    if not isinstance(obj, dict) or "\\u" in data.decode():
        return
    metadata = obj.get("metadata") or {}
    wanted = {"kind": "", "apiVersion": "", **obj, "metadata": metadata | {"resourceVersion": str(revision)}}
    same("what is served", _as_gos(json.loads(served.value)), _as_gos(wanted))
    same("the revision", _json.text(served.value, ["metadata", "resourceVersion"]), str(revision))
    same("the head", served.value[served.head :][:11], b'"metadata":')
    labels = metadata.get("labels")
    texts = (
        {name: value for name, value in labels.items() if isinstance(value, str)}
        if isinstance(labels, dict)
        else {}
    )
    same("the labels", _json.labels(served.value, served.head), texts)
    name = metadata.get("name")
    same("the name", _json.text(served.value, ["metadata", "name"]), name if isinstance(name, str) else None)
    again = _json.splice(_json.strip(served.value), revision)
    same("what is served again", again, served.value)


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
        written = fieldset.ordered(fields)
        same("a set and its order", written, fields)
        same(
            "a set that is read again",
            _members(fieldset.parse(json.loads(exact.dump(written)))),
            _members(fields),
        )
        same("a set of its paths", _members(fieldset.of(fieldset.paths(fields))), _members(fields))
        for path in fieldset.paths(fields)[:20]:
            fieldset.path_text(path)
            same("a member", fieldset.has(fields, path), True)


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
    Engine("json", json_texts, check_json),
    Engine("stored", stored, check_stored),
    Engine("body", bodies, check_body),
    Engine("fieldset", field_sets, check_fieldset),
    Engine("merge", merges, check_merge),
)
