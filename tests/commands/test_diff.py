"""`pilothouse diff`: how an object has changed."""

from typing import TYPE_CHECKING

import pytest

from pilothouse.commands import diff
from pilothouse.commands.diff import Side

if TYPE_CHECKING:
    from commands.conftest import Kept

MAPS = "configmaps"


def changes(text: str) -> list[str]:
    """The lines of a diff that were added or removed."""
    return [line for line in text.split("\n") if line[:1] in "+-" and line[:3] not in ("+++", "---", "")]


def test_by_the_last_change(kept: "Kept") -> None:
    kept.create(MAPS, "a", data={"k": "1"})
    kept.change(MAPS, "a", {"data": {"k": "2"}})
    revision = kept.change(MAPS, "a", {"data": {"k": "3"}})["metadata"]["resourceVersion"]
    status, text = kept.run("diff", "cm/a", "-n", kept.namespace)
    head = text.split("\n")
    assert status == 1 and changes(text) == ["-  k: '2'", "+  k: '3'"]
    assert head[0] == f"--- configmaps/a\tbefore r{revision}"
    assert head[1].startswith(f"+++ configmaps/a\tr{revision} by kubernetes-admin at 20")
    assert kept.run("diff", f"r{revision}", "-n", kept.namespace) == (status, text)


def test_by_a_change_of_an_object_without_a_namespace(kept: "Kept") -> None:
    (change,) = kept.json("history", f"ns/{kept.namespace}")["items"]
    status, text = kept.run("diff", change["metadata"]["name"])
    assert status == 1 and "+kind: Namespace" in changes(text)
    assert all(line[0] == "+" for line in changes(text))


def test_a_deletion_removes_all_lines(kept: "Kept") -> None:
    kept.create(MAPS, "a", data={"k": "1"})
    kept.delete(MAPS, "a")
    status, text = kept.run("diff", "cm/a", "-n", kept.namespace)
    assert status == 1 and "-  k: '1'" in changes(text) and all(line[0] == "-" for line in changes(text))


def test_between_two_times(kept: "Kept") -> None:
    kept.create(MAPS, "a", data={"k": "1"})
    times = []
    for number in (2, 3):
        times.append(kept.now())
        kept.change(MAPS, "a", {"data": {"k": str(number)}})
    here = ["diff", "cm/a", "-n", kept.namespace]
    _, text = kept.run(*here, "--at", times[0])
    assert changes(text) == ["-  k: '1'", "+  k: '3'"] and "\tnow\n" in text
    assert changes(kept.run(*here, "--at", times[0], "--to", times[1])[1]) == ["-  k: '1'", "+  k: '2'"]
    assert kept.run(*here, "--at", "0s") == (0, "")
    assert all(line[0] == "+" for line in changes(kept.run(*here, "--at=10m")[1]))


def test_documents_have_the_fields(kept: "Kept") -> None:
    before = kept.create(MAPS, "a", data={"k": "1"})
    after = kept.change(MAPS, "a", {"data": {"k": "2", "l": "x"}})
    assert kept.json("diff", "cm/a", "-n", kept.namespace) == {
        "object": {"resource": MAPS, "namespace": kept.namespace, "name": "a"},
        "from": before["metadata"]["resourceVersion"],
        "to": after["metadata"]["resourceVersion"],
        "fields": [{"path": ".data.k", "old": "1", "new": "2"}, {"path": ".data.l", "new": "x"}],
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cm/nope"], "no change of configmaps/nope is known"),
        (["cm/nope", "--at=1s"], "configmaps/nope was not there"),
        (["cm/nope", "--to=1s"], "--to needs --at"),
        (["r1", "--at=1s"], "--at is for an object, not for a change"),
        (["r999999"], 'nor of one without a namespace, is called "r999999"'),
        (["cm/nope", "--at=tomorrow"], 'at: Invalid value: "tomorrow"'),
        ([], '"pilothouse diff" takes KIND/NAME'),
    ],
)
def test_a_failure_is_no_difference(kept: "Kept", words: list[str], said: str) -> None:
    status, text = kept.run("diff", *words, "-n", kept.namespace)
    assert status == 2 and said in text


def test_a_diff_has_colours() -> None:
    old, new = ({"metadata": {"name": "a"}, "data": {"k": k}} for k in ("1", "\x1b2"))
    found = list(diff.unified("cm/a", Side("then", old), Side("now", new), colours=True))
    assert found[0] == "\x1b[1m--- cm/a\tthen\x1b[0m" and found[2].startswith("\x1b[36m@@")
    assert "\x1b[31m-  k: '1'\x1b[0m" in found
    assert '\x1b[32m+  k: "\\e2"\x1b[0m' in found
