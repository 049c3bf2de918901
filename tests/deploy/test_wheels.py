"""The wheels that make builds: what it asks of compilers, and what is looked at when they are there."""

import os
import pathlib
import platform
import subprocess
import zipfile

import pytest

import pilothouse
import pilothouse.api._json
from deploy import linked

ROOT = pathlib.Path(__file__).parents[2]
MACHINE = platform.machine()
EXTENSION = pathlib.Path(str(pilothouse.api._json.__file__))
GLIBC = platform.libc_ver()[0] == "glibc"


def wheel(folder: pathlib.Path, tag: str, *extensions: pathlib.Path) -> pathlib.Path:
    """A wheel of some name, with these extensions."""
    path = folder / f"pilothouse-1-cp311-cp311-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for extension in extensions:
            archive.write(extension, f"pilothouse/{extension.name}")
    return path


@pytest.mark.parametrize(
    ("goal", "target", "suffix"),
    [
        ("wheel-aarch64", "aarch64-linux-gnu.2.17", "aarch64-linux-gnu"),
        ("wheel-musllinux", "x86_64-linux-musl", "x86_64-linux-musl"),
        ("wheel-musllinux-aarch64", "aarch64-linux-musl", "aarch64-linux-musl"),
    ],
)
def test_a_wheel_is_compiled_for_its_target(goal: str, target: str, suffix: str) -> None:
    """make only prints its commands; the name of an extension says which Python may load it."""
    said = subprocess.check_output(
        ["make", "--dry-run", goal, "MAKEFLAGS="], cwd=ROOT, text=True, env=os.environ | {"MAKELEVEL": "0"}
    )
    machine = target.partition("-")[0]
    assert f"ziglang cc -target {target} -shared -s" in said
    assert f"_PYTHON_HOST_PLATFORM=linux-{machine} " in said
    assert f'".cpython-%d%d-{suffix}.so"' in said
    assert f"libc.musl-{machine}.so.1" in said
    assert "tests/deploy/linked.py" in said


@pytest.mark.skipif(not GLIBC, reason="not on this host: extensions are linked against glibc")
@pytest.mark.parametrize(
    ("tag", "fault"),
    [
        (f"manylinux2014_{MACHINE}.manylinux_2_99_{MACHINE}", ""),
        (f"manylinux_2_1_{MACHINE}", "needs GLIBC_2."),
        (f"musllinux_1_2_{MACHINE}", f"not linked against libc.musl-{MACHINE}.so.1"),
        (f"musllinux_1_2_{MACHINE}", "linked against libc.so.6"),
        (f"musllinux_1_2_{MACHINE}", "needs GLIBC_2."),
        (f"manylinux_2_99_{'x86_64' if MACHINE == 'aarch64' else 'aarch64'}", "not for "),
        (f"linux_{MACHINE}", "no tag"),
    ],
)
def test_an_extension_that_is_not_what_the_tag_says_is_found(
    tmp_path: pathlib.Path, tag: str, fault: str
) -> None:
    """The extension is one of this installation, so for this machine and its glibc."""
    found = linked.faults(wheel(tmp_path, tag, EXTENSION))
    assert any(fault in line for line in found) if fault else found == []


@pytest.mark.parametrize("family", ["manylinux_2_17", "musllinux_1_2"])
def test_an_extension_that_calls_no_library_needs_none(tmp_path: pathlib.Path, family: str) -> None:
    source, extension = tmp_path / "one.c", tmp_path / "one.so"
    source.write_text("int one(void) { return 1; }")
    subprocess.run(["cc", "-shared", "-nostdlib", "-fPIC", "-o", extension, source], check=True)
    assert linked.faults(wheel(tmp_path, f"{family}_{MACHINE}", extension)) == []


def test_a_wheel_without_extensions_is_found(tmp_path: pathlib.Path) -> None:
    assert "no extensions" in linked.faults(wheel(tmp_path, f"musllinux_1_2_{MACHINE}"))[0]


@pytest.mark.slow
def test_the_wheels_that_have_been_made() -> None:
    """Every wheel in the folder of `make test-packages`,
    each with as many extensions as this installation has."""
    folder = os.environ.get("PILOTHOUSE_PACKAGES")
    if not folder:
        pytest.skip("on request: make test-packages")
    wheels = list(pathlib.Path(folder).glob("*.whl"))
    assert wheels
    assert [fault for path in wheels for fault in linked.faults(path)] == []
    own = {path.name.partition(".")[0] for path in pathlib.Path(pilothouse.__file__).parent.rglob("_*.so")}
    for path in wheels:
        names = {pathlib.PurePath(name).name for name in zipfile.ZipFile(path).namelist()}
        assert {name.partition(".")[0] for name in names if name.endswith(".so")} == own
