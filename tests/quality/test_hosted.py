"""The files by which a host of repositories checks changes, makes releases and asks who reports an error."""

import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")
TARGETS = set(re.findall(r"^([a-z][\w-]*)(?=[ a-z-]*:(?!=))", (ROOT / "Makefile").read_text(), re.M))
KNOWN = {"markdown", "textarea", "input", "dropdown", "checkboxes"}


def read(path: pathlib.Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text())
    assert isinstance(document, dict)
    return document


def commands(path: pathlib.Path) -> Iterator[str]:
    """The lines of all commands of a workflow."""
    for job in read(path)["jobs"].values():
        for step in job["steps"]:
            yield from step.get("run", "").splitlines()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_can_run(path: pathlib.Path) -> None:
    """Each job has a machine, a limit or a short list of steps, jobs before it that exist, and a checkout with the tags."""
    jobs = read(path)["jobs"]
    for name, job in jobs.items():
        assert job["runs-on"], name
        needed = job.get("needs", [])
        assert {needed} if isinstance(needed, str) else set(needed) <= set(jobs), name
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step), (name, step)
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["fetch-depth"] == 0, f"{name}: the version comes from the tags"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_workflows_make_exists(path: pathlib.Path) -> None:
    made = {target for line in commands(path) for target in re.findall(r"^make ([a-z][\w-]*)", line)}
    assert sorted(made - TARGETS) == []
    for line in commands(path):
        for name in re.findall(r"\b(?:deploy|docs|tests|changelog\.d)/[\w./-]+|\b[A-Z]+\.md\b", line):
            assert (ROOT / name).exists(), line


def test_every_python_and_architecture_is_tried() -> None:
    matrix = read(ROOT / ".github/workflows/ci.yml")["jobs"]["fast"]["strategy"]["matrix"]
    assert f"PYTHONS ?= {' '.join(matrix['python'])}\n" in (ROOT / "Makefile").read_text()
    assert any(runner.endswith("arm") for runner in matrix["runner"])


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_ask_what_can_be_answered(path: pathlib.Path) -> None:
    """GitHub shows no form in which something is missing or named twice."""
    form = read(path)
    assert form["name"] and form["description"]
    assert {part["type"] for part in form["body"]} <= KNOWN
    names = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert names and len(names) == len(set(names))
    assert all(part["attributes"].get("label") for part in form["body"] if part["type"] != "markdown")


def test_the_container_for_development_can_be_built() -> None:
    folder = ROOT / ".devcontainer"
    settings = json.loads((folder / "devcontainer.json").read_text())
    assert settings["postCreateCommand"].removeprefix("make ") in TARGETS
    file = folder / settings["build"]["dockerfile"]
    gate = (ROOT / ".ci/run").read_text()
    packages = set(
        re.findall(r"--no-install-recommends ([\w\s\\-]+?)>/dev/null", gate)[0].replace("\\", "").split()
    )
    assert packages and sorted(packages - set(file.read_text().split())) == []


def test_a_release_is_of_a_tag_that_the_tree_knows() -> None:
    """`make release` writes what the workflow asks for."""
    checked = "\n".join(commands(ROOT / ".github/workflows/release.yml"))
    makefile = (ROOT / "Makefile").read_text()
    assert 'grep -q "^## $VERSION " CHANGELOG.md' in checked and "scriv collect --version" in makefile
    assert "deploy/helm/pilothouse/Chart.yaml" in checked and "deploy/helm/pilothouse/Chart.yaml" in makefile
