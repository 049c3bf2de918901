"""The estimated cost of an expression before its values are known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.cel import (
    AUTHORIZER,
    BINDINGS,
    BOOL,
    INT,
    MOST,
    STRING,
    Environment,
    EvaluationError,
    Range,
    ValuePath,
    list_of,
    map_of,
)

KNOWN = Environment(
    {
        "s": STRING, "n": INT, "list": list_of(STRING), "map": map_of(STRING, STRING),
        "authorizer": AUTHORIZER, "b": BOOL, "ints": list_of(INT),
    },
    extra=[BINDINGS],
)  # fmt: skip
SIZES = {"s": 100, "list": 10, "list.@items": 20, "map": 5, "map.@keys": 4, "map.@values": 8, "ints": 50}


def sizes(path: ValuePath) -> Range | None:
    most = SIZES.get(".".join(path))
    return Range(0, most) if most is not None else None


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("1", 0, 0),
        ("n + 1 > 2", 3, 3),
        ("s == 'a'", 2, 2),
        ("s == s", 3, 12),
        ("s + s", 2, 22),
        ("s.startsWith('abc')", 2, 2),
        ("s.contains('abc')", 1, 11),
        ("s.matches('^a+$')", 2, 12),
        ("s.find('^a+$')", 2, 12),
        ("s.lowerAscii()", 1, 11),
        ("s.split(',')", 1, 21),
        ("s.split(',').all(x, x.size() > 0)", 2, 622),
        ("list.all(x, x == 'a')", 2, 10 * (2 + 1 + 2) + 2),
        ("list.exists(x, x == 'a')", 2, 10 * (3 + 1 + 2) + 2),
        ("list.map(x, x + x)", 12, 192),
        ("list.filter(x, x != '').size()", 13, 153),
        ("map.all(k, map[k] == 'a')", 2, 37),
        ("map.all(k, v, v == 'a')", 2, 27),
        ("list.join(',')", 1, 22),
        ("'a' in list", 1, 11),
        ("list.indexOf('a')", 1, 31),
        ("ints.sum() > ints.max()", 3, 103),
        ("sets.contains(list, ['a', 'b'])", 12, 32),
        ("list.sort()", 12, 222),
        ("[3, 1].sort()", 29, 29),
        ("lists.range(n)", MOST, MOST),
        ("lists.range(10)", 21, 21),
        ("b && n > 1", 1, 3),
        ("b ? s : 'a'", 1, 2),
        ("has(map.a)", 1, 1),
        ("cel.bind(x, s + s, x == x)", 15, 54),
        ("authorizer.path('/x').check('get').allowed()", 350003, 350003),
        ("ip('1.2.3.4').isLoopback()", 2, 2),
        ("cidr('10.0.0.0/8').containsIP('10.0.0.1')", 3, 6),
        ("quantity('1').add(1) == quantity('2')", 4, 4),
        ("format.dns1123Label().validate(s)", 2, 322),
        ("'%s'.format([s])", 12, 12),
    ],
)
def test_estimates(text: str, least: int, most: int) -> None:
    assert KNOWN.compile(text).estimate(sizes) == (least, most)


def test_without_sizes_there_is_no_bound() -> None:
    assert KNOWN.compile("list.all(x, x.contains(s))").estimate(lambda path: None).most == MOST


@given(
    st.text("ab,", max_size=30),
    st.lists(st.text("ab", max_size=5), max_size=8),
    st.sampled_from(
        [
            "s.contains('a') || s.size() > 3",
            "list.all(x, s.contains(x))",
            "list.map(x, x + s).join('-').size() > 5",
            "list.filter(x, x.startsWith('a')).exists(x, x == s)",
            "(s + ',').split(',').map(x, x.upperAscii()).join() == s",
            "list.indexOf(s) >= 0 && list == list",
            "cel.bind(t, s + 'x', t.matches('a+') ? t : s) == s",
            "list.sort() == list.distinct() || sets.equivalent(list, ['a'])",
            "list.transformMap(i, v, v + s).all(k, v, v != '')",
        ]
    ),
)
def test_no_evaluation_costs_more_than_its_estimate(s: str, items: list[str], text: str) -> None:
    known = {"s": len(s), "list": len(items), "list.@items": max(map(len, items), default=0)}

    def exact(path: ValuePath) -> Range | None:
        most = known.get(".".join(path))
        return Range(0, most) if most is not None else None

    program = KNOWN.compile(text)
    try:
        spent = program.cost({"s": s, "list": items})
    except EvaluationError as err:
        spent = err.cost
    assert spent <= program.estimate(exact).most
