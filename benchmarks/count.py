"""Counts the instructions of a whole server for each kind of request, and holds them against the best ever.

    python benchmarks/count.py [--update] [--packages] [--tree PATH] [--steps NAME ...] [--repeat N]
                               [--flag FLAG]

The server runs under callgrind (Debian: valgrind) with a durable store, RBAC and a TLS connection, and with
a clock that stands still, so that two runs differ by less than 0.5 %. The exit status is 1 when a step
takes more than 1.01 times its best, which benchmarks/mark.json holds; --update writes down what is better.
"""

import argparse
import json
import pathlib
import sys
import time
from collections import Counter
from typing import Any

from count_environment import differences, environment
from count_profiles import named, plain
from count_server import FLAGS
from count_steps import CHANGE, WATCHERS, WATCHES, steps

ROOT = pathlib.Path(__file__).parents[1]
MARK = pathlib.Path(__file__).with_name("mark.json")
TOLERANCE = 1.01


def per_operation(costs: dict[str, int]) -> dict[str, int]:
    """Instructions for each operation, from those of whole steps.

    Those of a watch event are what one watcher adds to a change.
    """
    each = {name: costs[name] / step.times for name, step in steps().items() if name in costs}
    changed = each.pop(CHANGE, 0.0)
    for name in each.keys() & WATCHES:
        each[name] = (each[name] - changed) / WATCHERS
    return {name: round(cost) for name, cost in each.items()}


def by_place(costs: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """The costs by the file in which the instructions were spent."""
    places = sorted({place for step in costs.values() for place in step})
    out: dict[str, dict[str, int]] = {}
    for place in places:
        each = per_operation({name: step.get(place, 0) for name, step in costs.items()})
        for name, cost in each.items():
            out.setdefault(name, {})[place] = cost
    return out


def table(now: dict[str, int], best: dict[str, int]) -> list[str]:
    """A line for each step."""
    lines = [f"{'step':14} {'now':>12} {'best':>12} {'times':>7}"]
    for name, count in now.items():
        kept = best.get(name)
        against = f"{kept:12,} {count / kept:7.3f}" if kept else f"{'-':>12} {'-':>7}"
        lines.append(f"{name:14} {count:12,} {against}")
    return lines


def packages(places: dict[str, int], files: int = 3) -> list[str]:
    """A line for each package of a step, the dearest first, with those of its files that take most."""
    inside: dict[str, Counter[str]] = {}
    for place, cost in places.items():
        package, _, name = place.partition("/")
        inside.setdefault(package, Counter())[name] += cost
    lines = []
    for package, costs in sorted(inside.items(), key=lambda item: -item[1].total()):
        most = [f"{name} {cost:,}" for name, cost in costs.most_common(files) if name and cost]
        lines.append(f"  {package:20} {costs.total():12,}   {', '.join(most)}".rstrip())
    return lines


def dearer(now: dict[str, int], best: dict[str, int]) -> list[str]:
    """The steps that take more than their best allows."""
    return [name for name, count in now.items() if name in best and count > TOLERANCE * best[name]]


def update(mark: dict[str, Any], now: dict[str, int], where: dict[str, str]) -> dict[str, Any]:
    """The mark with what is better now, and with the environment when anything is."""
    best = mark.get("count", {})
    better = {name: count for name, count in now.items() if count < best.get(name, count + 1)}
    if not better:
        return mark
    return {**mark, "count": {**best, **better}, "environment": where}


def spread(runs: list[dict[str, int]]) -> list[str]:
    """A line for each step: the least and the most of several runs, and by how much they differ."""
    lines = [f"{'step':14} {'least':>12} {'most':>12} {'spread':>8}"]
    for name in runs[0]:
        counts = [run[name] for run in runs]
        least, most = min(counts), max(counts)
        lines.append(f"{name:14} {least:12,} {most:12,} {most / least - 1:8.3%}")
    return lines


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tree", type=pathlib.Path, default=ROOT, help="count the server in another built tree"
    )
    parser.add_argument("--steps", nargs="+", choices=[name for name in steps() if name != CHANGE])
    parser.add_argument(
        "--flag", action="append", default=[], help="give the server a flag more, as --flag=--history"
    )
    parser.add_argument("--packages", action="store_true", help="tell where, by a second run (Python 3.11)")
    parser.add_argument("--repeat", type=int, default=1, help="count so often, and tell the spread")
    parser.add_argument("--update", action="store_true", help="lower what was beaten in mark.json")
    parser.add_argument("--json", type=pathlib.Path, help="write the counts there")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    FLAGS.extend(args.flag)
    begun = time.monotonic()
    mark = json.loads(MARK.read_text()) if MARK.exists() else {}
    best, tree, wanted = mark.get("count", {}), args.tree.resolve(), args.steps or list(steps())
    whole = [plain(tree, wanted) for _ in range(args.repeat)]
    runs = [per_operation(costs) for costs in whole]
    now, where = runs[-1], environment()
    found: dict[str, Any] = {"count": now, "environment": where}
    print("\n".join(table(now, best)))
    if args.repeat > 1:
        print("\n".join(spread(runs)))
    if args.packages:
        found["packages"] = by_place(named(tree, wanted, whole[-1]))
        for name, places in found["packages"].items():
            print("\n".join([name, *packages(places)]))
    print(f"instructions per operation, counted in {time.monotonic() - begun:.0f} s")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")
    if args.update:
        MARK.write_text(json.dumps(update(mark, now, where), indent=2) + "\n")
    lost = dearer(now, best)
    if lost:
        print(f"more than {TOLERANCE} times the best: {', '.join(lost)}", file=sys.stderr)
        for line in differences(where, mark.get("environment", {})):
            print(f"not the environment of the best: {line}", file=sys.stderr)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
