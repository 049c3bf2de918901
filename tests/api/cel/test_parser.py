"""Syntax: what is read how, and what is said of what cannot be read."""

import contextlib
from typing import Any

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api.cel import CompileError, Environment, EvaluationError, UInt

PRIMARY = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES,"
    " IDENTIFIER}"
)
EMPTY = Environment({})


def value(text: str) -> Any:
    return EMPTY.compile(text).evaluate({})


def fault(text: str) -> str:
    with pytest.raises(CompileError) as found:
        EMPTY.compile(text)
    return str(found.value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("100 / 10 / 2", 5),
        ("7 % 4 * 2", 6),
        ("-2 - -3", 1),
        ("--2", 2),
        ("!true || true", True),
        ("!!true", True),
        ("1 < 2 == true", True),
        ("true || false && false", True),
        ("1 + 1 == 2 ? 'a' : 'b'", "a"),
        ("false ? 1 : true ? 2 : 3", 2),
        ("2 in [1, 2] && !(3 in [1])", True),
        ("[1, 2,]", [1, 2]),
        ("{'a': 1,}", {"a": 1}),
        ("[,]", []),
        ("[[1], [2]][1][0]", 2),
        ("{'a': {'b': 3}}.a.b", 3),
        ("1 // to the end of the line\n + 2", 3),
        ("'a'.size()", 1),
    ],
)
def test_precedence_and_literals(text: str, wanted: Any) -> None:
    assert value(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0", 0),
        ("-9223372036854775808", -(2**63)),
        ("0x1F", 31),
        ("-0x10", -16),
        ("42u", UInt(42)),
        ("0xFFu", UInt(255)),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-2.5E-1", -0.25),
        ("'its'", "its"),
        ('"a\\nb"', "a\nb"),
        ("'\\x41\\u00e9\\U0001F600\\101'", "Aé😀A"),
        ("r'\\n'", "\\n"),
        ('R"\\d"', "\\d"),
        ("'''a\nb'''", "a\nb"),
        ('"""say "hi" """', 'say "hi" '),
        ("b'\\xff\\101'", b"\xffA"),
        ("b'é'", "é".encode()),
        ("br'\\x'", b"\\x"),
        ("'a\\`\\?'", "a`?"),
        ("null", None),
    ],
)
def test_constants(text: str, wanted: Any) -> None:
    found = value(text)
    assert found == wanted and type(found) is type(wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", f"ERROR: <input>:1:0: Syntax error: mismatched input '<EOF>' expecting {PRIMARY}"),
        ("1 +", f"ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>' expecting {PRIMARY}\n | 1 +\n | ...^"),
        ("1 2", "ERROR: <input>:1:3: Syntax error: extraneous input '2' expecting <EOF>\n | 1 2\n | ..^"),
        ("1 2 3", "ERROR: <input>:1:3: Syntax error: mismatched input '2' expecting <EOF>\n | 1 2 3\n | ..^"),
        ("(1", "ERROR: <input>:1:3: Syntax error: missing ')' at '<EOF>'\n | (1\n | ..^"),
        ("[1", "ERROR: <input>:1:3: Syntax error: mismatched input '<EOF>' expecting {']', ','}\n | [1\n | ..^"),
        ("1 = 1", "ERROR: <input>:1:3: Syntax error: token recognition error at: '= '\n | 1 = 1\n | ..^\n"
                  "ERROR: <input>:1:5: Syntax error: extraneous input '1' expecting <EOF>\n | 1 = 1\n | ....^"),
        ("'a", "ERROR: <input>:1:1: Syntax error: token recognition error at: ''a'\n | 'a\n | ^\n"
               f"ERROR: <input>:1:3: Syntax error: mismatched input '<EOF>' expecting {PRIMARY}\n | 'a\n | ..^"),
        ("9223372036854775808", "ERROR: <input>:1:1: invalid int literal\n | 9223372036854775808\n | ^"),
        ("1e999", "ERROR: <input>:1:1: invalid double literal\n | 1e999\n | ^"),
        ("while", "ERROR: <input>:1:1: reserved identifier: while\n | while\n | ^"),
        ("{1}", "ERROR: <input>:1:3: Syntax error: mismatched input '}' expecting ':'\n | {1}\n | ..^"),
        ("1\n+ ?", f"ERROR: <input>:2:3: Syntax error: mismatched input '?' expecting {PRIMARY}\n | + ?\n | ..^\n"
                   f"ERROR: <input>:2:4: Syntax error: mismatched input '<EOF>' expecting {PRIMARY}\n | + ?\n | ...^\n"
                   "ERROR: <input>:2:4: Syntax error: mismatched input '<EOF>' expecting ':'\n | + ?\n | ...^"),
        ("!-x", "ERROR: <input>:1:3: Syntax error: no viable alternative at input '-x'\n | !-x\n | ..^"),
        ("!- true", "ERROR: <input>:1:4: Syntax error: no viable alternative at input '- true'\n | !- true\n | ...^"),
        ("!!-'a'", "ERROR: <input>:1:4: Syntax error: no viable alternative at input '-'a''\n | !!-'a'\n | ...^"),
        ("!-(1)", "ERROR: <input>:1:3: Syntax error: no viable alternative at input '-('\n | !-(1)\n | ..^"),
        ("!-1u", "ERROR: <input>:1:3: Syntax error: no viable alternative at input '-1u'\n | !-1u\n | ..^"),
        ("-!x", "ERROR: <input>:1:2: Syntax error: no viable alternative at input '-!'\n | -!x\n | .^"),
        ("has(1)", "ERROR: <input>:1:5: invalid argument to has() macro\n | has(1)\n | ....^"),
        ("[1].all(1, true)", "ERROR: <input>:1:9: argument must be a simple name\n | [1].all(1, true)\n | ........^"),
        ("[1].map(x.y, 1)", "ERROR: <input>:1:10: argument is not an identifier\n | [1].map(x.y, 1)\n | .........^"),
        ("[1].all(x, x, true)", "ERROR: <input>:1:12: duplicate variable name: x\n | [1].all(x, x, true)\n | ...........^"),
        ("'é' + $", "ERROR: <input>:1:7: Syntax error: token recognition error at: '$'\n | 'é' + $\n | .\uff0e....^\n"
                    f"ERROR: <input>:1:8: Syntax error: mismatched input '<EOF>' expecting {PRIMARY}\n | 'é' + $\n"
                    " | .\uff0e.....^"),
    ],
)  # fmt: skip
def test_faults(text: str, wanted: str) -> None:
    assert fault(text) == wanted


