"""Functions on text, regular expressions and formats."""

from typing import Any

import pytest

from pilothouse.api.cel import STRING, Environment, EvaluationError

KNOWN = Environment({"s": STRING})


def value(text: str) -> Any:
    return KNOWN.compile(text).evaluate({"s": "héllo"})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("s.charAt(1)", "é"),
        ("s.charAt(5)", ""),
        ("s.indexOf('l')", 2),
        ("s.indexOf('l', 3)", 3),
        ("s.indexOf('z')", -1),
        ("s.indexOf('', 2)", 2),
        ("s.indexOf('l', 50)", -1),
        ("s.lastIndexOf('l')", 3),
        ("s.lastIndexOf('l', 2)", 2),
        ("s.lastIndexOf('')", 5),
        ("'ÀBc'.lowerAscii()", "Àbc"),
        ("'àbc'.upperAscii()", "àBC"),
        ("'\\u2003 a\\t'.trim()", "a"),
        ("s.substring(1)", "éllo"),
        ("s.substring(1, 3)", "él"),
        ("s.replace('l', 'L')", "héLLo"),
        ("s.replace('l', 'L', 1)", "héLlo"),
        ("s.replace('l', 'L', 0)", "héllo"),
        ("'ab'.replace('', '-')", "-a-b-"),
        ("'a,b,c'.split(',')", ["a", "b", "c"]),
        ("'a,b,c'.split(',', 2)", ["a", "b,c"]),
        ("'a,b'.split(',', 0)", []),
        ("'abc'.split('')", ["a", "b", "c"]),
        ("'abc'.split('', 2)", ["a", "bc"]),
        ("['a', 'b'].join('-')", "a-b"),
        ("['a', 'b'].join()", "ab"),
        ("strings.quote('a\"\\n')", '"a\\"\\n"'),
        ("s.matches('l+o$')", True),
        ("matches(s, '^l')", False),
        ("s.find('l+')", "ll"),
        ("s.find('z')", ""),
        ("'a1b22'.findAll('[0-9]+')", ["1", "22"]),
        ("'a1b22'.findAll('[0-9]+', 1)", ["1"]),
        ("'abab'.findAll('b*')", ["", "b", "b"]),
        ("'%s is %d, %x %X %o %b'.format(['a', 5, 255, 255, 8, 5])", "a is 5, ff FF 10 101"),
        ("'%.2f %f %e'.format([1.005, 1234.5, 1234.5])", "1.00 1,234.500000 1.234500×10⁰³"),
        ("'%s %s %s'.format([1.5, true, null])", "1.5 true null"),
        ("'%s'.format([['a', 1.5, {'b': duration('1s')}]])", '["a", 1.500000, {"b":duration("1s")}]'),
        ("'%% %x %b'.format(['az', true])", "% 617a 1"),
        ("'%f %f'.format(['NaN', 'Infinity'])", "NaN ∞"),
        ("'%s'.format([type(1)])", "int"),
    ],
)
def test_values(text: str, wanted: Any) -> None:
    assert value(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("s.charAt(6)", "index out of range: 6"),
        ("s.substring(-1)", "index out of range: -1"),
        ("s.substring(3, 2)", "invalid substring range. start: 3, end: 2"),
        ("s.indexOf('l', -1)", "index out of range: -1"),
        ("[dyn(1)].join()", "join: invalid input: 1"),
        ("[dyn(1.5)].join()", "join: invalid input: 1.5"),
        ("s.matches(s + '[')", "error parsing regexp: missing closing ]: `[`"),
        ("s.find(s + '(')", "Illegal regex: error parsing regexp: missing closing ): `héllo(`"),
        ("(s + '%d').format([dyn('a')])",
         "error during formatting: decimal clause can only be used on integers, was given string"),
        ("(s + '%').format([1])", "unexpected end of string"),
        ("(s + '%s').format([])", "index 0 out of range"),
        ("(s + '%.').format([1])", "could not parse formatting clause: error while parsing precision: could "
                                   "not find end of precision specifier"),
    ],
)  # fmt: skip
def test_errors(text: str, wanted: str) -> None:
    with pytest.raises(EvaluationError) as found:
        value(text)
    assert str(found.value) == wanted
