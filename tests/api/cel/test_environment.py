"""The values of expressions, and their costs while they run."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.cel import (
    BINDINGS,
    DYN,
    INT,
    NONE,
    PER_CALL,
    STRING,
    BudgetExceeded,
    CostBudget,
    CostLimitExceeded,
    Duration,
    Environment,
    EvaluationError,
    Optional,
    ProgramError,
    Shape,
    Timestamp,
    UInt,
    list_of,
    view,
)
from pilothouse.api.cel._cel import equal

ANY = Environment({"x": DYN, "y": DYN, "n": INT, "list": list_of(INT)}, extra=[BINDINGS], validated=False)
POD = {
    "metadata": {"name": "web", "labels": {"app": "web", "a/b": "c"}},
    "spec": {"containers": [{"name": "a", "image": "r/a:1"}, {"name": "b", "image": "r/b:2", "ports": [80]}]},
}


def value(text: str, **bindings: Any) -> Any:
    return ANY.compile(text).evaluate(bindings)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x.metadata.name", "web"),
        ("x.metadata.labels['a/b']", "c"),
        ("x['metadata'].name", "web"),
        ("x.spec.containers[1].ports[0]", 80),
        ("has(x.spec.nope)", False),
        ("has(x.metadata.labels.app)", True),
        ("x.spec.containers.all(c, c.image.startsWith('r/'))", True),
        ("x.spec.containers.exists(c, c.name == 'b')", True),
        ("x.spec.containers.exists_one(c, has(c.ports))", True),
        ("x.spec.containers.existsOne(i, c, i == 1 && c.name == 'b')", True),
        ("x.spec.containers.map(c, c.name)", ["a", "b"]),
        ("x.spec.containers.map(c, has(c.ports), c.name)", ["b"]),
        ("x.spec.containers.filter(c, c.name != 'a')[0].name", "b"),
        ("x.metadata.labels.all(k, k.size() == 3)", True),
        ("x.metadata.labels.exists(k, v, v == 'c')", True),
        ("x.metadata.labels.transformMap(k, v, v + '!')", {"app": "web!", "a/b": "c!"}),
        ("x.metadata.labels.transformMapEntry(k, v, {v: k})", {"web": "app", "c": "a/b"}),
        ("x.spec.containers.transformList(i, c, i > 0, c.name)", ["b"]),
        ("'app' in x.metadata.labels", True),
        ("x.spec.containers.size()", 2),
        ("cel.bind(m, x.metadata, m.name + m.name)", "webweb"),
        ("x.?spec.?nope.orValue('none')", "none"),
        ("x.spec.?containers[?5].hasValue()", False),
        ("x.?metadata.name.value()", "web"),
        ("x.?metadata.?name.or(optional.of('a')).value()", "web"),
        ("[?x.?nope, 1]", [1]),
        ("{?'a': x.?nope, 'b': 1}", {"b": 1}),
        ("x.metadata.?labels.optMap(l, l.size()).orValue(0)", 2),
        ("x.metadata.?name.optFlatMap(n, n == 'web' ? optional.of(1) : optional.none()).value()", 1),
        ("optional.ofNonZeroValue('').hasValue()", False),
    ],
)
def test_over_an_object(text: str, wanted: Any) -> None:
    assert value(text, x=POD) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("dyn(1) == 1.0", True),
        ("dyn(1u) == 1", True),
        ("dyn(1) == true", False),
        ("dyn('1') == 1", False),
        ("dyn(null) == null", True),
        ("[1, 2.0, 3u] == [1.0, 2, 3]", True),
        ("{'a': dyn(1)} == {'a': dyn(1.0)}", True),
        ("{1: 'a'}[dyn(1u)]", "a"),
        ("{1: 'a'}[dyn(1.0)]", "a"),
        ("dyn(true) in {1: 'a'}", False),
        ("double('NaN') == double('NaN')", False),
        ("dyn(9007199254740993) == 9007199254740992.0", True),
        ("1 < 1.5 && 2u > 1.5 && 1u < 2", True),
        ("'a' < 'b' && b'a' < b'b' && false < true", True),
        ("7 / -2", -3),
        ("-7 % 3", -1),
        ("7.0 / 2.0", 3.5),
        ("1.0 / 0.0 == double('inf')", True),
        ("'a' + 'b'", "ab"),
        ("b'a' + b'b'", b"ab"),
        ("[1] + [2]", [1, 2]),
        ("int('-12') + int(3.9) + int(2u) + int(duration('1s'))", -7 + 10**9),
        ("uint(3.9)", UInt(3)),
        ("double('1e3')", 1000.0),
        ("string(1.0) + string(1e6) + string(true) + string(b'x')", "11e+06truex"),
        ("bool('TRUE')", True),
        ("bytes('é')", "é".encode()),
        ("type(1) == int && type(type(1)) == type && type('') != int", True),
        ("type(x)", "null_type"),
        ("true || 1 / 0 == 1", True),
        ("1 / 0 == 1 || true", True),
        ("false && 1 / 0 == 1", False),
        ("[1, 0].exists(i, 1 / i == 1)", True),
        ("[0, 1].all(i, 1 / i == 2)", False),
        ("false ? 1 / 0 : 2", 2),
        ("timestamp('2020-02-29T23:59:59.5Z') + duration('1s')", Timestamp(1583020800500000000)),
        ("timestamp('2020-01-01T00:00:00+02:00') == timestamp('2019-12-31T22:00:00Z')", True),
        ("string(timestamp('2020-01-01T00:00:00.120+02:00'))", "2020-01-01T00:00:00.12+02:00"),
        ("timestamp('2020-01-01T00:00:00Z').getHours('Europe/Paris')", 1),
        ("timestamp('2020-01-01T00:00:00Z').getDayOfWeek()", 3),
        ("timestamp('2020-03-01T00:00:00Z').getDayOfYear('-01:00')", 59),
        ("duration('90m').getHours()", 1),
        ("string(duration('1h0.5s'))", "3600.5s"),
        ("duration('1h') - duration('2h')", Duration(-3600 * 10**9)),
    ],
)
def test_values(text: str, wanted: Any) -> None:
    found = value(text, x=None)
    if text == "type(x)":
        found = found.name
    assert equal(found, wanted) and type(found) is type(wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x.nope", "no such key: nope"),
        ("x['nope']", "no such key: nope"),
        ("list[3]", "index out of bounds: 3"),
        ("list[-1]", "index out of bounds: -1"),
        ("y.a", "no such attribute(s): y"),
        ("x.spec + 1", "no such overload: _+_"),
        ("x.metadata.name + 1", "no such overload"),
        ("!x.spec", "no such overload"),
        ("x.spec && true", "no such overload"),
        ("x.spec ? 1 : 2", "no such overload"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "modulus by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("-9223372036854775808 - 1", "integer overflow"),
        ("9223372036854775807 * 2", "integer overflow"),
        ("-(n - 9223372036854775807 - 2)", "integer overflow"),
        ("18446744073709551615u + 1u", "unsigned integer overflow"),
        ("1u - 2u", "unsigned integer overflow"),
        ("int(x.metadata.name)", "type conversion error from 'string' to 'int'"),
        ("int(1e300 * double(n + 2))", "integer overflow"),
        ("uint(n)", "unsigned integer overflow"),
        ("timestamp(x.metadata.name)", "type conversion error from 'string' to 'google.protobuf.Timestamp'"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('1s')", "timestamp overflow"),
        ("double('NaN') * double(n) < 1.0", "NaN values cannot be ordered"),
        ("optional.none().value()", "optional.none() dereference"),
        ("size(dyn(n))", "no such overload: size"),
        ("x.metadata.name.all(c, true)", "got 'string', expected iterable type"),
        ("[1, 2].transformMapEntry(i, v, {'k': v})", "insert failed: key k already exists"),
        ("{'a': 1, x.metadata.name: 2, 'web': 3}", "Failed with repeated key"),
        ("[1].exists_one(i, 1 / (i - 1) == 0)", "division by zero"),
        ("false || 1 / 0 == 1", "division by zero"),
        ("timestamp('2020-01-01T00:00:00Z').getHours(x.metadata.name)", "unknown time zone web"),
    ],
)  # fmt: skip
def test_errors(text: str, wanted: str) -> None:
    with pytest.raises(EvaluationError) as found:
        value(text, x=POD, n=-1, list=[1, 2])
    assert str(found.value) == wanted


def test_constants_that_cannot_be_computed_are_no_program() -> None:
    for text in ("int('a')", "duration('x')", "'a'.matches('(')", "'a'.find('[')"):
        with pytest.raises(ProgramError):
            ANY.compile(text)


def test_absent_values() -> None:
    assert value("optional.none()") is NONE
    found = value("x.?a", x={"a": None})
    assert isinstance(found, Optional) and found.value is None


def test_objects_are_not_copied() -> None:
    assert value("x.spec", x=POD) is POD["spec"]
    assert value("[x][0].spec.containers", x=POD) is POD["spec"]["containers"]


# Cost.


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 + 2", 1),
        ("x", 1),
        ("x.metadata.name", 3),
        ("has(x.metadata.name)", 2),
        ("x['metadata']", 2),
        ("x.spec.containers[n].name", 5),
        ("[x][0]", 13),
        ("{'a': x}", 31),
        ("[1, 2, 3]", 0),
        ("x.metadata.name == 'web'", 4),
        ("n in [1, 2]", 1),
        ("n in list", 4),
        ("list.all(i, i > 0)", 1 + 2 * (3 + 2) + 1),
        ("list.all(i, i > 5)", 1 + 3 + 2 + 2 + 1),
        ("list.exists(i, i > 0)", 1 + 4 + 2 + 3 + 1),
        ("list.exists_one(i, i > 1)", 1 + 2 + 2 + 2 + 2),
        ("list.map(i, i)", 1 + 2 * 13 + 1),
        ("list.filter(i, i > 1)", 1 + 2 * 2 + 13 + 1),
        ("list.transformMap(i, v, v)", 1 + 2 * 4 + 1),
        ("cel.bind(a, n + 1, a + a)", 2 + 3),
        ("n > 0 ? x.metadata : x", 2 + 1),
        ("n > 0 || n > 1", 2),
        ("x.metadata.name.contains('e')", 3 + 1),
        ("x.metadata.name.matches('^w')", 3 + 1),
        ("x.?metadata.?nope.orValue('')", 1 + 1),
        ("quantity('1').isGreaterThan(quantity('2'))", 3),
        ("string(n) + string(n)", 1 + 1 + 1 + 1 + 1),
    ],
)
def test_cost(text: str, wanted: int) -> None:
    assert ANY.compile(text).cost({"x": POD, "n": 1, "list": [1, 2]}) == wanted


def test_a_call_has_a_limit() -> None:
    program = ANY.compile("list.map(i, list.map(j, list.map(k, i + j + k))).size()")
    with pytest.raises(CostLimitExceeded) as found:
        program.evaluate({"list": list(range(100))})
    assert str(found.value) == "operation cancelled: actual cost limit exceeded"
    assert PER_CALL < found.value.cost < PER_CALL + 100


def test_a_budget_is_shared_and_charged_whatever_happens() -> None:
    budget = CostBudget(10)
    ANY.compile("x.metadata.name").evaluate({"x": POD}, budget)
    with pytest.raises(EvaluationError):
        ANY.compile("x.nope").evaluate({"x": POD}, budget)
    assert budget.left == 10 - 3 - 2
    with pytest.raises(BudgetExceeded):
        ANY.compile("[x, x, x]").evaluate({"x": POD}, budget)
    assert budget.left < 0


@pytest.mark.parametrize(
    "text",
    [
        "list.all(a, list.all(b, list.all(c, list.all(d, true))))",
        "list.map(a, list.filter(b, false)).size()",
        "list.all(a, x == y)",
        "lists.range(1000000000)",
        "s + s + s + s + s + s + s",
        "s.replace('', s)",
        "s.matches('(a*)*b')",
        "'%s%s'.format([s, s]).size()",
        "list.map(a, list.sort()).size()",
    ],
)
def test_nothing_stalls(text: str) -> None:
    """The limits hold before the work is done: each of these would take minutes otherwise."""
    known = Environment({"list": list_of(INT), "s": STRING, "x": DYN, "y": DYN})
    bindings = {
        "list": list(range(20_000)),
        "s": "a" * 1_500_000,
        "x": [[1] * 300] * 300,
        "y": [[1] * 300] * 300,
    }
    try:
        known.compile(text).evaluate(bindings)
    except CostLimitExceeded:
        pass


SET = Shape("set", None, Shape("plain"))
MAP_LIST = Shape("maplist", None, Shape("object", {"k": Shape("plain")}), ("k",))


def text() -> list[Any]:
    return ["a" * 1_500_000 + "b"]


def numbers() -> list[Any]:
    return list(range(20_000))


@pytest.mark.parametrize(
    ("expression", "make"),
    [
        ("list.all(i, x == y)", text),
        ("list.all(i, y[0] in x)", text),
        ("list.all(i, x == y)", lambda: view(numbers(), SET)),
        ("list.all(i, x == y)", lambda: view([numbers()], SET)),
        ("list.all(i, size(x + y) > 0)", lambda: view(numbers(), SET)),
        ("list.all(i, x == y)", lambda: view([{"k": i} for i in range(20_000)], MAP_LIST)),
        ("list.all(i, x == y)", lambda: view([{"k": numbers()}], MAP_LIST)),
        ("[x.transformMapEntry(i, v, {v: 0})].all(m, list.all(i, m[1] == 0))", lambda: numbers()[::-1]),
    ],
)
def test_work_that_the_cost_model_does_not_see(expression: str, make: Callable[[], Any]) -> None:
    """An evaluation ends, although each of its cheap steps hashes, compares or scans a large value."""
    known = Environment({"list": list_of(INT), "x": DYN, "y": DYN})
    with pytest.raises(CostLimitExceeded):
        known.compile(expression).evaluate({"list": list(range(100_000)), "x": make(), "y": make()})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=2),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=1), below, max_size=3),
    max_leaves=8,
)


def naive(left: Any, right: Any) -> bool:
    """Equality by the language's definition, written down plainly."""
    if isinstance(left, bool) or isinstance(right, bool) or left is None or right is None:
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(naive, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(naive(left[key], right[key]) for key in left)
    return bool(left == right)


@given(JSON, JSON)
def test_equality(left: Any, right: Any) -> None:
    assert value("x == y", x=left, y=right) is naive(left, right)
    assert value("x != y", x=left, y=right) is not naive(left, right)
    assert value("x == x", x=left) is True
    assert value("x in [y]", x=left, y=right) is naive(left, right)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_integers(left: int, right: int) -> None:
    for sign, wanted in (("+", left + right), ("-", left - right), ("*", left * right)):
        try:
            assert value(f"x {sign} y", x=left, y=right) == wanted
        except EvaluationError as err:
            assert str(err) == "integer overflow" and not -(2**63) <= wanted < 2**63
    assert value("x < y", x=left, y=right) is (left < right)
