"""Objects of every kind whose members are at the ends of what their types hold,
as far as a server takes them."""

import copy
import json
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from filled import Path, fields, put
from fuzz.seeds import Object

from pilothouse.api.types.schema import Type

LONGEST = (1 << 63) - 1
LEAST = -(1 << 63)
PERIODS = (
    LEAST,
    LEAST + 1,
    -1,
    0,
    1,
    9223372036,
    9223372037,
    253402300799,
    253402300800,
    1 << 62,
    LONGEST - 1,
    LONGEST,
)
"""Seconds: about the ends of a time.Duration, of the year 9999, and of int64."""
_WORDS = (
    "",
    "a",
    "x" * 253,
    "z" * 40_000,
    "\x00",
    "\U0010ffff",
    "\u2028",
    "0",
    "-1",
    "9" * 400,
    "null",
    "é" * 63,
)
_TIMES = (
    "0000-01-01T00:00:00{}+24:00",
    "0000-01-01T00:00:00{}Z",
    "0001-01-01T00:00:00{}Z",
    "1969-12-31T23:59:59{}Z",
    "2262-04-11T23:47:17{}Z",
    "9999-12-31T23:59:59{}Z",
    "9999-12-31T23:59:59{}-24:00",
)

ENDS: dict[str, tuple[Any, ...]] = {
    "string": _WORDS,
    "int32": (-(1 << 31), -1, 0, 1, (1 << 31) - 1),
    "int64": PERIODS,
    "number": (LEAST, LONGEST, 1e308, -1e308, 5e-324, -0.0, 0.1, 1 << 64, 1e22),
    "bool": (True, False),
    "bytes": ("", "AA==", "/" * 40_000),
    "time": tuple(text.format("") for text in _TIMES),
    "microtime": tuple(text.format(part) for text in _TIMES for part in (".000000", ".999999")),
    "duration": ("0s", "-1ns", "2562047h47m16.854775807s", "-2562047h47m16.854775808s", "0h0m0.000000001s"),
    "quantity": (
        "0", "-0", "1n", "-1n", "0.000000001", "1e-30", "1e30", "-1e30", str(LONGEST), str(LEAST), "9" * 300,
        "9" * 2990 + "e2001", "0." + "0" * 300 + "1", f"{LONGEST}E", f"{LONGEST}Ei", f"{LONGEST}n", "1Ki",
        "-1Ei", "1e2147483647", "-1e2147483647", "1e-2147483648", "9" * 2990 + "e3000",
    ),
    "intorstring": (-(1 << 31), -1, 0, (1 << 31) - 1, "", "0%", "100%", f"{(1 << 31) - 1}%", "9" * 300 + "%",
                    "a"),
    "scalar": (0, LEAST, LONGEST, 1.5, "", True),
    "any": (
        None, 0, LEAST, LONGEST, 1 << 64, 1e308, 5e-324, -0.0, "", "\x00", [], {}, {"": LONGEST}, [[[]]],
        {"a": [LEAST, 1e22]},
    ),
    "schemaor": (True, False, {"type": "object"}),
}  # fmt: skip
"""Values at the ends of a type, by its kind."""

KEYS = ("", "a", "x" * 63, "a/b", "x" * 253 + "/" + "y" * 63, "\x00", "é", "example.com/a")

Try = Callable[[Object], Awaitable[bool]]
"""Whether the server takes an object."""


class Extremes:
    """Draws values; everything hangs on the random numbers that it is given."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def value(self, type: Type, depth: int = 0) -> Any:
        """A value at one of the ends of a type; of a collection: without items, or with such ones."""
        match type.kind:
            case "struct":
                return {
                    name: self.value(field.type, depth + 1)
                    for name, field in type.fields.items()
                    if field.required or (depth < 4 and self.chance.random() < 0.3)
                }
            case "list":
                assert type.items is not None
                return [self.value(type.items, depth + 1) for _ in range(self.chance.choice((0, 1, 1, 2)))]
            case "map":
                assert type.items is not None
                some = self.chance.sample(KEYS, self.chance.choice((0, 1, 1, 3)))
                return {key: self.value(type.items, depth + 1) for key in some}
        return copy.deepcopy(self.chance.choice(ENDS[type.kind]))

    def places(self, type: Type, leave_out: frozenset[str], most: int) -> list[tuple[Path, Type]]:
        """At most so many of the fields below a type, at random."""
        found = list(fields(type, leave_out))
        self.chance.shuffle(found)
        return found[:most]

    async def filled(
        self, type: Type, base: Object, takes: Try, leave_out: Iterable[str] = (), most: int = 400
    ) -> Object:
        """An object like `base` with as many extreme members as `takes` accepts together.

        They are tried in groups, which are halved when they are refused:
        a member that no rule looks at costs little.
        """
        kept = copy.deepcopy(base)
        groups: list[Sequence[tuple[Path, Any]]] = []
        places = [(path, self.value(inner)) for path, inner in self.places(type, frozenset(leave_out), most)]
        groups = [places[at : at + 16] for at in range(0, len(places), 16)]
        while groups:
            group = groups.pop()
            tried = json.loads(json.dumps(kept))  # half the time of deepcopy
            for path, value in group:
                try:
                    put(type, tried, path, copy.deepcopy(value))
                except (
                    AttributeError,
                    IndexError,
                    KeyError,
                    TypeError,
                ):  # a place above has become something else
                    continue
            if await takes(tried):
                kept = tried
            elif len(group) > 1:
                half = len(group) // 2
                groups += [group[:half], group[half:]]
        return kept


def body(obj: Object) -> bytes:
    """An object as JSON."""
    return json.dumps(obj).encode()
