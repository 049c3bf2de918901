"""Types: what an expression gives, and what is said when its parts do not fit."""

import pytest

from pilothouse.api.cel import (
    BINDINGS,
    BOOL,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    CompileError,
    Environment,
    EvaluationError,
    ResultError,
    StructField,
    list_of,
    map_of,
    struct,
)

POINT = struct(
    "Point",
    {
        "x": StructField(INT, "x"),
        "name": StructField(STRING, "name"),
        "__namespace__": StructField(STRING, "namespace"),
    },
)
KNOWN = Environment(
    {
        "self": POINT, "s": STRING, "n": INT, "any": DYN, "list": list_of(STRING), "map": map_of(STRING, INT),
        "when": TIMESTAMP,
    },
    extra=[BINDINGS],
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1", "int"),
        ("1u", "uint"),
        ("1.0", "double"),
        ("b'a'", "bytes"),
        ("null", "null"),
        ("[1, 2]", "list(int)"),
        ("[]", "list(dyn)"),
        ("{'a': [1.0]}", "map(string, list(double))"),
        ("any.x.y", "dyn"),
        ("self.x + 1", "int"),
        ("self.namespace", "string"),
        ("list.map(x, x.size())", "list(int)"),
        ("list.filter(x, x != '')", "list(string)"),
        ("map.transformMap(k, v, string(v))", "map(string, string)"),
        ("map.?a", "optional_type(int)"),
        ("map.?a.orValue(3)", "int"),
        ("list[?0].optMap(x, x.size())", "optional_type(int)"),
        ("cel.bind(x, 1, [x])", "list(int)"),
        ("type(1)", "type(int)"),
        ("when - when", "duration"),
        ("true ? any : 1", "dyn"),
        ("[1, 2].sort()", "list(int)"),
        ("list.first()", "optional_type(string)"),
        ("quantity('1')", "kubernetes.Quantity"),
        ("ip('1.1.1.1')", "net.IP"),
    ],
)
def test_types(text: str, wanted: str) -> None:
    assert str(KNOWN.compile(text).type) == wanted


@pytest.mark.parametrize(
    ("text", "at", "wanted"),
    [
        ("nope", 1, "undeclared reference to 'nope' (in container '')"),
        ("nope()", 5, "undeclared reference to 'nope' (in container '')"),
        ("s.nope()", 7, "undeclared reference to 'nope' (in container '')"),
        ("self.y", 5, "undefined field 'y'"),
        ("has(self.y)", 4, "undefined field 'y'"),
        ("s.x", 2, "type 'string' does not support field selection"),
        ("s + 1", 3, "found no matching overload for '_+_' applied to '(string, int)'"),
        ("self == 1", 6, "found no matching overload for '_==_' applied to '(Point, int)'"),
        ("s == null", 3, "found no matching overload for '_==_' applied to '(string, null)'"),
        ("n == 1.0", 3, "found no matching overload for '_==_' applied to '(int, double)'"),
        ("n.startsWith('a')", 13, "found no matching overload for 'startsWith' applied to 'int.(string)'"),
        ("size(1)", 5, "found no matching overload for 'size' applied to '(int)'"),
        ("n && true", 1, "expected type 'bool' but found 'int'"),
        ("[1, 'a']", 5, "expected type 'int' but found 'string'"),
        ("{'a': 1, 2: 3}", 10, "expected type 'string' but found 'int'"),
        ("['a', any]", 7, "expected type 'string' but found 'dyn'"),
        ("n.all(x, true)", 1,
         "expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)"),
        ("[?1]", 3, "expected type 'optional_type(int)' but found 'int'"),
        ("Nope{a: 1}", 5, "undeclared reference to 'Nope' (in container '')"),
        ("duration('x')", 10, "invalid duration argument"),
        ("timestamp('2020')", 11, "invalid timestamp argument"),
        ("s.matches('[')", 11, "invalid matches argument"),
        ("'%d'.format(['a'])", 14,
         "error during formatting: decimal clause can only be used on integers, was given string"),
        ("'%z'.format([1])", 12, 'could not parse formatting clause: unrecognized formatting clause "z"'),
        ("'%s'.format([])", 12, "index 0 out of range"),
        ("'%s'.format([1, 2])", 12, "too many arguments supplied to string.format (expected 1, got 2)"),
    ],
)  # fmt: skip
def test_faults(text: str, at: int, wanted: str) -> None:
    with pytest.raises(CompileError) as found:
        KNOWN.compile(text)
    assert str(found.value) == f"ERROR: <input>:1:{at}: {wanted}\n | {text}\n | {'.' * (at - 1)}^"


def test_all_faults_are_told_in_the_order_of_the_text() -> None:
    with pytest.raises(CompileError) as found:
        KNOWN.compile("self.b + nope == self.a")
    lines = str(found.value).split("\n")
    assert [line for line in lines if line.startswith("ERROR")] == [
        "ERROR: <input>:1:5: undefined field 'b'",
        "ERROR: <input>:1:10: undeclared reference to 'nope' (in container '')",
        "ERROR: <input>:1:22: undefined field 'a'",
    ]


def test_null_fits_times_and_objects() -> None:
    assert KNOWN.compile("when == null && self != null", BOOL).type is BOOL


def test_the_result_may_have_to_be_of_a_type() -> None:
    with pytest.raises(ResultError) as found:
        KNOWN.compile("n", BOOL)
    assert found.value.found is INT
    assert KNOWN.compile("n", BOOL, INT).type is INT


def test_objects_that_can_be_built_by_name() -> None:
    known = Environment({}, structs={"Point": POINT, "Any": struct("Any", None)}.get)
    built = known.compile("Any{a: 1, ?b: optional.none()}.a == 1 && type(Any{}) == Any").evaluate({})
    assert built is True
    with pytest.raises(
        CompileError, match="expected type of field 'x' is 'int' but provided type is 'string'"
    ):
        known.compile("Point{x: 'a'}")


def test_what_goes_into_a_format_may_be_of_many_types() -> None:
    Environment({}).compile("'%s %s %e'.format([[1, 2], {'k': 1}, 1.5])")
    with pytest.raises(CompileError, match="expected type 'int' but found 'string'"):
        Environment({}).compile("[1, 'a'].size() == 2")


def test_a_type_that_was_concluded_is_not_trusted() -> None:
    program = Environment({"x": DYN}).compile("x.reverse().map(y, y.upperAscii())")
    with pytest.raises(EvaluationError, match="no such overload"):
        program.evaluate({"x": [1]})
    assert program.evaluate({"x": ["a"]}) == ["A"]
