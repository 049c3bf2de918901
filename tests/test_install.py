"""The steps of an installation, as pip, Cython and setuptools print them, and the programs that take them."""

import os
import pathlib
import sys

import pytest
from install import PAUSE, Printed, Progress, lines, programs, run, step


def test_steps_are_told_from_what_is_printed() -> None:
    assert step("  Running command pip subprocess to install build dependencies").startswith("fetching")
    assert step("  [ 3/40] Cythonizing ext/pilothouse/_http1.pyx") == "Cython 3 of 40: pilothouse/_http1.pyx"
    assert step("Collecting orjson>=3.10 (from pilothouse)") == "fetching orjson>=3.10"
    assert step("  building 'pilothouse.server._http1' extension") == "compiling pilothouse.server._http1"
    assert step("  gcc -O2 -c build/cython/ext/pilothouse/_http1.c") == ""


def test_steps_of_one_sort_are_printed_once_in_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    now = 10.0
    progress = Progress(lambda: now)
    progress.begin("fetching a")
    progress.begin("fetching b")
    progress.begin("compiling c")
    now += PAUSE
    progress.begin("compiling d")
    now += 4
    progress.repeat()
    assert capsys.readouterr().out.splitlines() == [
        "    0 s  fetching a",
        "    0 s  compiling c",
        "    1 s  compiling d",
        "    5 s  still compiling d",
    ]


def test_lines_come_as_they_are_written_and_silence_is_told() -> None:
    pipes = {name: os.pipe() for name in ("a", "b")}
    found = lines({name: reading for name, (reading, _) in pipes.items()}, silence=0.01)
    os.write(pipes["a"][1], b"one\ntw")
    assert [next(found), next(found)] == [Printed("a", "one"), None]
    os.write(pipes["b"][1], b"other\n")
    assert next(line for line in found if line is not None) == Printed("b", "other")
    os.write(pipes["a"][1], b"o\n")
    assert next(line for line in found if line is not None) == Printed("a", "two")
    os.write(pipes["b"][1], b"end")
    for _, writing in pipes.values():
        os.close(writing)
    assert [line for line in found if line is not None] == [Printed("b", "end")]
    for reading, _ in pipes.values():
        os.close(reading)


def test_a_failure_shows_what_its_program_printed(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "build" / "install.log"
    good = [sys.executable, "-c", "print('Collecting a')"]
    bad = [sys.executable, "-c", "import sys; print('no such package'); sys.exit(3)"]
    assert run({"packages": good, "build": bad}, log) == 3
    printed = capsys.readouterr()
    assert printed.err == f"no such package\nNot installed: build; all that was printed is in {log}\n"
    assert "fetching a" in printed.out and "installed" not in printed.out
    assert sorted(log.read_text().splitlines()) == ["build: no such package", "packages: Collecting a"]
    assert run({"packages": good}, log) == 0
    assert "installed" in capsys.readouterr().out


def test_the_programs_install_the_tree_and_what_it_needs() -> None:
    plain, development = (programs(tree)["packages"] for tree in (".", ".[dev]"))
    assert any(one.startswith("uvloop") for one in plain) and not any("pytest" in one for one in plain)
    assert set(plain) < set(development) and any(one.startswith("pytest>") for one in development)
    assert programs(".[dev]")["build"][-1] == ".[dev]" and "--no-deps" in programs(".")["build"]
