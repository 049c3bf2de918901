"""One line for each landing in history.jsonl, and the tables and the drawing that are made of them.

    python benchmarks/history.py add [--mark FILE] [--count FILE] [--cases N --seconds S]
        [--commit NAME] [--date DAY]
    python benchmarks/history.py draw [--out FOLDER]

`add` takes what `mark.py --json` has written (ratios, microseconds, memory, start) and the instructions of
each step; the commit is the one that the file of the mark names first, or HEAD. A commit that has a line
already gets what is new in it. `draw` writes the parts of docs/performance.md between `<!-- generated: NAME
-->` and `<!-- end -->` anew, and docs/history.svg, one line a step: its ratio to the floor, as times the
first one.
"""

import argparse
import json
import pathlib
import re
import subprocess
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import mark
from servers import ROOT

HISTORY = pathlib.Path(__file__).with_name("history.jsonl")
DOCS = ROOT / "docs"
PAGE, DRAWING = "performance.md", "history.svg"
Landing = dict[str, Any]
"""The facts about a landing: date, commit, machine, count, ratio, us, floor, memory, start, suite."""
SHOWN = mark.GATE
"""Columns of the table of landings."""
COLOURS = ("#2a6f97", "#e07a5f", "#6a994e", "#8338ec", "#bc6c25", "#d90429", "#219ebc", "#fb8500")
DASHES = ("", "5 3", "1 3")


def read(path: pathlib.Path = HISTORY) -> list[Landing]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def written(landings: list[Landing]) -> str:
    return "".join(json.dumps(landing) + "\n" for landing in landings)


def with_line(landings: list[Landing], line: Landing) -> list[Landing]:
    """The landings with a further one, or with what is new of one of them."""
    if not any(one["commit"] == line["commit"] for one in landings):
        return [*landings, line]
    return [{**one, **line} if one["commit"] == line["commit"] else one for one in landings]


def from_mark(content: Mapping[str, Any], commit: str) -> Landing:
    """The part of a line that a sitting of mark.py gives."""
    tree = content["trees"][commit]
    kept = {name: tree[name] for name in ("ratio", "us", "memory", "start")}
    return {"machine": content["machine"], **kept, "floor": content["floor"]}


def git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def line(args: argparse.Namespace) -> Landing:
    content = json.loads(args.mark.read_text()) if args.mark else None
    commit = args.commit or (next(iter(content["trees"])) if content else mark.commit(ROOT))
    out: Landing = {"date": args.date or git("log", "-1", "--format=%cs", commit), "commit": commit}
    if content:
        out |= from_mark(content, commit)
    if args.count:
        out["count"] = json.loads(args.count.read_text())["count"]
    if args.cases:
        out["suite"] = {"cases": args.cases, "seconds": args.seconds}
    return out


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(row) + " |\n" for row in lines)


def steps(landings: list[Landing], best: Mapping[str, float]) -> str:
    """The latest figures beside the floor's, the first landing's and the best ever."""
    measured = [one for one in landings if "ratio" in one]
    if not measured:
        return "Nothing was measured yet.\n"
    first, last = measured[0], measured[-1]
    rows = []
    for step, ratio in last["ratio"].items():
        before = first["ratio"].get(step)
        cells = [mark.shown(last["us"][step]), mark.shown(last["floor"][step]), f"{ratio:.2f}"]
        cells += [f"{best[step]:.2f}" if step in best else "-"]
        cells += [f"{ratio / before:.2f}" if before else "-"]
        cells += [f"{last['count'][step]:,}" if step in last.get("count", {}) else "-"]
        rows.append([mark.STEPS[step], *cells])
    head = ["step", "Pilothouse", "floor", "ratio", "best ever", f"times {first['commit']}", "instructions"]
    return f"Commit {last['commit']} of {last['date']}, {last['machine']}:\n\n" + table(head, rows)


def landed(landings: list[Landing], best: Mapping[str, float]) -> str:
    """A row for each landing, the latest first: ratios to the floor, memory, start, suite."""
    rows = []
    for one in reversed(landings):
        ratios, memory, suite = (one.get(name, {}) for name in ("ratio", "memory", "suite"))
        cells = [one["date"], one["commit"]]
        cells += [f"{ratios[step]:.2f}" if step in ratios else "-" for step in SHOWN]
        cells += [
            ", ".join(f"{memory[when]:.0f}" for when in ("empty", "pods", "deleted") if when in memory) or "-"
        ]
        cells += [f"{one['start']:.2f} s" if "start" in one else "-"]
        cells += [f"{suite['cases']:,} in {suite['seconds'] / 60:.0f} min" if suite else "-"]
        rows.append(cells)
    head = ["date", "commit", *SHOWN, "MB: empty, 5,000 pods, deleted", "start", "suite"]
    return table(head, rows)


