"""The order of files, and the files that bear no neighbours."""

import os
import pathlib
import subprocess
import sys

import pytest
from side_by_side import alone, apart, by_folder, inside, order

TESTS = pathlib.Path(__file__).parent
ALONE = "alone"
"""The mark, which would mark this file if it stood in it."""
NOTED = """
import os, time
import pytest
%s
def note(word):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{word} {os.environ['PYTEST_XDIST_WORKER']}\\n")
def test_it():
    note("begin %s")
    time.sleep(0.2)
    note("end %s")
"""


def noted(folder: pathlib.Path, count: int) -> list[list[str]]:
    """The notes of the tests of a folder, which two workers run."""
    for name in ("conftest.py", "side_by_side.py", "durations.json"):
        (folder / name).write_text((TESTS / name).read_text())
    notes = folder / "notes"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", str(folder)],
        env={**os.environ, "NOTES": str(notes), "PYTHONPATH": f"{TESTS}:{os.environ.get('PYTHONPATH', '')}"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{count} passed" in done.stdout, done.stdout + done.stderr
    return [line.split() for line in notes.read_text().splitlines()]


def test_the_longest_come_first_and_those_alone_last() -> None:
    files = {"a/test_short.py", "a/test_new.py", "a/test_long.py", "quality/test_aims.py"}
    place = order(files, {"a/test_short.py": 2, "a/test_long.py": 30, "quality/test_aims.py": 90})
    assert sorted(files, key=place.__getitem__) == [
        "a/test_long.py",
        "a/test_short.py",
        "a/test_new.py",
        "quality/test_aims.py",
    ]


def test_a_file_is_known_by_the_mark() -> None:
    assert alone("quality/test_aims.py") and apart("docs/test_pages.py")
    assert not alone("test_wire.py") and not apart("test_wire.py")
    assert not alone(pathlib.Path(__file__).name)
    assert not alone("no/such/file.py")


def test_seconds_are_summed_by_folder() -> None:
    files = {inside("tests/api/yaml/test_a.py::test[a::b]"): 1.5, "api/test_b.py": 2.5, "test_c.py": 9.0}
    assert by_folder(files) == ["     9.0 s  .", "     4.0 s  api"]


@pytest.mark.slow
def test_a_file_that_bears_no_neighbours_begins_when_the_others_have_ended(tmp_path: pathlib.Path) -> None:
    for name in ("a", "b", "c", "d", "e"):
        mark = f"pytestmark = pytest.mark.{ALONE}" if name in "de" else ""
        (tmp_path / f"test_{name}.py").write_text(NOTED % (mark, name, name))
    *early, first, second, third, last = noted(tmp_path, 5)
    assert {name for _, name, _ in early} == {"a", "b", "c"}
    assert len({worker for _, _, worker in early}) == 2
    assert [(word, name) for word, name, _ in (first, second, third, last)] == [
        ("begin", "d"),
        ("end", "d"),
        ("begin", "e"),
        ("end", "e"),
    ]


@pytest.mark.slow
def test_the_tests_of_a_file_go_to_several_workers_if_they_are_apart(tmp_path: pathlib.Path) -> None:
    many = "@pytest.mark.apart\n@pytest.mark.parametrize('number', range(6))\ndef test_it(number):"
    (tmp_path / "test_a.py").write_text((NOTED % ("", "a", "a")).replace("def test_it():", many))
    assert len({worker for _, _, worker in noted(tmp_path, 6)}) == 2
