"""The history of landings: its lines, and the tables and the drawing that docs/ has of them."""

import argparse
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import history
import mark


def landing(commit: str, ratio: float, **more: Any) -> history.Landing:
    figures = {"us": {"get": 30.0}, "floor": {"get": 10.0}, "machine": "a machine"}
    return {"date": "2026-01-01", "commit": commit, "ratio": {"get": ratio}, **figures, **more}


def test_the_page_and_the_drawing_are_up_to_date(tmp_path: Path) -> None:
    history.draw(tmp_path)
    for name in (history.PAGE, history.DRAWING):
        command = "python benchmarks/history.py draw"
        assert (tmp_path / name).read_text() == (history.DOCS / name).read_text(), command


def test_every_line_names_its_commit() -> None:
    landings = history.read()
    assert len({one["commit"] for one in landings}) == len(landings) > 0
    assert all(one["date"] and len(one["commit"]) == 8 for one in landings)


def test_a_commit_has_one_line() -> None:
    """A later measurement joins the facts that are known of a landing."""
    before = [landing("a", 2.0), landing("b", 3.0)]
    assert history.with_line(before, landing("c", 4.0)) == [*before, landing("c", 4.0)]
    more = {"commit": "a", "suite": {"cases": 9, "seconds": 60}}
    assert history.with_line(before, more) == [{**before[0], **more}, before[1]]


def test_a_line_is_made_of_what_the_programs_wrote(tmp_path: Path) -> None:
    tree = {"ratio": {"get": 2.0}, "us": {"get": 20.0}, "memory": {"empty": 60.0}, "start": 0.3}
    (tmp_path / "mark").write_text(
        json.dumps({"machine": "m", "floor": {"get": 10.0}, "trees": {"c0ffee00": tree}})
    )
    (tmp_path / "count").write_text(json.dumps({"count": {"get": 7, "list-50": 9}}))
    args = {"mark": tmp_path / "mark", "count": tmp_path / "count", "commit": "", "date": "2026-01-01"}
    line = history.line(argparse.Namespace(**args, cases=10, seconds=60.0))
    known = {"date": "2026-01-01", "commit": "c0ffee00", "machine": "m", "floor": {"get": 10.0}}
    suite = {"cases": 10, "seconds": 60.0}
    assert line == {**known, **tree, "count": {"get": 7, "list-50": 9}, "suite": suite}


def test_parts_of_the_page_are_filled() -> None:
    page = (
        "before\n<!-- generated: steps -->\nold\n<!-- end -->\nafter\n<!-- generated: landings -->\n<!-- end"
        " -->\n"
    )
    more = {
        "memory": {"empty": 64.4, "pods": 108.0},
        "start": 0.34,
        "suite": {"cases": 13000, "seconds": 660},
    }
    got = history.filled(
        page, [landing("a", 2.0), landing("b", 3.0, count={"get": 123456}, **more)], {"get": 1.5}
    )
    assert "old" not in got and got.startswith("before\n") and "\nafter\n" in got
    assert f"| {mark.STEPS['get']} | 30 us | 10 us | 3.00 | 1.50 | 1.50 | 123,456 |\n" in got
    assert "| 2026-01-01 | b | 3.00 | - | - | - | - | 64, 108 | 0.34 s | 13,000 in 11 min |\n" in got
    assert got.index("| b |") < got.index("| a |"), "the latest is the first"
    assert history.filled(got, [landing("a", 2.0)], {}).count("generated") == 2


def test_the_drawing_has_a_line_for_each_step() -> None:
    first, second = landing("a", 2.0), landing("b", 3.0)
    second["ratio"]["list-50"] = 9.0
    text = history.drawing([first, {"commit": "c", "date": "2026-01-01"}, second])
    lines = ElementTree.fromstring(text).findall("{http://www.w3.org/2000/svg}polyline")
    assert [len((line.get("points") or "").split()) for line in lines] == [2, 1]
    assert ">get 1.50<" in text and ">list-50 1.00<" in text


def test_texts_do_not_cover_each_other() -> None:
    assert history.spread([10.0, 11.0, 50.0, 10.5], 5) == [10.0, 20.0, 50.0, 15.0]
