"""Holds what tests reach against the floor in .ci/coverage, and raises the floor.

    python tools/coverage_floor.py [--floor FILE] REPORT...

A report is written by `coverage json`. A line of the floor is a folder and the least percentage of lines and
branches that tests reach in it; after the word `each` it counts for every file of the folder. A folder that
has risen gets its new floor at once, a little below the measurement,
for timing decides what some tests reach. Ends with 1 when something is below the floor or was not measured.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import NamedTuple

FLOOR = Path(__file__).parent.parent / ".ci/coverage"
SLACK = 0.2
"""Percentage points that a new floor is below the measurement."""


class Count(NamedTuple):
    """Lines and branches of a file."""

    reached: int
    all: int


def read(report: Path) -> dict[str, Count]:
    """File -> its lines and branches."""
    files = json.loads(report.read_text())["files"]
    return {
        name: Count(
            summary["covered_lines"] + summary.get("covered_branches", 0),
            summary["num_statements"] + summary.get("num_branches", 0),
        )
        for name, summary in ((name, file["summary"]) for name, file in files.items())
    }


def percent(counts: list[Count]) -> float:
    """The share of all of them that is reached; a file without code is reached."""
    total = sum(count.all for count in counts)
    return 100.0 * sum(count.reached for count in counts) / total if total else 100.0


def judge(floor: str, files: dict[str, Count]) -> tuple[str, list[str]]:
    """The floor as it should be from now on, and what is wrong."""
    lines, wrong = [], []
    for line in floor.splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            lines.append(line)
            continue
        *each, folder, least = words
        inside = {name: count for name, count in files.items() if name.startswith(folder + "/")}
        if not inside:
            wrong.append(f"{folder}: not measured")
        elif each:
            shares = {name: percent([count]) for name, count in sorted(inside.items())}
            wrong += [f"{n}: {got:.1f}, at least {least}" for n, got in shares.items() if got < float(least)]
        else:
            got = percent(list(inside.values()))
            if got < float(least):
                wrong.append(f"{folder}: {got:.1f}, at least {least}")
            risen = math.floor(10 * (got - SLACK)) / 10
            if risen > float(least):
                line = f"{folder} {risen}"
        lines.append(line)
    return "\n".join(lines) + "\n", wrong


def main() -> None:
    parser = argparse.ArgumentParser(description="Hold what tests reach against the floor, and raise it.")
    parser.add_argument("--floor", type=Path, default=FLOOR)
    parser.add_argument("reports", type=Path, nargs="+")
    options = parser.parse_args()
    files: dict[str, Count] = {}
    for report in options.reports:
        files |= read(report)
    before = options.floor.read_text()
    after, wrong = judge(before, files)
    if after != before:
        options.floor.write_text(after)
        print(f"the floor has risen; commit {options.floor}")
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
