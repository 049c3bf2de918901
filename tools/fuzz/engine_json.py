"""The engines of JSON and of objects as they are stored, which Python reads as well."""

import json
import math
import random
import re
from collections.abc import Iterator
from typing import Any

from fuzz.engines import Engine, chance_of, same, text

from pilothouse.api import _json, _schema
from pilothouse.api import json as exact

REFUSED = object()
"""The value of bytes that are refused."""


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
    try:
        found = parsed(data)
    except _schema.DecodeError:  # it has more containers than a request may have
        return
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


ENGINES = (
    Engine("json", json_texts, check_json),
    Engine("stored", stored, check_stored),
)
