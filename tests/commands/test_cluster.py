"""`pilothouse cluster` with a server."""

import json
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from eventually import eventually

from pilothouse import cli
from pilothouse.clusters.definition import NAME
from pilothouse.commands.api import Api
from pilothouse.commands.cluster import set_suspended
from pilothouse.testing.server import InProcess

CLUSTERS = "/apis/pilothouse.dev/v1alpha1/clusters"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with InProcess(["--clusters", "--clusters-max=5"]) as started:
        yield started


@pytest.fixture
def api(server: InProcess) -> Iterator[Api]:
    """The server's own cluster; logical ones are removed after the test."""
    found = Api(server.kubeconfig)
    yield found
    for one in found.call("GET", CLUSTERS)["items"]:
        found.call("DELETE", f"{CLUSTERS}/{one['metadata']['name']}")
    eventually(lambda: not found.call("GET", CLUSTERS)["items"], "all clusters are gone")


@pytest.fixture
def run(api: Api, server: InProcess, capsys: pytest.CaptureFixture[str]) -> Run:
    """The exit status of `pilothouse cluster`, and what it prints."""

    def run(*words: str) -> tuple[int, str]:
        status = cli.main(["cluster", *words, f"--kubeconfig={server.kubeconfig}"])
        found = capsys.readouterr()
        return status, found.out + found.err

    return run


def entered(server: InProcess, folder: pathlib.Path, name: str) -> Api:
    """The API of a logical cluster."""
    target = folder / f"{name}.kubeconfig"
    flags = [f"--data-dir={server.directory}", f"--write-kubeconfig={target}"]
    assert cli.main(["cluster", "kubeconfig", name, *flags, f"--kubeconfig={server.kubeconfig}"]) == 0
    return Api(target)


def document(said: tuple[int, str]) -> Any:
    status, text = said
    assert status == 0, text
    return json.loads(text)


def names(api: Api) -> list[str]:
    return [one["metadata"]["name"] for one in api.call("GET", CLUSTERS)["items"]]


def get(api: Api, name: str) -> Any:
    return api.call("GET", f"{CLUSTERS}/{name}")


def test_what_is_done_is_told_as_a_document(api: Api, run: Run, server: InProcess) -> None:
    def told(*results: tuple[str, str]) -> Any:
        return {"items": [{"name": name, "result": result} for name, result in results]}

    assert document(run("create", "a", "b", "-o=json")) == told(("a", "created"), ("b", "created"))
    assert document(run("copy", "a", "c", "-o=json")) == {"name": "c", "result": "created", "copyOf": "a"}
    kept = document(run("snapshot", "a", "d", "-o=json"))
    assert kept == {"name": "d", "result": "created", "copyOf": "a"}
    assert document(run("suspend", "a", "-o=json")) == told(("a", "suspended"))
    assert document(run("wake", "a", "-o=json")) == told(("a", "awake"))
    status, text = run("delete", "a", "none", "b", "-o=json")
    gone, _, error = text.partition("Error: ")
    assert status == 1 and json.loads(gone) == told(("a", "deleted")) and '"none" not found' in error


def test_create_waits_until_requests_are_answered(api: Api, run: Run) -> None:
    said = run("create", "a", "b", "--objects=400", "--bytes=10Mi", "--kubeconfig-secret=default/keys")
    assert said == (0, 'cluster "a" created\ncluster "b" created\n')
    for name in ("a", "b"):
        found = get(api, name)
        assert found["spec"]["limits"] == {"objects": 400, "bytes": "10Mi"}
        assert [one["status"] for one in found["status"]["conditions"] if one["type"] == "Ready"] == ["True"]


def test_list(run: Run) -> None:
    run("create", "a", "b")
    status, said = run("list")
    head, *rows = [re.split(r" {3,}", line) for line in said.splitlines()]
    assert (status, head[:2], [row[:2] for row in rows]) == (
        0,
        ["NAME", "READY"],
        [["a", "True"], ["b", "True"]],
    )
    assert "URL" not in head
    status, said = run("list", "-o", "wide")
    assert status == 0 and "URL" in said and "/clusters/b" in said
    listed = json.loads(run("list", "-o", "json")[1])
    assert [one["metadata"]["name"] for one in listed["items"]] == ["a", "b"]
    assert "kind: ClusterList" in run("list", "-o", "yaml")[1]


def test_copy_begins_with_the_objects_of_another(server: InProcess, run: Run, tmp_path: pathlib.Path) -> None:
    run("create", "a")
    entered(server, tmp_path, "a").call("POST", CONFIG_MAPS, {"metadata": {"name": "x"}, "data": {"k": "v"}})
    assert run("copy", "a", "b") == (0, 'cluster "b" created as a copy of "a"\n')
    assert entered(server, tmp_path, "b").call("GET", f"{CONFIG_MAPS}/x")["data"] == {"k": "v"}
    status, said = run("copy", "none", "c")
    assert (status, said) == (1, 'Error: clusters.pilothouse.dev "none" not found\n')


