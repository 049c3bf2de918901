"""Compares the compiled codec of protobuf with its plain models: random objects of all kinds,
and changed bytes."""

import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from fuzz.mutation import Mutation

from pilothouse.api import codec
from pilothouse.api.json import DecodeError
from pilothouse.api.types import schema
from pilothouse.api.types.schema import Type

KINDS = sorted((version, kind) for version, kinds in schema.index()["kinds"].items() for kind in kinds)


def type_of(version: str, kind: str) -> Type:
    group, _, short = version.rpartition("/")
    return schema.for_kind(group, short, kind)


def any_type(chance: random.Random) -> Type:
    return type_of(*chance.choice(KINDS))


def any_object(chance: random.Random, type: Type) -> Any:
    """An object of a kind; half of them as they are stored, many with values of wrong types."""
    mutation = Mutation(chance)
    obj = mutation.mutate(mutation.good(type), type, chance.choice((0, 0, 1, 3, 10)), keep=())
    if chance.random() < 0.5:
        try:
            return codec.prune(obj, type)
        except DecodeError:
            pass
    return obj


def changed(chance: random.Random, data: bytes) -> bytes:
    """A message with some of its bytes replaced, removed, repeated, or with others between them."""
    out = bytearray(data)
    for _ in range(chance.choice((0, 1, 1, 2, 5, 20))):
        at, size = chance.randint(0, len(out)), chance.choice((1, 1, 2, 5, 30))
        match chance.randrange(5):
            case 0:
                out[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del out[at : at + size]
            case 2:
                out[at:at] = chance.randbytes(size)
            case 3:
                out[at:at] = out[at : at + size]
            case _ if chance.random() < 0.2:
                del out[at:]
    return bytes(out)


def outcome(function: Callable[..., Any], *arguments: Any) -> str:
    """The value that a function returns, with the order of members and the types of values, or its error."""
    try:
        return repr(function(*arguments))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def turns(function: Callable[[], Any]) -> int:
    """How often a function calls one of Python, at which the interpreter may switch to another thread."""
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_name == "<lambda>"

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls
