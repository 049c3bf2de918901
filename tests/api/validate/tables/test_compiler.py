"""Each form of a table's line: its checks, their order, and its messages."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from pilothouse.api.types.schema import Field, Type
from pilothouse.api.validate.tables.lines import TableError
from pilothouse.api.validate.tables.rules import Rules, Table
from pilothouse.api.values.fields import Errors, Object

rules = Rules(__name__)
TEXT, NUMBER, FLAG, ANY = Type("string"), Type("int32"), Type("bool"), Type("any")
TEXTS, NUMBERS = Type("list", items=TEXT), Type("list", items=NUMBER)


def struct(**members: Type) -> Type:
    """A struct with these members; those whose names end with an underscore are pointers, without it."""
    fields = {name.rstrip("_"): Field(name, type, pointer=name[-1] == "_") for name, type in members.items()}
    return Type("struct", fields=fields, go="T")


def a(type: Type, **others: Type) -> Type:
    return struct(a=type, **others)


@rules
def _even(value: int, path: str, errs: Errors) -> None:
    if value % 2:
        errs.invalid(path, value, "is odd")


@rules
def _needs_a(value: Object, path: str, errs: Errors) -> None:
    if not value.get("a"):
        errs.required(path, "a is needed")


PART = struct(x=TEXT, y_=NUMBER)
rules.add("part", rules.table(PART)("""
    x!
    y                                   even
"""))  # fmt: skip


def told(type: Type, table: str, value: Any) -> list[str]:
    """The messages of the rule for a struct at `p`; those of the rule for a kind are the same at the root."""
    errs, at_root = Errors(), Errors()
    rules.table(type)(table)(value, "p", errs)
    out = [f"{cause['field']}: {cause['message']}" for cause in errs.causes]
    if table.startswith("@"):  # a table that is called does not know of the root
        return out
    rules.kind(type)(table)(value, at_root)
    short = [f"{cause['field']}: {cause['message']}" for cause in at_root.causes]
    assert [line.removeprefix("p.").removeprefix("p: ") for line in out] == [line.removeprefix(": ") for line in short]
    return out


SAME = [{"n": 1}, {"n": 1}]
ODD = "Invalid value: 1: is odd"
LISTS = """
    a[]!                                most:1 unique:n : one is needed
      n                                 even
    b[]                                 unique-first:.n
      n                                 even
    c[]                                 unique: even
"""
IF = """
    if a.k == X and not b or c in Y|Z
      required                          : first
    else
      if b given
        forbidden                       : second
      else
        invalid                         : third
"""
SEVERAL = """
    if none-of a,b
      required                          : none
    elif several-of a,b
      forbidden                         : several
    elif a.list has x
      required                          at:a.list : has x
    elif #a.list > 1
      invalid                           at:a.list : is long
    else
      invalid                           show:null : fits
"""
OUTER = """
    most                                >=0
    a[]
      if n > 1 and /strict
        n                               <=/most : is above most
"""
NESTED = """
    a[]
      n                                 unique
      b[]
        n                               unique
"""
UNION = """
    a                                   by:k
      when X
        x!
      when Y
        y!
"""
OF_TYPE = UNION.replace("by:k", "by:type show:api.apps.v1.DeploymentStrategy")
KIND = a(struct(k=TEXT, type=TEXT, x=TEXT, y=TEXT))
FIRST = """
    first-of                            : only one / one is needed
      a                                 even
      b                                 as:B second:other
        x!
      c                                 second:
        x!