def test_size_and_depth_are_limited() -> None:
    assert fault("1" * 100_001).startswith(
        "ERROR: <input>:-1:0: expression code point size exceeds limit: size: 100001"
    )
    for deep in ("+".join("1" * 600), "[" * 300 + "]" * 300, "a" + ".b" * 300, "(" * 5000):
        assert "expression recursion limit exceeded" in fault(deep)
    assert value(" && ".join(["true"] * 5000)) is True


def test_only_the_first_errors_are_told() -> None:
    text = fault("$" * 200)
    assert text.count("token recognition") == 100 and text.endswith("more errors were truncated")


TOKENS = (
    "x", "1", "-1", "2u", "1.5", "1e999", "9223372036854775808", "0x", "'a'", "b'c'", "r'\\d'", "'\\ud800'",
    "'\\400'", "true", "false", "null", "-", "!", "(", ")", "[", "]", "{", "}", ",", ".", "?", ":", "+", "*",
    "/", "%", "&&", "||", "==", "<", "in", "has", "all", "while", "`a-b`", ".?f", "[?1]", "T{", "//c\n", "\x00",
    "é", "\n", "has(a.b)", "a.all(x, x)", "a.map(x, y, x)",
)  # fmt: skip


@settings(max_examples=60 * SCALE, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=12), st.sampled_from(("", " ")))
def test_any_tokens_are_an_expression_or_a_compile_error(tokens: list[str], between: str) -> None:
    try:
        program = EMPTY.compile(between.join(tokens))
    except CompileError as err:
        assert str(err).startswith("ERROR: <input>:")
        return
    with contextlib.suppress(EvaluationError):
        program.evaluate({})


@pytest.mark.parametrize(
    "text", ["!-true", "!- true", "!-false", "!-null", "!!-x.y", "[!-x]", "f(!-x)", "!-[1]", "- !true"]
)
def test_a_minus_behind_a_not_is_the_sign_of_a_number(text: str) -> None:
    assert "Syntax error: no viable alternative at input '-" in fault(text)
