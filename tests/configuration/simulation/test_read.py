"""The value of --simulate, and the file that it names."""

import pathlib

import pytest

from pilothouse.configuration import options
from pilothouse.configuration.options import ConfigError
from pilothouse.configuration.simulation.read import read

HEAD = "apiVersion: simulate.pilothouse.dev/v1alpha1\nkind: Simulation\n"


def test_a_file_has_groups_of_nodes_and_stages(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "a=b.yaml"
    file.write_text(
        f"{HEAD}nodes:\n- name: small\n  count: 2\n- name: big\n  resources: {{cpu: 64}}\n"
        "stages:\n- image: '*'\n  logs: hello\n"
    )
    found = read(str(file))
    assert [(group.name, group.count, group.resources["cpu"]) for group in found.groups] == [
        ("small", 2, "4"),
        ("big", 1, "64"),
    ]
    assert [dict(one.said) for one in found.stages] == [{"logs": "hello"}]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("kind: Other\napiVersion: v1\n", 'no kind "Other" is registered for version "v1": want Simulation'),
        (f"{HEAD}node: []\n", 'strict decoding error: unknown field "node"'),
        (f"{HEAD}nodes: 5\n", "nodes: it must be a list"),
        (f"{HEAD}nodes: [{{}}, {{}}]\n", "nodes: two groups must not have the same name"),
        (f"{HEAD}nodes: [{{name: a, count: 9000}}, {{count: 2000}}]\n", "nodes: there can be at most 10000"),
        ("- a\n", "cannot read"),
    ],
)
def test_a_fault_of_the_file_is_one_of_the_flag(tmp_path: pathlib.Path, text: str, fault: str) -> None:
    file = tmp_path / "simulation.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        options.parse([f"--simulate={file}", "--storage-backend=memory"])
    assert error.value.problems[0].startswith(f"--simulate: {fault}")


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"--simulate: cannot read nowhere\.yaml"):
        options.parse(["--simulate=nowhere.yaml"])


def test_several_processes_do_not_simulate() -> None:
    with pytest.raises(ConfigError, match="--workers=2 conflicts with --simulate"):
        options.parse(["--simulate=nodes=1", "--workers=2", "--etcd-servers=http://127.0.0.1:1"])


@pytest.mark.parametrize(
    ("flag", "runs"),
    [
        ("*", {"scheduler", "deployment-controller"}),
        ("*,-scheduler", {"deployment-controller"}),
        ("*,-deployment", {"scheduler"}),
        ("*,-deployment-controller", {"scheduler"}),
        ("scheduler", {"scheduler"}),
        ("-*", set()),
    ],
)
def test_what_runs_is_named(flag: str, runs: set[str]) -> None:
    config = options.parse(["--simulate=nodes=1", f"--simulate-controllers={flag}"])
    names = {"scheduler", "deployment-controller"}
    assert {name for name in names if config.simulation.runs(name)} == runs


def test_what_tests_move_a_server_with_is_for_one_process() -> None:
    etcd = "--etcd-servers=http://127.0.0.1:1"
    with pytest.raises(ConfigError, match="--workers=2 conflicts with --test-api"):
        options.parse(["--test-api", "--workers=2", etcd])
    with pytest.raises(ConfigError, match="--from-state conflicts with --etcd-servers"):
        options.parse(["--from-state=state", etcd])
    assert options.parse(["--test-api"]).simulation.movable
    assert options.parse(["--simulate=nodes=1"]).simulation.movable
    assert not options.parse([]).simulation.movable