def test_a_snapshot_keeps_what_is_written_over(
    api: Api, server: InProcess, run: Run, tmp_path: pathlib.Path
) -> None:
    run("create", "a")
    inside = entered(server, tmp_path, "a")
    made = inside.call("POST", CONFIG_MAPS, {"metadata": {"name": "x"}, "data": {"k": "before"}})
    assert run("snapshot", "a", "kept") == (0, 'cluster "a" is kept as "kept"\n')
    inside.call("PUT", f"{CONFIG_MAPS}/x", {**made, "data": {"k": "after"}})
    kept = get(api, "kept")
    assert kept["spec"]["suspend"] is True
    assert kept["metadata"]["labels"] == {f"{NAME}/snapshot-of": "a"}
    run("copy", "kept", "back")
    assert entered(server, tmp_path, "back").call("GET", f"{CONFIG_MAPS}/x")["data"] == {"k": "before"}
    assert run("snapshot", "a")[0] == 0
    assert any(re.fullmatch(r"a-\d{8}-\d{6}", name) for name in names(api))


def test_suspend_and_wake(api: Api, run: Run) -> None:
    run("create", "a", "b")
    status, said = run("suspend", "a", "b")
    assert status == 0 and said.startswith('cluster "a" suspended')
    assert [get(api, name)["spec"]["suspend"] for name in ("a", "b")] == [True, True]
    assert run("wake", "a") == (0, 'cluster "a" is not suspended any more\n')
    assert [get(api, name)["spec"]["suspend"] for name in ("a", "b")] == [False, True]
    assert run("wake", "none") == (1, 'Error: clusters.pilothouse.dev "none" not found\n')


class Hurried(Api):
    """Somebody else changes an object just before each of the first writes."""

    others = 2

    def call(self, method: str, path: str, *given: Any, **named: Any) -> Any:
        if method == "PUT" and self.others:
            self.others -= 1
            obj = super().call("GET", path)
            obj["metadata"]["labels"] = {"left": str(self.others)}
            super().call("PUT", path, obj)
        return super().call(method, path, *given, **named)


def test_a_change_of_somebody_else_is_kept(api: Api, run: Run) -> None:
    run("create", "a")
    set_suspended(Hurried(api.config), "a", suspend=True)
    found = get(api, "a")
    assert found["spec"]["suspend"] is True and found["metadata"]["labels"] == {"left": "0"}


def test_delete_waits_until_it_is_gone(api: Api, run: Run) -> None:
    run("create", "a", "b")
    assert run("delete", "a", "b") == (0, 'cluster "a" deleted\ncluster "b" deleted\n')
    assert names(api) == []
    assert run("delete", "a") == (1, 'Error: clusters.pilothouse.dev "a" not found\n')


def test_history_says_that_logical_clusters_have_none(
    server: InProcess, api: Api, run: Run, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("create", "a")
    entered(server, tmp_path, "a")
    assert cli.main(["history", f"--kubeconfig={tmp_path / 'a.kubeconfig'}"]) == 1
    assert capsys.readouterr().err.endswith("keeps no history: logical clusters have none\n")


def test_a_cluster_that_cannot_be_made(api: Api, run: Run) -> None:
    """The server's reason is told, not the time that has passed."""
    named = {"apiVersion": "pilothouse.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": "held"}}
    api.call("POST", CLUSTERS, {**named, "spec": {"copyOf": "none"}})
    eventually(lambda: get(api, "held").get("status"), "the server has tried")
    status, said = run("copy", "held", "next")
    assert status == 1
    assert said.startswith('Error: cluster "next" was created, but is not ready: ')


def test_refusals_are_the_servers(run: Run) -> None:
    assert run("create", "a")[0] == 0
    assert run("create", "a") == (1, 'Error: clusters.pilothouse.dev "a" already exists\n')
    status, said = run("create", "A_B")
    assert status == 1 and "Invalid value" in said
    status, said = run("create", *(f"n{i}" for i in range(5)))
    assert status == 1 and "--clusters-max=5 allows no more" in said


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["dance"], 'unknown command "dance" for "pilothouse cluster"'),
        (["lits"], "Did you mean this?\n\tlist"),
        (["list", "a"], "does not take any arguments"),
        (["list", "-o", "xml"], 'output format "xml"'),
        (["create"], "needs the names of clusters"),
        (["create", "a", "--kubeconfig-secret=keys"], "--kubeconfig-secret takes NAMESPACE/NAME"),
        (["copy", "a"], "takes SOURCE and NAME"),
        (["snapshot"], "takes NAME"),
        (["suspend"], "needs the names of clusters"),
        (["delete"], "needs the names of clusters"),
        (["kubeconfig"], "takes the names of clusters, or --all"),
        (["use", "a", "b"], "takes the name of one cluster"),
        (["use", "a", "--root"], "takes the name of one cluster"),
        (["list", "--user=a"], "unknown flag: --user"),
    ],
)
def test_what_it_does_not_do(run: Run, words: list[str], problem: str) -> None:
    status, said = run(*words)
    assert status == 2 and problem in said
