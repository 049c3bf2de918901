"""What each form of a table's line checks, in which order, and what it says."""

from typing import Any

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.tables import Rules

rules = Rules()


@rules
def _even(value: int, path: str, errs: Errors) -> None:
    if value % 2:
        errs.invalid(path, value, "is odd")


@rules
def _needs_a(value: Object, path: str, errs: Errors) -> None:
    if not value.get("a"):
        errs.required(path, "a is needed")


rules.define("""
part
    x!
    y?                                  even
""")


def told(table: str, value: Any) -> list[str]:
    """What the rule for a struct at `p` says; `kind` says the same at the root."""
    errs, at_root = Errors(), Errors()
    rules.table(table)(value, "p", errs)
    out = [f"{cause['field']}: {cause['message']}" for cause in errs.causes]
    if table.startswith("@"):  # a table that is called does not know of the root
        return out
    rules.kind(table)(value, at_root)
    short = [f"{cause['field']}: {cause['message']}" for cause in at_root.causes]
    assert [line.removeprefix("p.").removeprefix("p: ") for line in out] == [
        line.removeprefix(": ") for line in short
    ]
    return out


MARKS: list[tuple[str, Any, list[str]]] = [
    ("a! : it counts", {}, ["p.a: Required value: it counts"]),
    ("a! >=2 : it counts", {"a": 1}, ["p.a: Invalid value: 1: must be greater than or equal to 2"]),
    ("a? >=2 : is low", {}, []),
    ("a? >=2 : is low", {"a": 0}, ["p.a: Invalid value: 0: is low"]),
    ("a >=2", {}, ["p.a: Invalid value: 0: must be greater than or equal to 2"]),
    ("a+ >=2", {"a": 0}, []),
    ("a* : it counts", {"a": None}, ["p.a: Required value: it counts"]),
    ("a* X|Y : it counts", {"a": ""}, ['p.a: Unsupported value: "": supported values: "X", "Y"']),
    ("a- : no", {"a": 0}, []),
    ("a- : no", {"a": 1}, ["p.a: Forbidden: no"]),
    ("a-? : no", {"a": 0}, ["p.a: Forbidden: no"]),
    ("a-?,b- : no", {"a": 0, "b": 1}, ["p.a: Forbidden: no", "p.b: Forbidden: no"]),
    ("a.b.c!", {"a": {"b": None}}, ["p.a.b.c: Required value"]),
    ("a=0 even", {}, []),
    ("a needs-a", {}, ["p.a: Required value: a is needed"]),
    ("a needs-a", {"a": {"a": 1}}, []),
    ("a only:X", {}, ['p.a: Unsupported value: "": supported values: "X"']),
    ("a max:2", {"a": "äb"}, ["p.a: Too long: may not be more than 2 bytes"]),
    ("a 1..3", {"a": 4}, ["p.a: Invalid value: 4: must be between 1 and 3, inclusive"]),
    ("a <=.b : is above b", {"a": 2, "b": 1}, ["p.a: Invalid value: 2: is above b"]),
    ("a? never : no", {"a": {}}, ["p.a: Invalid value: {}: no"]),
    ("a even as:b", {"a": 1}, ["p.b: Invalid value: 1: is odd"]),
    ("a even as:", {"a": 1}, ["p: Invalid value: 1: is odd"]),
    ("a port-name", {"a": "-"}, [
        'p.a: Invalid value: "-": must contain at least one letter (a-z)',
        'p.a: Invalid value: "-": must not begin or end with a hyphen',
    ]),
    ("a? part", {"a": {"y": 1}}, ["p.a.x: Required value", "p.a.y: Invalid value: 1: is odd"]),
    ("@part", {"y": 3}, ["p.x: Required value", "p.y: Invalid value: 3: is odd"]),
]  # fmt: skip


@pytest.mark.parametrize(("table", "value", "expected"), MARKS)
def test_one_line(table: str, value: Any, expected: list[str]) -> None:
    assert told(table, value) == expected


def test_lists() -> None:
    table = """
    a[]!                                most:1 unique:n : one is needed
      n                                 even
    b[]                                 unique-first:.n
      n                                 even
    c[]                                 unique: even
    """
    assert told(table, {}) == ["p.a: Required value: one is needed"]
    value = {"a": [{"n": 1}, {"n": 1}], "b": [{"n": 1}, {"n": 1}], "c": [2, 2]}
    odd = "Invalid value: 1: is odd"
    assert told(table, value) == [
        "p.a: Too many: 2: must have at most 1 item",
        f"p.a[0].n: {odd}",
        f"p.a[1].n: {odd}",
        "p.a[1]: Duplicate value: 1",
        f"p.b[0].n: {odd}",
        "p.b[1].n: Duplicate value: 1",
        f"p.b[1].n: {odd}",
        "p.c[1]: Duplicate value: 2",
    ]


def test_conditions() -> None:
    table = """
    if a.k == X and not b or c in Y|Z
      required                          : first
    else
      if b given
        forbidden                       : second
      else
        invalid                         : third
    """
    assert told(table, {"a": {"k": "X"}}) == told(table, {"c": "Z", "b": 0}) == ["p: Required value: first"]
    assert told(table, {"a": {"k": "X"}, "b": 1}) == told(table, {"b": 0}) == ["p: Forbidden: second"]
    assert told(table, {}) == ['p: Invalid value: "": third']
    assert told("if n == 3\n  m!\nif n != 3\n  o!", {"n": 3}) == ["p.m: Required value"]


def test_a_struct_by_its_kind() -> None:
    table = """
    a                                   by:k
      when X
        x!
      when Y
        y!
    """
    assert told(table, {"a": {"k": "X"}}) == ["p.a.x: Required value"]
    assert told(table, {"a": {"k": "Y"}}) == ["p.a.y: Required value"]
    assert told(table, {}) == ['p.a.k: Unsupported value: "": supported values: "X", "Y"']
    shown = table.replace("by:k", "by:type show:api.apps.v1.DeploymentStrategy")
    whole = '{"Type":"Z","RollingUpdate":null}'
    assert told(shown, {"a": {"type": "Z"}}) == [
        f'p.a: Unsupported value: {whole}: supported values: "X", "Y"'
    ]


def test_the_first_of_several() -> None:
    table = """
    first-of                            : only one / one is needed
      a                                 even
      b                                 as:B second:other
        x!
      c                                 second:
        x!
    """
    assert told(table, {}) == ["p: Required value: one is needed"]
    assert told(table, {"b": {}}) == ["p.B.x: Required value"]
    assert told(table, {"a": 1, "b": {}, "c": {}}) == [
        "p.a: Invalid value: 1: is odd",
        "p.other: Forbidden: only one",
        "p.c.x: Required value",
    ]


def test_mistakes_in_a_table_are_told_when_it_is_compiled() -> None:
    for table in ("a nothing-like-this", "!"):
        with pytest.raises((AttributeError, ValueError)):
            rules.table(table)({}, "", Errors())
