"""The pytest plugin, in separate pytest processes: one for each way to run."""

import functools
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

import pilothouse

SOURCE = str(pathlib.Path(pilothouse.__file__).parents[1])
PROGRAM = """
import urllib.request

def url(kube):
    return f"{kube.url}/api/v1/namespaces/default/configmaps"

def test_one(kube):
    body = b'{"metadata": {"name": "a"}}'
    request = urllib.request.Request(url(kube), body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, context=kube.context()).close()

def test_two(kube, kube_apiserver):
    with urllib.request.urlopen(url(kube), context=kube.context()) as answer:
        assert b'"name":"a"' not in answer.read()
    assert kube is kube_apiserver
    assert "--v=0" in kube.flags
"""

INSTALLED = {
    "METADATA": "Metadata-Version: 2.1\nName: pilothouse\nVersion: 1.0\n",
    "RECORD": "pilothouse/__init__.py,,\n",
    "entry_points.txt": "[pytest11]\npilothouse = pilothouse.testing.plugin\n",
}
"""The files of a wheel beside the package; the record has pytest rewrite all of its modules."""
REWRITTEN = """
import sys

import pilothouse.assembly.server

def rewritten(top):
    return {
        name for name, module in sys.modules.items()
        if name.partition(".")[0] == top and type(module.__loader__).__name__ == "AssertionRewritingHook"
    }

def test_modules(pytestconfig):
    assert pytestconfig.getoption("--kube-apiserver") == "thread"
    assert rewritten(__name__) == {__name__}
    assert rewritten("pilothouse") <= {"pilothouse", "pilothouse.testing", "pilothouse.testing.plugin"}
"""


CONFIG = """
import os

def test_one(kubeconfig, kube):
    assert os.environ["KUBECONFIG"] == str(kubeconfig) == str(kube.kubeconfig)
    assert kube.url in kubeconfig.read_text()

def test_two():
    assert os.environ["KUBECONFIG"] == "before"
"""
REFUSED = """
import pytest, urllib.error, urllib.request

def get(kube, user, name):
    try:
        urllib.request.urlopen(f"{kube.url}/api/v1/namespaces/default/{name}", context=user.context()).close()
    except urllib.error.HTTPError as error:
        error.close()

def test_passes(kube):
    get(kube, kube.user("early"), "services")

def test_fails(kube):
    for number in range(22):
        get(kube, kube.user("jane"), f"secrets/s{number}")
    assert not "fails"

def test_fails_alone(kube):
    assert not "alone"

def test_without_server():
    assert not "without"

@pytest.fixture
def broken(kube):
    get(kube, kube, "pods/setup")
    raise ValueError

def test_setup(broken):
    pass

def test_server_is_dead(kube, monkeypatch):
    monkeypatch.setattr(type(kube), "kubeconfig", "/none")
    assert not "dead"
"""
CLUSTERS = """
import json, urllib.request
import pytest

def call(kube, method, path, body=None):
    data = json.dumps(body).encode() if body else None
    url = f"{kube.url}/api/v1/namespaces{path}"
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, context=kube.context()) as answer:
        return json.load(answer)

@pytest.fixture(scope="session")
def kube_prepared(kube_prepared):
    call(kube_prepared, "POST", "", {"metadata": {"name": "prepared"}})
    return kube_prepared

@pytest.mark.parametrize("number", range(4))
def test_one(kube, kube_apiserver, number, pytestconfig):
    names = [one["metadata"]["name"] for one in call(kube, "GET", "")["items"]]
    assert "mine" not in names
    assert ("prepared" in names) == (pytestconfig.getoption("--kube-apiserver") == "copy")
    call(kube, "POST", "", {"metadata": {"name": "mine"}})
    jane = kube.user("jane", role="view")
    assert call(jane_of(kube, jane), "GET", "/mine")["metadata"]["name"] == "mine"
    with open("ports", "a") as file:
        file.write(f"{kube_apiserver.port}\\n")
    kube.reset()
    assert "mine" not in [one["metadata"]["name"] for one in call(kube, "GET", "")["items"]]

class jane_of:
    def __init__(self, kube, jane):
        self.url, self.context = kube.url, jane.context
"""
FAULTY = """
import pytest, urllib.error, urllib.request

def get(kube):
    urllib.request.urlopen(f"{kube.url}/api/v1/namespaces/default/pods", context=kube.context()).close()

def test_a_fault(kube):
    kube.faults.add("stays", verb="list", code=503)
    with pytest.raises(urllib.error.HTTPError):
        get(kube)

def test_it_is_gone(kube):
    get(kube)
    with kube.fault("missed", verb="delete", code=409):
        assert not "fails"
"""
MOVED = """
def test_time_and_states(kube):
    before = kube.clock.now()
    assert (kube.clock.advance(hours=1) - before).total_seconds() >= 3600
    kube.restore(kube.checkpoint())
    kube.apply("shop.yaml")
    kube.save_state("state")
"""
BEGUN = """
import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_begins_with_the_state(kube, number):
    with kube._client() as client:
        client.call("GET", "/api/v1/namespaces/shop")
        client.call("DELETE", "/api/v1/namespaces/shop")
"""
PROGRAMS = {
    "fresh": PROGRAM,
    "config": CONFIG,
    "report": REFUSED,
    "faulty": FAULTY,
    "moved": MOVED,
    "begun": BEGUN,
    "clusters": CLUSTERS,
}
"""The files, each a test_NAME.py."""
ONE_WORKER, TWO_WORKERS = ("-p", "xdist", "-n", "1"), ("-p", "xdist", "-n", "2")
"""Two show that workers share a server; the way of a report is the same from each."""
WAYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "thread": (("fresh", "config", "report", "faulty", "moved"), ()),
    "process": (("fresh", "report"), ("--kube-apiserver=process",)),
    "cluster": (("clusters", "faulty"), ("--kube-apiserver=cluster",)),
    "copy": (("clusters",), ("--kube-apiserver=copy",)),
    "xdist": (("report",), ONE_WORKER),
    "cluster-xdist": (("clusters",), ("--kube-apiserver=cluster", *TWO_WORKERS)),
    "copy-xdist": (("clusters",), ("--kube-apiserver=copy", *TWO_WORKERS)),
}
"""The files that are run in each way, in this order, and the options."""
ARGUMENTS = ("-q", "-rpfE", "-W", "error", "-p", "pilothouse.testing.plugin", "--kube-apiserver-flag=--v=0")


