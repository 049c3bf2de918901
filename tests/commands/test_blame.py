"""`pilothouse blame`: which change has set each line of an object."""

import re
from typing import TYPE_CHECKING, Any

import yaml

from pilothouse.commands import blame
from pilothouse.commands.api import Api

if TYPE_CHECKING:
    from commands.conftest import Kept

MAPS = "configmaps"


def lines(text: str) -> dict[str, list[str]]:
    """By the text of a line, the cells at its left."""
    rows = [line.split(" │ ") for line in text.rstrip().split("\n")]
    return {right.strip(): left.split() for left, right in rows}


def test_each_line_has_its_change(kept: "Kept") -> None:
    first = kept.create(MAPS, "a", data={"k": "1", "l": "one\ntwo"})
    rule = {"apiGroups": [""], "resources": [MAPS], "verbs": ["update"]}
    other = kept.server.user("mallory", rules=[rule], namespace=kept.namespace)
    obj = {**kept.get(MAPS, "a"), "data": {"k": "2", "l": "one\ntwo"}}
    second = Api(other.kubeconfig).call("PUT", f"{kept.collection(MAPS)}/a?fieldManager=tool", obj)
    status, text = kept.run("blame", "cm", "a", "-n", kept.namespace)
    found = lines(text)
    made, set_ = (f"r{one['metadata']['resourceVersion']}" for one in (first, second))
    assert status == 0 and found["k: '2'"][:3] == [set_, "mallory", "tool"]
    assert found["kind: ConfigMap"][:2] == found["one"][:2] == found["two"][:2] == [made, "kubernetes-admin"]
    assert re.fullmatch(r"\d+s", found["k: '2'"][-1]) and found["data:"] == found["metadata:"] == []
    shown = yaml.safe_load("\n".join(line.split(" │ ")[1] for line in text.rstrip().split("\n")))
    wanted = kept.get(MAPS, "a")
    for name in ("managedFields", "resourceVersion"):
        del wanted["metadata"][name]
    assert shown == wanted


def test_documents_and_the_wide_form(kept: "Kept") -> None:
    kept.create(MAPS, "a", data={"k": "1"})
    found = kept.json("blame", "cm/a", "-n", kept.namespace)
    (field,) = [one for one in found["status"]["fields"] if one["path"] == ".data.k"]
    assert (field["value"], field["verb"], field["user"]["username"]) == ("1", "create", "kubernetes-admin")
    assert "metadata" not in found
    _, text = kept.run("blame", "cm/a", "-n", kept.namespace, "-o=wide")
    assert lines(text)["k: '1'"][-3:-1] == ["create", field["time"]]


def test_who_cannot_be_blamed(kept: "Kept") -> None:
    assert kept.run("blame", "cm/a", "-n", kept.namespace) == (1, 'Error: configmaps "a" not found\n')
    assert kept.run("blame", "cm")[0] == kept.run("blame")[0] == 2
    reader = kept.server.user(
        "blind", rules=[{"apiGroups": ["*"], "resources": ["blames"], "verbs": ["create"]}]
    )
    kept.create(MAPS, "a")
    status, text = kept.run("blame", "cm/a", "-n", kept.namespace, kubeconfig=reader.kubeconfig)
    assert status == 1 and 'User "blind" cannot get resource "configmaps"' in text


def field(path: str, value: Any, revision: int = 0) -> dict[str, Any]:
    known = {"revision": str(revision), "time": "2026-01-01T00:00:00Z", "user": {"username": "bob"}}
    return {"path": path, "value": value, **(known if revision else {})}


def test_lines_that_nobody_knows_are_marked_and_the_newest_stand_out() -> None:
    fields = [field(".a", "1", 5), field(".l[0].n", "x", 7), field(".l[1]", {}), field(".l[2][0]", None, 5)]
    found = lines(blame.text(fields))
    assert found["a: '1'"][:2] == ["r5", "bob"] and found["- {}"] == ["?"]
    assert list(found) == ["a: '1'", "l:", "- n: x", "- {}", "- - null"]
    painted = blame.text(fields, colours=True).split("\n")
    assert painted[2].startswith("\x1b[33mr7") and painted[0].startswith("\x1b[2mr5")


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in blame.text([field(".a", "\x1b[2J\u202e", 1)])
