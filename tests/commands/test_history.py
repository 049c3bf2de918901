"""`pilothouse history`: who changed what."""

import re
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from pilothouse.commands import history
from pilothouse.commands.api import Api
from pilothouse.history.file import HistoryGap
from pilothouse.testing.server import InProcess

if TYPE_CHECKING:
    from commands.conftest import Kept

MAPS = "configmaps"


def names(text: str) -> list[str]:
    """The names of the changes in a table."""
    return re.findall(r"^r\S+", text, re.M)


def change(name: str, **members: object) -> dict[str, object]:
    """A change as the API shows it."""
    return {
        "metadata": {"name": name},
        "object": {"resource": MAPS, "name": "a", "namespace": "x"},
        "operation": "Changed",
        "time": "2026-01-01T00:00:00.000Z",
        "summary": "s" * 50,
        **members,
    }


def test_changes_are_listed_the_newest_first(kept: "Kept") -> None:
    kept.create(MAPS, "a", data={"k": "1"})
    kept.change(MAPS, "a", {"data": {"k": "2"}})
    kept.delete(MAPS, "a")
    status, text = kept.run("history", "cm/a", "-n", kept.namespace)
    head, *rows = text.rstrip().split("\n")
    assert status == 0 and head.split() == ["NAME", "AGE", "USER", "VERB", "OBJECT", "CHANGE"]
    cells = [row.split(None, 5) for row in rows]
    assert [(one[2], one[3], one[4], one[5]) for one in cells] == [
        ("kubernetes-admin", "delete", "configmaps/a", "deleted"),
        ("kubernetes-admin", "update", "configmaps/a", ".data.k: 1 -> 2"),
        ("kubernetes-admin", "create", "configmaps/a", "created"),
    ]
    assert all(re.fullmatch(r"r\d+", one[0]) and re.fullmatch(r"\d+s", one[1]) for one in cells)


@pytest.mark.parametrize(
    "words", [["configmaps/a"], ["configmap", "a"], ["cm/a"], ["ConfigMap", "a"], ["configmaps.v1/a"]]
)
def test_kinds_as_kubectl_takes_them(kept: "Kept", words: list[str]) -> None:
    kept.create(MAPS, "a")
    kept.create(MAPS, "b")
    _, text = kept.run("history", *words, "-n", kept.namespace)
    assert len(names(text)) == 1 and "configmaps/a" in text


def test_a_kind_alone_means_all_of_its_objects(kept: "Kept") -> None:
    kept.create(MAPS, "a")
    kept.create("secrets", "a")
    _, text = kept.run("history", "secret", "-n", kept.namespace)
    assert "secrets/a" in text and "configmaps" not in text


def test_objects_without_a_namespace(kept: "Kept") -> None:
    _, text = kept.run("history", f"ns/{kept.namespace}", "-n", "nowhere")
    assert len(names(text)) == 1 and f"namespaces/{kept.namespace}" in text


def test_filters(kept: "Kept") -> None:
    kept.create(MAPS, "a", data={"k": "1"})
    kept.change(MAPS, "a", {"data": {"k": "2"}})
    rule = {"apiGroups": [""], "resources": [MAPS], "verbs": ["get", "update"]}
    other = kept.server.user("cn=mallory,o=a\\b", rules=[rule], namespace=kept.namespace)
    path = f"{kept.collection(MAPS)}/a?fieldManager=tool"
    Api(other.kubeconfig).call("PUT", path, {**kept.get(MAPS, "a"), "data": {"k": "2", "l.m": "3"}})
    here = ["history", "cm/a", "-n", kept.namespace]
    paths = [
        len(names(kept.run(*here, "--path", path)[1])) for path in (".data.k", "data.k", ".data", ".dat")
    ]
    assert paths == [1, 1, 2, 0]
    assert len(names(kept.run(*here, "--path", ".data['l.m']")[1])) == 1
    assert len(names(kept.run(*here, "--user=kubernetes-admin")[1])) == 2
    assert len(names(kept.run(*here, f"--user={other.name}")[1])) == 1
    assert len(names(kept.run(*here, "--manager=tool")[1])) == 1
    assert len(names(kept.run(*here, "--since=1h")[1])) == 3
    assert len(names(kept.run(*here, "--until=1h")[1])) == 0
    assert kept.run(*here, "--since=later")[0] == 1


def test_of_many_changes_some_are_shown(kept: "Kept") -> None:
    kept.create(MAPS, "a", data={"k": "0"})
    for number in range(4):
        kept.change(MAPS, "a", {"data": {"k": f"{number + 1}"}})
    status, text = kept.run("history", "cm/a", "-n", kept.namespace, "--limit=2")
    assert status == 0 and len(names(text)) == 2
    assert ".data.k: 3 -> 4" in text and text.endswith("(there are more: --limit)\n")
    assert "there are more" not in kept.run("history", "cm/a", "-n", kept.namespace, "--limit=5")[1]
    assert kept.run("history", "--limit=0")[0] == 2


def test_all_namespaces_and_what_is_in_none(kept: "Kept") -> None:
    kept.create(MAPS, "a")
    _, text = kept.run("history", "-A", "--limit=8")
    assert re.search(rf"create +{kept.namespace} +configmaps/a", text)
    assert re.search(rf"create +namespaces/{kept.namespace}", text)
    found = [int(name[1:]) for name in names(text)]
    assert found == sorted(found, reverse=True)


