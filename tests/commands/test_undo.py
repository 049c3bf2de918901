"""`pilothouse undo`: takes a change back."""

from typing import TYPE_CHECKING

import pytest

from pilothouse.commands.api import ApiError

if TYPE_CHECKING:
    from commands.conftest import Kept

MAPS = "configmaps"


def name_of(obj: dict[str, dict[str, str]]) -> str:
    """The name of the change that has written an object."""
    return f"r{obj['metadata']['resourceVersion']}"


def test_the_last_change_of_an_object(kept: "Kept") -> None:
    before = kept.create(MAPS, "a", data={"k": "1"})
    kept.change(MAPS, "a", {"data": {"k": "2"}})
    undo = ["undo", "cm/a", "-n", kept.namespace]
    status, text = kept.run(*undo, "--dry-run")
    assert (status, kept.get(MAPS, "a")["data"]) == (0, {"k": "2"})
    assert text == f"updated  configmaps/a\n1 updated, as of {name_of(before)} (server dry run)\n"
    assert kept.run(*undo) == (0, f"updated  configmaps/a\n1 updated, as of {name_of(before)}\n")
    now = kept.get(MAPS, "a")
    assert now["data"] == {"k": "1"} and now["metadata"]["uid"] == before["metadata"]["uid"]
    assert "history" in [one["manager"] for one in now["metadata"]["managedFields"]]


def test_an_older_change_leaves_later_ones(kept: "Kept") -> None:
    kept.create(MAPS, "a", data={"k": "1", "l": "1"})
    older = kept.change(MAPS, "a", {"data": {"k": "2", "l": "1"}})
    kept.change(MAPS, "a", {"data": {"k": "2", "l": "2"}})
    assert kept.run("undo", name_of(older))[0] == 0
    assert kept.get(MAPS, "a")["data"] == {"k": "1", "l": "2"}


def test_what_others_have_changed_since_is_kept_unless_forced(kept: "Kept") -> None:
    kept.create(MAPS, "a", data={"k": "1"})
    older = kept.change(MAPS, "a", {"data": {"k": "2"}})
    kept.change(MAPS, "a", {"data": {"k": "3"}})
    status, text = kept.run("undo", name_of(older))
    assert status == 1 and "others have changed since: .data.k" in text
    assert kept.get(MAPS, "a")["data"] == {"k": "3"}
    assert kept.run("undo", name_of(older), "--force")[0] == 0
    assert kept.get(MAPS, "a")["data"] == {"k": "1"}


def test_a_deletion_and_a_creation(kept: "Kept") -> None:
    kept.create(MAPS, "a", data={"k": "1"})
    kept.delete(MAPS, "a")
    assert kept.run("undo", "cm/a", "-n", kept.namespace)[1].startswith("created  configmaps/a\n")
    assert kept.get(MAPS, "a")["data"] == {"k": "1"}
    assert kept.run("undo", "cm/a", "-n", kept.namespace)[1].startswith("deleted  configmaps/a\n")
    with pytest.raises(ApiError, match="not found"):
        kept.get(MAPS, "a")


def test_documents(kept: "Kept") -> None:
    change = name_of(kept.create(MAPS, "a"))
    found = kept.json("undo", "cm/a", "-n", kept.namespace, "--dry-run")
    assert found["spec"] == {"change": change, "force": False}
    (result,) = found["status"]["results"]
    assert (result["resource"], result["namespace"]) == (MAPS, kept.namespace)
    assert (result["name"], result["action"]) == ("a", "Deleted")


def test_an_undo_has_the_rights_of_its_user(kept: "Kept") -> None:
    kept.create(MAPS, "a", data={"k": "1"})
    change = name_of(kept.change(MAPS, "a", {"data": {"k": "2"}}))
    rules = [
        {"apiGroups": ["history.pilothouse.dev"], "resources": ["undos"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": [MAPS], "verbs": ["get"]},
    ]
    user = kept.server.user("undoer", rules=rules)
    status, text = kept.run("undo", change, kubeconfig=user.kubeconfig)
    assert status == 1 and text.startswith("failed  configmaps/a") and 'User "undoer" cannot update' in text
    assert kept.get(MAPS, "a")["data"] == {"k": "2"}


def test_what_cannot_be_undone(kept: "Kept") -> None:
    assert kept.run("undo", "r999999") == (1, 'Error: changes.history.pilothouse.dev "r999999" not found\n')
    assert kept.run("undo", "cm/nope", "-n", kept.namespace)[0] == 1
    assert kept.run("undo")[0] == kept.run("undo", "cm")[0] == 2
