"""The files by which a host of repositories checks changes, makes releases and asks who reports an error."""

import fnmatch
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")
TARGETS = set(re.findall(r"^([a-z][\w-]*)(?=[ a-z-]*:(?!=))", (ROOT / "Makefile").read_text(), re.M))
RELEASE = ROOT / ".github/workflows/release.yml"
CHART = "deploy/helm/pilothouse/Chart.yaml"
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
    """Each job has a machine, a limit or a short list of steps,
    jobs before it that exist, and a checkout with the tags."""
    jobs = read(path)["jobs"]
    for name, job in jobs.items():
        assert job["runs-on"], name
        needed = job.get("needs", [])
        assert ({needed} if isinstance(needed, str) else set(needed)) <= set(jobs), name
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
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = [
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", one) for one in project["classifiers"]
    ]
    assert [one[1] for one in told if one] == matrix["python"]
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


def test_a_tag_is_released_once_the_tree_is_prepared(tmp_path: pathlib.Path) -> None:
    """The check of the workflow passes after `make release`, and not before it or for another tag."""
    for name in ("Makefile", "pyproject.toml", "CHANGELOG.md", "docs/install.md", CHART):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "changelog.d", tmp_path / "changelog.d")
    (tmp_path / "changelog.d/later.md").write_text("### Fixed\n\n- A mistake.\n")
    steps = read(RELEASE)["jobs"]["prepared"]["steps"]
    [check] = [step["run"] for step in steps if "CHANGELOG.md" in step.get("run", "")]

    def prepared(tag: str) -> bool:
        tagged = {**os.environ, "VERSION": "7.8.9", "GITHUB_REF_NAME": tag}
        return subprocess.run(["bash", "-ec", check], cwd=tmp_path, env=tagged, check=False).returncode == 0

    assert not prepared("v7.8.9")
    command = ["make", "release", "READY=", f"BIN={pathlib.Path(sys.executable).parent}", "VERSION=7.8.9"]
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    subprocess.run(command, cwd=tmp_path, env=outside, check=True)
    with (tmp_path / "pyproject.toml").open("a") as file:
        assert prepared("v7.8.9") == ("[project.urls]" in (ROOT / "pyproject.toml").read_text())
        file.write("[project.urls]\n")  # RELEASING.md: before the first release
    assert prepared("v7.8.9") and not prepared("v7.8.8")
    fixed = (tmp_path / "CHANGELOG.md").read_text().partition("### Fixed\n")[2].partition("\n##")[0]
    assert "\n- A mistake.\n" in f"{fixed}\n"
    assert "registry.example/pilothouse:7.8.9\n" in (tmp_path / "docs/install.md").read_text()
    [notes] = [line for line in commands(RELEASE) if line.startswith("scriv print ")]
    tagged = {
        **os.environ,
        "VERSION": "7.8.9",
        "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    subprocess.run(["bash", "-ec", notes], cwd=tmp_path, env=tagged, check=True)
    assert "- A mistake.\n" in (tmp_path / "notes.md").read_text()


def steps_with(job: dict[str, Any], action: str) -> list[dict[str, Any]]:
    """The inputs of the steps of a job that use an action."""
    return [step["with"] for step in job["steps"] if step.get("uses", "").startswith(f"{action}@")]


def test_a_release_publishes_what_its_jobs_have_made() -> None:
    """The folder for the package index has distributions only, and each artifact is downloaded."""
    jobs = read(RELEASE)["jobs"]
    publish = jobs["publish"]
    made = {
        name: re.sub(r"\$\{\{.*?\}\}", "x", upload["name"])
        for name in publish["needs"]
        for upload in steps_with(jobs[name], "actions/upload-artifact")
    }
    assert set(made) == {"sdist", "wheels", "chart"}
    folders = {
        folder["path"]: [
            job
            for job, name in made.items()
            if fnmatch.fnmatch(name, folder.get("pattern") or folder["name"])
        ]
        for folder in steps_with(publish, "actions/download-artifact")
    }
    assert folders == {"dist": ["sdist", "wheels"], "chart": ["chart"]}
    attested = [steps_with(jobs[name], "actions/attest-build-provenance") for name in ("image", "publish")]
    assert all(attested), "each file and the image have provenance"


def test_a_release_has_checksums_of_all_its_files(tmp_path: pathlib.Path) -> None:
    for name in ("dist/a.whl", "dist/a.tar.gz", "chart/a.tgz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    [gather] = [
        step["run"]
        for step in read(RELEASE)["jobs"]["publish"]["steps"]
        if "SHA256SUMS" in step.get("run", "")
    ]
    subprocess.run(["bash", "-ec", gather], cwd=tmp_path, check=True)
    release = tmp_path / "release"
    assert {file.name for file in release.iterdir()} == {"a.whl", "a.tar.gz", "a.tgz", "SHA256SUMS"}
    sums = (release / "SHA256SUMS").read_text()
    assert [line.split()[1] for line in sums.splitlines()] == ["a.tar.gz", "a.tgz", "a.whl"]
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=release, check=True)


def test_a_released_chart_names_the_released_image(tmp_path: pathlib.Path) -> None:
    shutil.copytree(ROOT / "deploy/helm/pilothouse", tmp_path / "deploy/helm/pilothouse")
    [name] = [line for line in commands(RELEASE) if line.startswith("sed ")]
    environment = {**os.environ, "GITHUB_REPOSITORY": "Owner/Pilothouse"}
    subprocess.run(["bash", "-ec", name], cwd=tmp_path, env=environment, check=True)
    values = read(tmp_path / "deploy/helm/pilothouse/values.yaml")
    assert values["image"]["repository"] == "ghcr.io/owner/pilothouse"
