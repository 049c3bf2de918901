"""Texts that the console makes by itself: differences, YAML, fields and their managers."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from e2e.consoles import MARKS, Consoles

from pilothouse.testing.server import InProcess

pytest.importorskip("playwright.sync_api")

pytestmark = [*MARKS]


@pytest.fixture
def page(browser: Any, server: InProcess) -> Iterator[Any]:
    with Consoles(browser, server.url) as consoles:
        yield consoles()


def run(page: Any, module: str, body: str, argument: Any) -> Any:
    return page.evaluate(
        f'async (given) => {{ const it = await import("/console/{module}.js"); {body} }}', argument
    )


def test_a_difference_has_both_texts_and_is_the_shortest(page: Any) -> None:
    chosen = random.Random(7)
    pairs = [["\n".join(chosen.choices("abc", k=chosen.randrange(9))) for _ in range(2)] for _ in range(300)]
    found = run(page, "diff", "return given.map(([a, b]) => it.diff(a, b));", pairs)
    for (before, after), lines in zip(pairs, found, strict=True):
        assert "\n".join(line for sign, line in lines if sign != "+") == before
        assert "\n".join(line for sign, line in lines if sign != "-") == after
        kept = sum(sign == " " for sign, _ in lines)
        assert kept == common(before.split("\n"), after.split("\n")), (before, after)


def common(a: list[str], b: list[str]) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for x in a:
        above = row[:]
        for at, y in enumerate(b):
            row[at + 1] = above[at] + 1 if x == y else max(above[at + 1], row[at])
    return row[-1]


def test_texts_that_differ_in_much_are_shown_as_replaced(page: Any) -> None:
    texts = ["\n".join(f"{side}{n}" for n in range(3000)) for side in "ab"]
    found = run(page, "diff", "return it.diff(...given);", texts)
    assert [sign for sign, _ in found] == ["-"] * 3000 + ["+"] * 3000


def test_lines_far_from_a_change_are_left_out(page: Any) -> None:
    before = [str(n) for n in range(40)]
    after = ["x" if line == "20" else line for line in before]
    body = "return it.changes(it.diff(...given));"
    found = run(page, "diff", body, ["\n".join(before), "\n".join(after)])
    assert [sign for sign, _ in found] == ["…", *"   ", "-", "+", *"   ", "…"]
    assert run(page, "diff", body, ["same", "same"]) == []


TEXTS = (
    "yes",
    "No",
    "null",
    "~",
    "1",
    "1e3",
    "0x1",
    "1.5",
    "2026-01-01",
    "12:30:45",
    "",
    " a ",
    "a\nb\n",
    "- a",
)
MORE = (
    "a: b",
    "#a",
    "'",
    '"',
    "\\",
    "\u0085\u2028\ufeff",
    "\t",
    "{a}",
    "[a]",
    "!a",
    "&a",
    "*a",
    "@a",
    "é 字 😀",
)


def test_values_are_written_so_that_others_read_the_same(page: Any) -> None:
    values = [
        {text: text for text in (*TEXTS, *MORE)},
        {"a": [], "b": {}, "c": [[1, [2, "x"]], {"d": [{"e": None, "f": True}]}], "g": -1.5},
        {"metadata": {"labels": {"a": "on"}}, "list": [{"name": "a", "items": ["x", {"y": "z"}]}]},
    ]
    for value, text in zip(
        values, run(page, "yaml", "return given.map((one) => it.write(one));", values), strict=True
    ):
        assert yaml.safe_load(text) == value, text


def test_the_fields_of_a_manager(page: Any) -> None:
    """Items by keys, by values and by places, and members within each."""
    spec = {
        "containers": [{"name": "a", "image": "i", "tty": True}, {"name": "b", "image": "j"}],
        "finalizers": ["x", "y"],
        "args": ["p", "q"],
        "empty": {},
        "other": 1,
    }
    fields = {
        "f:spec": {
            "f:containers": {'k:{"name":"a"}': {".": {}, "f:name": {}, "f:image": {}}},
            "f:finalizers": {'v:"y"': {}},
            "f:args": {"i:1": {}},
            "f:empty": {},
            "f:gone": {},
        }
    }
    entry = {"manager": "pilothouse-console", "operation": "Apply", "apiVersion": "v1", "fieldsV1": fields}
    found = run(
        page, "managers", "return it.applied(given);", {"metadata": {"managedFields": [entry]}, "spec": spec}
    )
    assert found == {
        "spec": {
            "containers": [{"name": "a", "image": "i"}],
            "finalizers": ["y"],
            "args": ["q"],
            "empty": {},
        }
    }
    other = {**entry, "manager": "argo"}
    left = {**other, "fieldsV1": {"f:spec": {"f:args": {"i:1": {}}, "f:empty": {}, "f:gone": {}}}}
    objects = [{"metadata": {"managedFields": [one]}} for one in (other, left)]
    assert run(page, "managers", "return it.taken(...given);", objects) == [
        {
            "manager": "argo",
            "applied": True,
            "paths": [
                '.spec.containers[name="a"].name',
                '.spec.containers[name="a"].image',
                '.spec.finalizers[="y"]',
            ],
        }
    ]