PARTS: dict[str, Callable[[list[Landing], Mapping[str, float]], str]] = {"steps": steps, "landings": landed}


def filled(page: str, landings: list[Landing], best: Mapping[str, float]) -> str:
    """The page with its generated parts anew."""

    def part(found: re.Match[str]) -> str:
        return f"{found[1]}\n{PARTS[found[2]](landings, best)}{found[3]}"

    return re.sub(r"(<!-- generated: (\w+) -->)\n.*?(<!-- end -->)", part, page, flags=re.S)


def spread(heights: list[float], least: float) -> list[float]:
    """Places for texts at least so far apart, in the order of the heights and near to them."""
    out: dict[int, float] = {}
    last = float("-inf")
    for place in sorted(range(len(heights)), key=heights.__getitem__):
        out[place] = last = max(heights[place], last + least)
    return [out[place] for place in range(len(heights))]


def drawing(landings: list[Landing]) -> str:
    """A line for each step over the landings: how many times the ratio that was measured first."""
    measured = [one for one in landings if "ratio" in one]
    names = [step for step in mark.STEPS if any(step in one["ratio"] for one in measured)]
    lines: dict[str, list[tuple[int, float]]] = {}
    for step in names:
        found = [(place, one["ratio"][step]) for place, one in enumerate(measured) if step in one["ratio"]]
        lines[step] = [(place, ratio / found[0][1]) for place, ratio in found]
    values = [1.0, *(value for found in lines.values() for _, value in found)]
    low, high = min(values) - 0.05, max(values) + 0.05
    width, top, bottom = 560, 20, 300

    def x(place: int) -> float:
        return 50 + (width - 60) * place / max(1, len(measured) - 1)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / (high - low)

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="760" height="330" viewBox="0 0 760 330"'
        ' font-family="sans-serif" font-size="11">'
    ]
    parts += [
        f'<path d="M45 {y(tenth / 10):.1f}H{width}" stroke="#ddd"/>'
        f'<text x="40" y="{y(tenth / 10) + 4:.1f}" text-anchor="end">{tenth / 10:.1f}</text>'
        for tenth in range(round(low * 10 + 0.5), int(high * 10) + 1)
    ]
    every = max(1, -(-len(measured) // 8))
    parts += [
        f'<text x="{x(place):.1f}" y="320" text-anchor="middle">{one["commit"]}</text>'
        for place, one in enumerate(measured)
        if place % every == 0
    ]
    ends = spread([y(found[-1][1]) for found in lines.values()], 13)
    for number, ((step, found), end) in enumerate(zip(lines.items(), ends, strict=True)):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
        points = " ".join(f"{x(place):.1f},{y(value):.1f}" for place, value in found)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"'
            f' stroke-dasharray="{dash}"/><text x="{width + 8}" y="{end + 4:.1f}" fill="{colour}">'
            f"{escape(step)} {found[-1][1]:.2f}</text>"
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def draw(out: pathlib.Path) -> None:
    landings = read()
    page = filled((DOCS / PAGE).read_text(), landings, mark.best())
    (out / PAGE).write_text(page)
    (out / DRAWING).write_text(drawing(landings))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    adding = actions.add_parser("add")
    adding.add_argument("--mark", type=pathlib.Path)
    adding.add_argument("--count", type=pathlib.Path)
    adding.add_argument("--cases", type=int, default=0, help="of the suite")
    adding.add_argument("--seconds", type=float, default=0, help="that the suite takes")
    adding.add_argument("--commit", default="")
    adding.add_argument("--date", default="")
    drawn = actions.add_parser("draw")
    drawn.add_argument("--out", type=pathlib.Path, default=DOCS)
    args = parser.parse_args()
    if args.action == "draw":
        draw(args.out)
    else:
        HISTORY.write_text(written(with_line(read(), line(args))))


if __name__ == "__main__":
    main()