def test_documents_and_the_wide_table(kept: "Kept") -> None:
    kept.create(MAPS, "a")
    here = ["history", "cm/a", "-n", kept.namespace]
    (found,) = kept.json(*here)["items"]
    assert found["object"]["name"] == "a" and found["user"]["username"] == "kubernetes-admin"
    assert yaml.safe_load(kept.run(*here, "-o", "yaml")[1])["items"] == [found]
    head, row = kept.run(*here, "-o=wide")[1].rstrip().split("\n")
    assert head.split()[1] == "TIME" and head.split()[5:8] == ["MANAGER", "ADDRESS", "AUDIT-ID"]
    assert found["auditID"] in row and found["time"] in row and "127.0.0.1" in row


def test_who_may_not_get_an_object_does_not_see_its_changes(kept: "Kept") -> None:
    kept.create(MAPS, "a", data={"k": "hidden-value"})
    kept.create("secrets", "s", stringData={"k": "v"})
    rules = [
        {"apiGroups": ["history.pilothouse.dev"], "resources": ["changes"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": [MAPS], "verbs": ["get"]},
    ]
    reader = kept.server.user("reader", rules=rules, namespace=kept.namespace)
    _, text = kept.run("history", "-n", kept.namespace, kubeconfig=reader.kubeconfig)
    assert "configmaps/a" in text and "secrets/" not in text
    nobody = kept.server.user("nobody")
    status, text = kept.run("history", "-n", kept.namespace, kubeconfig=nobody.kubeconfig)
    assert status == 1 and 'User "nobody" cannot list resource "changes"' in text


def test_a_server_without_a_history_says_so(kept: "Kept") -> None:
    with InProcess() as other:
        status, text = kept.run("history", kubeconfig=other.kubeconfig)
    assert status == 1 and "keeps no history: start it with --history" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["deploymet/a"], "Did you mean this?\n\tdeployment\n\tdeployments\n"),
        (["a", "b", "c"], "takes KIND/NAME or KIND NAME"),
        (["cm/a", "b"], "takes KIND/NAME or KIND NAME"),
        (["--usr=a"], "\t--user\n"),
        (["purg", "cm/a"], "Did you mean this?\n\tpurge\n"),
        (["cm/a", "-o=name"], "allowed formats are: json,table,wide,yaml"),
    ],
)
def test_command_lines_that_cannot_be_read(kept: "Kept", words: list[str], said: str) -> None:
    status, text = kept.run("history", *words)
    assert status == 2 and said in text


def test_a_time_that_cannot_be_read_is_named_by_its_flag(kept: "Kept") -> None:
    for flag in ("since", "until"):
        status, text = kept.run("history", f"--{flag}=soon")
        assert status == 1 and text.startswith(f'Error: {flag}: Invalid value: "soon": must be a time')


def test_the_namespace_of_the_context(kept: "Kept") -> None:
    kept.create(MAPS, "a")
    config = yaml.safe_load(kept.server.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = kept.namespace
    path = kept.server.directory / "with-namespace"
    path.write_text(yaml.safe_dump(config))
    assert "configmaps/a" in kept.run("history", "cm", kubeconfig=path)[1]


def test_lines_fit_the_terminal_and_have_colours() -> None:
    changes = [change("r3", operation="Deleted"), change("r2", user={"username": "bob"}), change("r1.4")]
    plain = history.table(changes, width=40).split("\n")
    assert all(len(line) <= 40 for line in plain) and plain[1].endswith("s…")
    assert plain[1].split()[2] == "-" and plain[2].split()[2] == "bob"
    lines = history.table(changes, colours=True).split("\n")
    assert lines[0].startswith("\x1b[1mNAME") and lines[1].startswith("\x1b[31mr3")
    assert lines[2].startswith("r2")


def test_a_terminal_is_asked_for_its_width(kept: "Kept", monkeypatch: pytest.MonkeyPatch) -> None:
    kept.create(MAPS, "a")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    _, text = kept.run("history", "-n", kept.namespace)
    assert max(map(len, text.split("\n"))) == 60


def test_gaps_of_the_history_are_told(kept: "Kept") -> None:
    """By warnings, which kubectl shows as well."""
    kept.create(MAPS, "a", data={"k": "1"})
    assert "Warning" not in kept.run("history", "-n", kept.namespace)[1]
    file = kept.server._server.cluster.handlers.verbs.history.recorder._file
    file.gaps = [HistoryGap(10 << 12, 20 << 12, 1_700_000_000_000, 1_700_000_060_000)]
    try:
        status, text = kept.run("history", "-A")
        said = (
            "Warning: the history has a gap from 2023-11-14T22:13:20.000Z to 2023-11-14T22:14:20.000Z:"
            " changes between the resourceVersions 10 and 20 are unknown\n"
        )
        assert status == 0 and text.count(said) == 1
        assert said not in kept.run("history", "-n", kept.namespace, "--since=1h")[1], "it was before that"
    finally:
        file.gaps = []


def test_a_change_by_another_server_says_so() -> None:
    assert "(another server)" in history.table(
        [change("r1", authorUnknown="another server has made the change")]
    )
