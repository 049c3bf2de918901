"""Test coverage must not fall below the recorded floor, which only rises."""

import json
from pathlib import Path

import pytest
from generators import load, run

FLOOR = "# Why.\nsrc/a 80\neach src/a/rules 90\n"


def report(path: Path, **files: tuple[int, int]) -> Path:
    """A report of files with so many lines reached, of so many."""
    content = {
        name.replace("__", "/") + ".py": {"summary": {"covered_lines": reached, "num_statements": total}}
        for name, (reached, total) in files.items()
    }
    path.write_text(json.dumps({"files": content}))
    return path


def ended(tmp_path: Path, report: Path) -> tuple[int, str]:
    """The exit code, and the floor after it."""
    floor = tmp_path / "floor"
    floor.write_text(FLOOR)
    with pytest.raises(SystemExit) as end:
        run(load("coverage_floor"), "--floor", str(floor), str(report))
    assert isinstance(end.value.code, int)
    return end.value.code, floor.read_text()


def test_a_floor_rises(tmp_path: Path) -> None:
    got = ended(tmp_path, report(tmp_path / "r", src__a__x=(85, 100), src__a__rules__y=(90, 100)))
    assert got == (0, FLOOR.replace("80", "87.3"))


def test_a_folder_that_has_fallen_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    got = ended(tmp_path, report(tmp_path / "r", src__a__x=(60, 100), src__a__rules__y=(95, 100)))
    assert got == (1, FLOOR)
    assert capsys.readouterr().out == "src/a: 77.5, at least 80\n"


def test_each_file_of_a_folder_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = {"src__a__rules__x": (80, 100), "src__a__rules__y": (100, 100), "src__a__rules__z": (0, 0)}
    assert ended(tmp_path, report(tmp_path / "r", **counts))[0] == 1
    assert capsys.readouterr().out.endswith("src/a/rules/x.py: 80.0, at least 90\n")


def test_what_was_not_measured_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(tmp_path, report(tmp_path / "r", src__a__x=(80, 100)))[0] == 1
    assert capsys.readouterr().out == "src/a/rules: not measured\n"


def test_branches_count_as_lines_do(tmp_path: Path) -> None:
    summary = {"covered_lines": 9, "num_statements": 10, "covered_branches": 3, "num_branches": 10}
    path = tmp_path / "r"
    path.write_text(json.dumps({"files": {"a.py": {"summary": summary}}}))
    floor = load("coverage_floor")
    assert floor.percent(list(floor.read(path).values())) == 60.0


def test_the_floor_is_about_what_there_is() -> None:
    floor = load("coverage_floor")
    for line in floor.FLOOR.read_text().splitlines():
        if not line.startswith("#"):
            *_, folder, least = line.split()
            assert (floor.FLOOR.parents[1] / folder).is_dir()
            assert 0 <= float(least) <= 100