"""
NODE = struct(name=TEXT)
NODE.fields["next"] = Field("next", NODE, pointer=True)
rules.add("node", rules.table(NODE)("name!\nnext node"))

CASES: list[tuple[Type, str, Any, list[str]]] = [
    (a(NUMBER), "a! : it counts", {}, ["p.a: Required value: it counts"]),
    (a(NUMBER), "a! >=2 : it counts", {"a": 1}, ["p.a: Invalid value: 1: must be greater than or equal to 2"]),
    (struct(a_=NUMBER), "a >=2 : is low", {}, []),
    (struct(a_=NUMBER), "a >=2 : is low", {"a": 0}, ["p.a: Invalid value: 0: is low"]),
    (struct(a_=NUMBER), "a~ >=2 : is low", {}, ["p.a: Invalid value: 0: is low"]),
    (a(NUMBER), "a >=2", {}, ["p.a: Invalid value: 0: must be greater than or equal to 2"]),
    (a(NUMBER), "a+ >=2", {"a": 0}, []),
    (struct(a_=TEXT), "a* : it counts", {"a": None}, ["p.a: Required value: it counts"]),
    (struct(a_=TEXT), "a* X|Y : it counts", {"a": ""}, ['p.a: Unsupported value: "": supported values: "X", "Y"']),
    (a(NUMBER), "a- : no", {"a": 0}, []),
    (a(NUMBER), "a- : no", {"a": 1}, ["p.a: Forbidden: no"]),
    (struct(a_=NUMBER), "a-? : no", {"a": 0}, ["p.a: Forbidden: no"]),
    (struct(a_=NUMBER, b=NUMBER), "a-?,b- : no", {"a": 0, "b": 1}, ["p.a: Forbidden: no", "p.b: Forbidden: no"]),
    (a(struct(b_=struct(c=TEXT))), "a.b.c!", {"a": {"b": None}}, ["p.a.b.c: Required value"]),
    (a(Type("intorstring")), "a even", {}, []),
    (a(Type("intorstring")), "a only:X", {"a": ""}, ['p.a: Unsupported value: "": supported values: "X"']),
    (a(a(NUMBER)), "a needs-a", {}, ["p.a: Required value: a is needed"]),
    (a(a(NUMBER)), "a needs-a", {"a": {"a": 1}}, []),
    (struct(a_=a(NUMBER)), "a needs-a", {}, []),
    (a(TEXTS), "a never : no", {}, []),
    (a(FLAG), "a never : no", {}, ["p.a: Invalid value: false: no"]),
    (a(TEXT), "a only:X", {}, ['p.a: Unsupported value: "": supported values: "X"']),
    (a(TEXT), "a max:2", {"a": "äb"}, ["p.a: Too long: may not be more than 2 bytes"]),
    (a(NUMBER), "a 1..3", {"a": 4}, ["p.a: Invalid value: 4: must be between 1 and 3, inclusive"]),
    (a(NUMBER, b=NUMBER), "a <=.b : is above b", {"a": 2, "b": 1}, ["p.a: Invalid value: 2: is above b"]),
    (struct(a_=PART), "a never : no", {"a": {}}, ["p.a: Invalid value: {}: no"]),
    (a(NUMBER), "a even as:b", {"a": 1}, ["p.b: Invalid value: 1: is odd"]),
    (a(NUMBER), "a even as:", {"a": 1}, ["p: Invalid value: 1: is odd"]),
    (a(TEXT), "a port-name", {"a": "-"}, ['p.a: Invalid value: "-": must contain at least one letter (a-z)', 'p.a: Invalid value: "-": must not begin or end with a hyphen']),
    (struct(a_=PART), "a part", {"a": {"y": 1}}, ["p.a.x: Required value", "p.a.y: Invalid value: 1: is odd"]),
    (PART, "@part", {"y": 3}, ["p.x: Required value", "p.y: Invalid value: 3: is odd"]),
    (ANY, LISTS, {}, ["p.a: Required value: one is needed"]),
    (ANY, LISTS, {"a": SAME, "b": SAME, "c": [2, 2]}, [
        "p.a: Too many: 2: must have at most 1 item", f"p.a[0].n: {ODD}", f"p.a[1].n: {ODD}", "p.a[1]: Duplicate value: 1",
        f"p.b[0].n: {ODD}", "p.b[1].n: Duplicate value: 1", f"p.b[1].n: {ODD}", "p.c[1]: Duplicate value: 2"]),
    (ANY, IF, {"a": {"k": "X"}}, ["p: Required value: first"]),
    (ANY, IF, {"c": "Z", "b": 0}, ["p: Required value: first"]),
    (ANY, IF, {"a": {"k": "X"}, "b": 1}, ["p: Forbidden: second"]),
    (ANY, IF, {"b": 0}, ["p: Forbidden: second"]),
    (ANY, IF, {}, ['p: Invalid value: "": third']),
    (struct(n=NUMBER, m=TEXT, o=TEXT), "if n == 3\n  m!\nif n != 3\n  o!", {"n": 3}, ["p.m: Required value"]),
    (ANY, SEVERAL, {}, ["p: Required value: none"]),
    (ANY, SEVERAL, {"a": {}, "b": 0}, ["p: Forbidden: several"]),
    (ANY, SEVERAL, {"a": {"list": ["x", "y"]}}, ["p.a.list: Required value: has x"]),
    (ANY, SEVERAL, {"a": {"list": "axe"}}, ["p.a.list: Required value: has x"]),
    (ANY, SEVERAL, {"a": {"list": ["y", "z"]}}, ['p.a.list: Invalid value: "": is long']),
    (ANY, SEVERAL, {"a": {}}, ["p: Invalid value: null: fits"]),
    (ANY, SEVERAL, {"b": 1}, ["p: Invalid value: null: fits"]),
    (ANY, OUTER, {"most": 2, "a": [{"n": 3}, {"n": 1}]}, []),
    (ANY, OUTER, {"most": 2, "a": [{"n": 3}, {"n": 1}], "strict": True}, ["p.a[0].n: Invalid value: 3: is above most"]),
    (ANY, "a[=] X|Y", {"a": ["X", "Z"]}, ['p.a: Unsupported value: "Z": supported values: "X", "Y"']),
    (ANY, NESTED, {"a": [{"n": "x", "b": [{"n": "x"}, {"n": "x"}]}, {"n": "y", "b": [{"n": "x"}]}]}, ['p.a[0].b[1].n: Duplicate value: "x"']),
    (ANY, "a never show:omit : no", {"a": 1}, ["p.a: Invalid value: no"]),
    (ANY, "a never show: : no", {"a": 1}, ['p.a: Invalid value: "": no']),
    (ANY, "a >=2 show:text : is low", {"a": 1}, ['p.a: Invalid value: "text": is low']),
    (ANY, "a never show:label-selector : no", {"a": {"matchLabels": {"b": "c"}, "matchExpressions": []}}, ['p.a: Invalid value: {"matchLabels":{"b":"c"}}: no']),
    (ANY, "a never show:api.core.v1.Capabilities : no", {"a": {"add": ["x"]}}, ['p.a: Invalid value: {"Add":["x"],"Drop":null}: no']),
    (KIND, UNION, {"a": {"k": "X"}}, ["p.a.x: Required value"]),
    (KIND, UNION, {"a": {"k": "Y"}}, ["p.a.y: Required value"]),
    (KIND, UNION, {}, ['p.a.k: Unsupported value: "": supported values: "X", "Y"']),
    (KIND, OF_TYPE, {"a": {"type": "Z"}}, ['p.a: Unsupported value: {"Type":"Z","RollingUpdate":null}: supported values: "X", "Y"']),
    (ANY, FIRST, {}, ["p: Required value: one is needed"]),
    (ANY, FIRST, {"b": {}}, ["p.B.x: Required value"]),
    (ANY, FIRST, {"a": 1, "b": {}, "c": {}}, ["p.a: Invalid value: 1: is odd", "p.other: Forbidden: only one", "p.c.x: Required value"]),
    (NODE, "@node", {"name": "a", "next": {"next": {"name": "c"}}}, ["p.next.name: Required value"]),
]  # fmt: skip


@pytest.mark.parametrize(("type", "table", "value", "expected"), CASES)
def test_what_a_table_tells(type: Type, table: str, value: Any, expected: list[str]) -> None:
    assert told(type, table, value) == expected


def test_a_list_of_structs() -> None:
    table = rules.table(Type("list", items=struct(n=NUMBER)))("[] most:1\n  n+ even unique")
    assert told_by(table, [{"n": 2}, {"n": 2}, {}, {}]) == ["p: Too many: 4: must have at most 1 item", "p[1].n: Duplicate value: 2"]


def test_what_is_around() -> None:
    @rules
    def _not_known(value: str, path: str, errs: Errors, around: SimpleNamespace) -> None:
        if value not in around.known:
            errs.not_found(path, value)

    table = rules.untyped("""
    a                                   not-known $strict?even:
    if $inner.strict and not $strict
      required                          : inner
    """)

    def said(strict: bool = False, inner: Any = None) -> list[str]:
        errs = Errors()
        table({"a": 1}, "p", errs, SimpleNamespace(known={1}, strict=strict, inner=inner))
        return [f"{cause['field']}: {cause['message']}" for cause in errs.causes]

    assert said() == []
    assert said(strict=True) == ["p.a: Invalid value: 1: is odd"]
    assert said(inner=SimpleNamespace(strict=True)) == ["p: Required value: inner"]
    errs = Errors()
    rules.kind(ANY)("if $\n  a! : new")({}, errs, True)
    rules.kind(ANY)("if $\n  a! : new")({}, errs)
    assert [cause["message"] for cause in errs.causes] == ["Required value: new"]


def test_what_is_around_has_what_a_table_asks_for() -> None:
    table = rules.untyped("if $misspelt\n  a! : new")
    table({}, "p", Errors())
    with pytest.raises(AttributeError, match="misspelt"):
        table({}, "p", Errors(), SimpleNamespace(strict=True))


def test_the_rules_of_another_file() -> None:
    assert told_by(Rules("other", rules, odd=rules["even"]).table(a(NUMBER))("a odd even"), {"a": 1}) == ["p.a: Invalid value: 1: is odd", "p.a: Invalid value: 1: is odd"]


def told_by(table: Table, value: Any) -> list[str]:
    errs = Errors()
    table(value, "p", errs)
    return [f"{cause['field']}: {cause['message']}" for cause in errs.causes]


MISTAKES: list[tuple[Type | str, str, str]] = [
    (struct(alpha=TEXT), "\nalpha!\nalphaa!", "line 2, `alphaa!`: T has no member `alphaa`; the nearest is `alpha`"),
    (struct(alpha=TEXT), "xyz.a!", "line 1, `xyz.a!`: T has no member `xyz`"),
    (a(a(TEXT)), "a\n  b!", "line 2, `b!`: T has no member `b`"),
    (a(TEXT), "if b given\n  a!", "line 1, `if b given`: T has no member `b`"),
    (a(a(TEXT)), "if a == X\n  a!", "line 1, `if a == X`: `a` is compared, but its type is T"),
    (a(NUMBER), "a >=.b", "line 1, `a >=.b`: T has no member `b`"),
    (a(TEXT), "a >=1", "line 1, `a >=1`: a rule for numbers, but the type is string"),
    (a(TEXT), "a[] dns-label", "line 1, `a[] dns-label`: string is no list"),
    (Type("list", items=a(TEXT)), "[] unique:b", "line 1, `[] unique:b`: T has no member `b`"),
    (a(NUMBER), "a evenn", "line 1, `a evenn`: no rule is named `evenn`; the nearest is `even`"),
    (a(TEXT), "!", "line 1, `!`: `!` is no member"),
    ("api.core.v1.Pot", "a!", "the schema has no type api.core.v1.Pot"),
    ("batch/v1 Jop", "a!", "the schema has no type batch/v1 Jop"),
]


@pytest.mark.parametrize(("type", "table", "expected"), MISTAKES)
def test_mistakes_in_a_table_are_told_when_it_is_compiled(type: Type | str, table: str, expected: str) -> None:
    made = rules.table(type)(table)
    with pytest.raises(TableError) as error:
        made({}, "", Errors())
    assert str(error.value) == f"{__name__}, table {type}, {expected}"


def test_types_that_share_a_table_have_the_same_zero_values() -> None:
    named = rules.table("api.core.v1.ConfigMapKeySelector|SecretKeySelector")("key!")
    assert "'key'" in named.written(every=True)[0]
    mixed = rules.table("api.core.v1.ServicePort|api.discovery.v1.EndpointPort")("name dns-label")
    with pytest.raises(TableError, match="the types that share it have members with other zero values"):
        mixed.written(every=True)
    with pytest.raises(TableError, match=r"v1\.Probe has no member `name`"):
        rules.table("api.core.v1.ServicePort|Probe")("name dns-label").written(every=True)


def test_tables_call_the_functions_of_others_themselves() -> None:
    inner = rules.table(PART)("x!")
    rules.add("inner", inner)
    before, after = rules.table(PART)("@inner"), rules.table(PART)("@inner")
    functions = [before.compiled()]
    assert functions[0].__globals__["r_inner"] is inner
    inner({"x": "a"}, "p", Errors())
    functions.append(after.compiled())
    assert [function.__globals__["r_inner"] for function in functions] == [inner.made, inner.made]


def test_a_table_is_called_for_its_types_only() -> None:
    rules.define("""
key-ref                             api.core.v1.ConfigMapKeySelector|SecretKeySelector
    key!
gates                               []api.core.v1.PodSchedulingGate
    []                                  most:1
""")
    rules.table("api.core.v1.EnvVarSource")("secretKeyRef key-ref").compiled()
    rules.table("api.core.v1.PodSpec")("schedulingGates gates").compiled()
    wrong = "line 1, `{}`: key-ref is a table for api.core.v1.ConfigMapKeySelector|SecretKeySelector, and not for api.core.v1."
    for line, type in (("fileKeyRef key-ref", "FileKeySelector"), ("@key-ref", "EnvVarSource")):
        with pytest.raises(TableError, match=re.escape(wrong.format(line) + type)):
            rules.table("api.core.v1.EnvVarSource")(line).compiled()
    with pytest.raises(TableError, match=r"not for \[\]api.core.v1.Toleration"):
        rules.table("api.core.v1.PodSpec")("tolerations gates").compiled()
