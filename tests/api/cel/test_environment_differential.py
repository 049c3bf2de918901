"""Expressions of all kinds against another implementation of the language, cel-expr-python (cel-cpp)."""

from typing import Any

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api.cel import DYN, CompileError, Environment, EvaluationError, ProgramError, UInt

cel = pytest.importorskip("cel_expr_python.cel")

OURS = Environment({"x": DYN, "y": DYN}, validated=False)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(-3, 3)
    | st.floats(-1e9, 1e9, allow_nan=False).filter(lambda value: not value.is_integer() or abs(value) < 10)
    | st.text("ab1-é", max_size=4)
)
VALUES = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(("a", "b", "1")), below, max_size=1)
    ),
    max_leaves=6,
)
ATOMS = st.sampled_from(
    (
        "x", "y", "1", "-2", "3u", "1.5", "'a'", "'ab'", "true", "false", "null", "[1, 2]", "['a']",
        "{'a': 1}", "x.a", "y['b']", "x[0]", "y[1]", "i", "9223372036854775807", "duration('1s')",
        "timestamp('2020-01-01T00:00:00Z')",
    )
)  # fmt: skip
BINARY = st.sampled_from(("+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in"))


def bigger(below: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return (
        st.builds("({} {} {})".format, below, BINARY, below)
        | st.builds("({} ? {} : {})".format, below, below, below)
        | st.builds("!({})".format, below)
        | st.builds("size({})".format, below)
        | st.builds("string({})".format, st.sampled_from(("1", "2u", "true", "'a'")))
        | st.builds("int({})".format, st.sampled_from(("'12'", "'a'", "3u", "2.5", "1e30")))
        | st.builds("type({}) == type({})".format, below, below)
        | st.builds("has({{'a': {}}}.{})".format, below, st.sampled_from("ab"))
        | st.builds(
            "({}).{}(i, {})".format, below, st.sampled_from(("all", "exists", "exists_one", "filter")), below
        )
        | st.builds("({}).map(i, {})".format, below, below)
        | st.builds("[{}, {}]".format, below, below)
        | st.builds("{{'a': {}}}".format, below)
        | st.builds(
            "({}).{}({})".format, below, st.sampled_from(("startsWith", "endsWith", "contains")), below
        )
    )


EXPRESSIONS = st.recursive(ATOMS, bigger, max_leaves=6)


def plain(value: Any) -> Any:
    """A value of either implementation, with its type where Python has one type for several."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, UInt):
        return int(value)
    if isinstance(value, bool | int | float | str | bytes) or value is None:
        return value
    return "a time"


def ours(text: str, bindings: dict[str, Any]) -> Any:
    try:
        program = OURS.compile(text)
    except ProgramError:
        return "error"
    except CompileError:
        return "no program"
    try:
        return plain(program.evaluate(bindings))
    except EvaluationError:
        return "error"


def theirs(text: str, bindings: dict[str, Any]) -> Any:
    known = cel.NewEnv(variables={"x": cel.Type.DYN, "y": cel.Type.DYN})
    try:
        program = known.compile(text)
    except Exception:
        return "no program"
    found = program.eval(data=bindings)
    if found.type() == cel.Type.ERROR:
        return "error"
    value = found.plain_value()
    return (
        plain(value)
        if isinstance(value, bool | int | float | str | bytes | list | dict) or value is None
        else "a time"
    )


@pytest.mark.slow
@settings(max_examples=500 * SCALE)
@given(EXPRESSIONS, VALUES, VALUES)
def test_expressions(text: str, x: Any, y: Any) -> None:
    bindings = {"x": x, "y": y}
    mine, other = ours(text, bindings), theirs(text, bindings)
    if other == "no program":  # it knows more of a type that is dynamic
        return
    assert mine == other and type(mine) is type(other), f"{text} with {bindings}: {mine!r}, not {other!r}"