def run(folder: pathlib.Path, programs: tuple[str, ...], *arguments: str) -> str:
    """The output of pytest for files, which it writes into the folder."""
    folder.joinpath("shop.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    for name in programs:
        folder.joinpath(f"test_{name}.py").write_text(PROGRAMS[name])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *ARGUMENTS, *arguments, *(f"test_{name}.py" for name in programs)],
        cwd=folder,
        env=os.environ
        | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": SOURCE, "KUBECONFIG": "before"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.stdout + done.stderr


def results(printed: str, program: str) -> list[str]:
    """The outcomes of the tests of a file."""
    return sorted(re.findall(rf"^(PASSED|FAILED|ERROR) test_{program}\.py::", printed, re.M))


Runs = Callable[[str], tuple[pathlib.Path, str]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Runs the files of a way, once; the folder and the output."""

    @functools.cache
    def once(way: str) -> tuple[pathlib.Path, str]:
        if "xdist" in way:
            pytest.importorskip("xdist")
        programs, options = WAYS[way]
        folder = tmp_path_factory.mktemp(way)
        return folder, run(folder, programs, *options)

    return once


@pytest.mark.slow
def test_pytest_rewrites_no_module_of_a_server(tmp_path: pathlib.Path) -> None:
    """Rewriting takes longer than all imports, in each job that begins without compiled files."""
    installed = tmp_path / "site" / "pilothouse-1.0.dist-info"
    installed.mkdir(parents=True)
    for name, text in INSTALLED.items():
        installed.joinpath(name).write_text(text)
    tmp_path.joinpath("test_it.py").write_text(REWRITTEN)
    path = os.pathsep.join((str(installed.parent), SOURCE))
    done = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("where", ["thread", "process"])
def test_each_test_finds_a_fresh_server(where: str, runs: Runs) -> None:
    _, printed = runs(where)
    assert results(printed, "fresh") == ["PASSED"] * 2, printed


@pytest.mark.slow
@pytest.mark.parametrize("where", ["cluster", "copy", "cluster-xdist", "copy-xdist"])
def test_each_test_finds_a_fresh_cluster(where: str, runs: Runs) -> None:
    folder, printed = runs(where)
    assert results(printed, "clusters") == ["PASSED"] * 4, printed
    assert len(set((folder / "ports").read_text().split())) == 1, "workers share a server"


@pytest.mark.slow
def test_the_environment_names_the_kubeconfig(runs: Runs) -> None:
    _, printed = runs("thread")
    assert results(printed, "config") == ["PASSED"] * 2, printed


@pytest.mark.slow
@pytest.mark.parametrize("where", ["thread", "process", "xdist"])
def test_the_report_shows_what_happened(where: str, runs: Runs) -> None:
    _, printed = runs(where)
    assert results(printed, "report") == ["ERROR"] + ["FAILED"] * 4 + ["PASSED"], printed
    title = "What happened on Pilothouse"
    reports = dict(re.findall(r"^_+ (.*?) _+$(.*?)(?=^[_=]{3})", printed, re.M | re.S))
    assert {name for name, text in reports.items() if title in text} - {"test_it_is_gone"} == {
        "test_fails",
        "ERROR at setup of test_setup",
    }
    lines = reports["test_fails"].partition(title)[2].splitlines()[1:]
    assert lines[0] == "Refused"
    assert lines[1].startswith("  get /api/v1/namespaces/default/secrets/s0 by jane: 403 Forbidden: secrets ")
    assert "  Python-urllib/" in reports["test_fails"] and " as jane: 22 (get secrets 403 x22)" in printed
    assert "get /api/v1/namespaces/default/pods/setup by kubernetes-admin: 404 NotFound: " in printed
    assert "INTERNALERROR" not in printed and "early" not in printed


@pytest.mark.slow
@pytest.mark.parametrize("where", ["thread", "cluster"])
def test_faults_end_with_their_test(where: str, runs: Runs) -> None:
    _, printed = runs(where)
    assert results(printed, "faulty") == ["FAILED", "PASSED"], printed
    assert "  missed never struck" in printed and "stays" not in printed.partition("What happened")[2]


@pytest.mark.slow
def test_tests_move_the_time_and_start_from_a_state(runs: Runs) -> None:
    folder, printed = runs("thread")
    assert results(printed, "moved") == ["PASSED"], printed
    for where in ("thread", "process", "cluster", "copy"):
        programs = ("moved", "begun") if where == "thread" else ("begun",)
        printed = run(folder, programs, "--kube-apiserver-state=state", f"--kube-apiserver={where}")
        assert results(printed, "begun") == ["PASSED"] * 2, printed
        assert where != "thread" or results(printed, "moved") == ["PASSED"], printed
