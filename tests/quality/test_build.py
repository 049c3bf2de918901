"""Building the package."""

import copy
import inspect
import os
import pathlib
import subprocess
import sys
import tarfile
import types

import pytest
from packaging.metadata import Metadata

from pilothouse.api.cel import _cel
from pilothouse.storage._entry import Entry

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]


def test_a_missing_compiler_is_told_in_one_sentence(tmp_path: pathlib.Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "setup.py",
            "--quiet",
            "build_ext",
            f"--build-lib={tmp_path}",
            f"--build-temp={tmp_path}",
        ],
        cwd=ROOT,
        env={**os.environ, "CC": "no-such-compiler", "PILOTHOUSE_ONLY": "_head"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "Pilothouse is built with a C compiler, and there is no no-such-compiler: install one"
    )


def test_make_run_installs_what_running_needs(tmp_path: pathlib.Path) -> None:
    """`make run` installs what tables in a terminal need, and says first how long it takes."""
    said = made("run", f"VENV={tmp_path}", f"DATA={tmp_path}/data")
    installs = [
        line.removeprefix(f"{tmp_path}/bin/") for line in said if "pip" in line or "install.py" in line
    ]
    assert installs == ["python tools/install.py '.[cli]'"]
    assert said[0].startswith(f'echo "Installing Pilothouse into {tmp_path}: the compiled modules take')
    assert said[-1] == f"{tmp_path}/bin/pilothouse serve --data-dir {tmp_path}/data"


def test_make_run_takes_a_port_and_flags(tmp_path: pathlib.Path) -> None:
    said = made("run", f"VENV={tmp_path}", "DATA=data", "PORT=6444", "FLAGS=--v=2 --audit-log-path=-")
    assert said[-1] == (
        f"{tmp_path}/bin/pilothouse serve --data-dir data --secure-port 6444 --v=2 --audit-log-path=-"
    )


def test_make_ha_takes_the_build_of_make_run(tmp_path: pathlib.Path) -> None:
    """It adds the packages for etcd, and none for development."""
    said = made("ha", f"VENV={tmp_path}")
    assert f"{tmp_path}/bin/python tools/install.py '.[cli]'" in said
    assert any("'pilothouse[etcd]'" in line for line in said) and not any("[dev]" in line for line in said)


def test_compiled_classes_are_as_lean_as_those_of_c() -> None:
    """Methods for pickling, and a Python function for each method, took a third of the time to compile. A
    copy would lack the members of C, so it is refused."""
    assert isinstance(Entry.fields, types.MethodDescriptorType)
    assert list(inspect.signature(Entry.fields).parameters) == ["self", "extract"]
    frame = vars(_cel)["Frame"]
    assert not hasattr(frame, "__reduce_cython__")
    with pytest.raises(TypeError, match="cannot pickle"):
        copy.copy(frame())


def made(target: str, *variables: str) -> list[str]:
    """The commands of a target of the Makefile."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--dry-run", target, *variables]
    return subprocess.check_output(command, cwd=ROOT, env=outside, text=True).splitlines()


def setup(*arguments: str, folder: pathlib.Path = ROOT) -> str:
    """Run setup.py with no module to compile,
    and without a change of the tree that servers of other tests run from."""
    quiet = {"PILOTHOUSE_ONLY": "none", "PYTHONWARNINGS": "ignore", "SETUPTOOLS_SCM_WRITE_TO_SOURCE": "false"}
    return subprocess.run(
        [sys.executable, "setup.py", "--quiet", *arguments],
        cwd=folder,
        env={**os.environ, **quiet},
        capture_output=True,
        check=True,
        text=True,
    ).stdout


def files(folder: pathlib.Path, *names: str) -> set[str]:
    """The files below folders of a tree, without what a compiler or an interpreter has made."""
    found = [path for name in names for path in (folder / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)) for path in found if path.suffix not in (".so", ".pyc")}


def test_a_wheel_holds_every_file_of_the_package(tmp_path: pathlib.Path) -> None:
    """A wheel holds the files that are no modules, too:
    schemas, descriptions, first objects, the console, stubs."""
    library = str(tmp_path / "src")
    setup("build_py", f"--build-lib={library}", "build_descriptions", f"--build-lib={library}")
    assert files(tmp_path, "src/pilothouse") == files(ROOT, "src/pilothouse")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A source distribution of the tree, which is not compressed."""
    folder = tmp_path_factory.mktemp("sdist")
    setup("egg_info", f"--egg-base={folder}", "sdist", f"--dist-dir={folder}", "--formats=tar")
    [archive] = folder.glob("*.tar")
    return archive


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not on this host: the tree is no checkout")
def test_an_sdist_knows_its_version_without_git(archive: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """By its metadata, whatever repository it is unpacked in."""
    version = archive.name.removeprefix("pilothouse-").removesuffix(".tar")
    assert version == setup("--version").strip() != "0.0"
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    source = tmp_path / f"pilothouse-{version}"
    library = tmp_path / "built"
    setup("build_py", f"--build-lib={library}", folder=source)
    assert setup("--version", folder=source).strip() == version
    assert (library / "pilothouse/version.txt").read_text().strip() == version


def test_the_metadata_is_complete(archive: pathlib.Path) -> None:
    """Of a distribution, but for addresses: RELEASING.md names them as a step of the first release."""
    with tarfile.open(archive) as tar:
        folder = archive.name.removesuffix(".tar")
        told = tar.extractfile(f"{folder}/PKG-INFO")
        assert told is not None
        found = Metadata.from_email(told.read(), validate=True)
        licenses = [f"{folder}/{name}" for name in found.license_files or ()]
        assert licenses and set(licenses) <= set(tar.getnames())
    assert found.license_expression == "Apache-2.0" and found.summary and found.keywords
    assert found.description == (ROOT / "README.md").read_text()
    assert found.description_content_type == "text/markdown"
    assert str(found.requires_python) == ">=3.11"
    assert {one.partition(" ::")[0] for one in found.classifiers or ()} == {
        *("Development Status", "Environment", "Framework", "Intended Audience", "Operating System"),
        *("Programming Language", "Topic", "Typing"),
    }
    assert set(found.provides_extra or ()) >= {"cli", "etcd", "kms", "secretbox", "tracing"}
    assert bool(found.project_urls) == ("[project.urls]" in (ROOT / "pyproject.toml").read_text())


FOLDERS = (
    *(".ci", ".devcontainer", ".github", "benchmarks", "changelog.d", "deploy", "docs", "examples", "ext"),
    *("loadtest", "src/pilothouse", "tests", "tools"),
)
"""The folders of the repository."""

TEXTS = {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "RELEASING.md", "SECURITY.md"}
TEXTS |= {"action.yml"}


def test_an_sdist_holds_the_tree(archive: pathlib.Path) -> None:
    """It holds what a build needs, and the tests and pages with all that they look at."""
    with tarfile.open(archive) as tar:
        names = {member.name.partition("/")[2] for member in tar if member.isfile()}
    made = {name for name in names if name.startswith("src/pilothouse.egg-info/")} | {"PKG-INFO", "setup.cfg"}
    needed = {name for name in files(ROOT, *FOLDERS) if "/descriptions/" not in name}
    needed |= TEXTS | {"MANIFEST.in", "setup.py", "pyproject.toml"}
    needed |= {".containerignore", ".gitignore", ".pre-commit-config.yaml"}
    assert sorted(needed - names) == [] and sorted(names - made - needed) == []
