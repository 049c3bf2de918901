"""The steps of an installation, as pip, Cython and setuptools print them."""

import os
import pathlib

import install
import pytest
from install import PAUSE, Progress, lines, step


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
    reading, writing = os.pipe()
    try:
        os.write(writing, b"one\ntw")
        found = lines(reading, silence=0.01)
        assert [next(found), next(found)] == ["one", None]
        os.write(writing, b"o\n")
        assert next(line for line in found if line is not None) == "two"
        os.write(writing, b"end")
        os.close(writing)
        writing = -1
        assert [line for line in found if line is not None] == ["end"]
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)


def test_a_failure_shows_what_pip_printed(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "build" / "install.log"
    assert install.main([f"{tmp_path}/nothing-there"], log) == 1
    printed = capsys.readouterr()
    assert "nothing-there" in printed.err and str(log) in printed.err and "installed" not in printed.out
    assert "nothing-there" in log.read_text()
