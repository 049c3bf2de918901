"""Counts the instructions of a whole server for each kind of request, and holds them against the best ever.

    python benchmarks/count.py [--update] [--packages] [--tree PATH] [--steps NAME ...] [--json FILE]

The server runs under callgrind (Debian: valgrind) with a durable store, RBAC and a TLS connection, and with a clock
that stands still, so that two runs differ by less than 0.5 %. The exit status is 1 when a step takes more than
1.02 times its best, which benchmarks/mark.json holds; --update writes down what is better.
"""

import argparse
import compileall
import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from typing import Any

from count_client import Client
from count_environment import differences, environment
from count_server import Server, running
from count_steps import CHANGE, WATCH, WATCHERS, Step, fill, steps

ROOT = pathlib.Path(__file__).parents[1]
MARK = pathlib.Path(__file__).with_name("mark.json")
TOLERANCE = 1.02
AGAIN = 4
"""Operations between the garbage collection and those that are counted."""


def total(profile: str) -> int:
    """The instructions of a profile."""
    (line,) = [line for line in profile.splitlines() if line.startswith("totals: ")]
    return int(line.removeprefix("totals: "))


def counted(server: Server, client: Client, name: str, step: Step) -> str:
    """The profile of a step's operations."""
    warm, first = step.warm, step.warm + AGAIN
    for number in range(warm):
        step.operation(client, number)
    server.tell("collect")
    for number in range(warm, first):
        step.operation(client, number)
    server.tell("zero")
    for number in range(first, first + step.count):
        step.operation(client, number)
    return server.dump(name)


def profiles(tree: pathlib.Path, names: Iterable[str], options: Sequence[str] = ()) -> dict[str, str]:
    """The profiles of some steps of the server in a tree; `options` are callgrind's."""
    compileall.compile_dir(tree / "src/pilothouse", quiet=1)
    with tempfile.TemporaryDirectory(prefix="pilothouse-count-") as path:
        folder = pathlib.Path(path)
        with running(folder, tree, counted=False) as server:
            fill(Client(server, "admin"), Client(server))
        with running(folder, tree, options=options) as server:
            client = Client(server)
            server.tell("freeze")
            server.tell("start")
            return {name: counted(server, client, name, step) for name, step in chosen(names).items()}


def chosen(names: Iterable[str]) -> dict[str, Step]:
    """The steps with these names, and those that they need."""
    wanted = {*names}
    if WATCH in wanted:
        wanted.add(CHANGE)
    if "delete" in wanted:
        wanted.add("create")
    return {name: step for name, step in steps().items() if name in wanted}


def per_operation(costs: dict[str, int]) -> dict[str, int]:
    """Instructions for each operation, from those of whole steps. An event's are what one watcher adds to a change."""
    counts = {name: step.count for name, step in steps().items()}
    out = {name: round(cost / counts[name]) for name, cost in costs.items()}
    if WATCH in out:
        out[WATCH] = round((costs[WATCH] / counts[WATCH] - costs[CHANGE] / counts[CHANGE]) / WATCHERS)
    out.pop(CHANGE, None)
    return out


def table(now: dict[str, int], best: dict[str, int]) -> list[str]:
    """A line for each step."""
    lines = [f"{'step':14} {'now':>12} {'best':>12} {'times':>7}"]
    for name, count in now.items():
        kept = best.get(name)
        against = f"{kept:12,} {count / kept:7.3f}" if kept else f"{'-':>12} {'-':>7}"
        lines.append(f"{name:14} {count:12,} {against}")
    return lines


def dearer(now: dict[str, int], best: dict[str, int]) -> list[str]:
    """The steps that take more than their best allows."""
    return [name for name, count in now.items() if name in best and count > TOLERANCE * best[name]]


def update(mark: dict[str, Any], now: dict[str, int], where: dict[str, str]) -> dict[str, Any]:
    """The mark with what is better now, and the environment when anything is."""
    best = mark.get("count", {})
    better = {name: count for name, count in now.items() if count < best.get(name, count + 1)}
    if not better:
        return mark
    return {**mark, "count": {**best, **better}, "environment": where}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tree", type=pathlib.Path, default=ROOT, help="count the server in another built tree"
    )
    parser.add_argument("--steps", nargs="+", choices=[name for name in steps() if name != CHANGE])
    parser.add_argument("--update", action="store_true", help="lower what was beaten in mark.json")
    parser.add_argument("--json", type=pathlib.Path, help="write the counts there")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    begun = time.monotonic()
    mark = json.loads(MARK.read_text()) if MARK.exists() else {}
    found = profiles(args.tree.resolve(), args.steps or steps())
    now = per_operation({name: total(profile) for name, profile in found.items()})
    best = mark.get("count", {})
    where = environment()
    print("\n".join(table(now, best)))
    print(f"instructions per operation, counted in {time.monotonic() - begun:.0f} s")
    if args.json:
        args.json.write_text(json.dumps({"count": now, "environment": where}, indent=2) + "\n")
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
