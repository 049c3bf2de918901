"""Runs one load generator against this server, the floor of its stack and a kube-apiserver;
prints a table, draws bars.

    python benchmarks/versus.py --loadgen build/loadgen [--floor FLOOR.py] [--svg FILE]
        [--markdown FILE] [STEP ...]

The load generator is a program that takes -server, -token, -pid, -pods, -seconds, -json and step names, and
prints one JSON object a step. KUBE_APISERVER names a kube-apiserver binary; it needs `etcd` on the path. CPU
is that of the server's processes, divided by the operations; the server is pinned to one core and the load
generator to another where there are two. Beside each figure of ours stands what is aimed at. `--h2` adds a
column for a server whose clients speak HTTP/2; its 16 workers then share one connection, where each has one
of its own over HTTP/1.1.
"""

import argparse
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from itertools import groupby

import servers
from processes import resident

GZIP = "list-gzip"
"""The step `list` once more, with compressed answers."""

STEPS = [
    "setup",
    "create",
    "get",
    "list",
    GZIP,
    "page",
    "label",
    "node",
    "patch",
    "status",
    "apply",
    "lease",
    "mixed",
    "watch",
    "delete",
]

GOALS = {
    "get": 75,
    "list-all": 30_000,
    "list-all with gzip": 20_000,
    "list-page-500": 2_500,
    "list-label-1%": 400,
    "list-node": 130,
    "create": 450,
    "patch-merge": 500,
    "patch-status": 500,
    "apply-ssa": 600,
    "lease-update": 180,
    "delete": 350,
    "mixed": 250,
    "watch-fanout": 12,
}
"""Microseconds of CPU for one operation."""

MEMORY_GOALS = (80, 140, 180, 0)
"""Megabytes: empty, with 5,000 pods, after the whole run,
and when the server had nothing to do for REST_SECONDS."""

REST_SECONDS = 35

READY_GOAL = 0.6
"""Seconds from the start of an empty server to its first good answer on /readyz."""


@dataclass
class Figures:
    """The figures of one server: microseconds of CPU an operation by row,
    seconds to ready, megabytes four times."""

    ready: float
    empty: float
    cpu: dict[str, float] = field(default_factory=dict)
    filled: float = 0.0
    last: float = 0.0
    rested: float = 0.0


def measure(
    args: argparse.Namespace,
    server: servers.Started,
    steps: list[str],
    rest: float = 0.0,
    *,
    h2: bool = False,
) -> Figures:
    """Run the steps against a server that was just started, then let it rest for some seconds."""
    pid = server.process.pid
    time.sleep(2)  # what a server does by itself after its start is over
    figures = Figures(server.ready, resident(pid))
    for packed, group in groupby(steps, GZIP.__eq__):
        flags = ["-gzip", "list"] if packed else list(group)
        command = [args.loadgen, "-server", server.url, "-token", servers.TOKEN, "-pid", str(pid)]
        command += ["-pods", str(args.pods), "-seconds", str(args.seconds), "-json"]
        command += [*(["-h2"] if h2 else []), *flags]
        done = subprocess.run(
            servers.pinned(servers.CLIENT, command), capture_output=True, text=True, check=True
        )
        for line in done.stdout.splitlines():
            row = json.loads(line)
            if row["errors"]:
                print(f"{row['step']}: {row['errors']} errors, {row.get('comment', '')}", file=sys.stderr)
            figures.cpu[row["step"] + (" with gzip" if packed else "")] = row["server_cpu_us_per_op"]
            figures.last = row["rss_mb"]
            if row["step"] == "create":
                figures.filled = row["rss_mb"]
    time.sleep(rest)
    figures.rested = resident(pid)
    return figures


def ours(args: argparse.Namespace, directory: pathlib.Path, *, h2: bool = False) -> Figures:
    with servers.ours(directory) as server:
        return measure(args, server, args.steps, rest=args.rest, h2=h2)


def floor(args: argparse.Namespace, directory: pathlib.Path) -> Figures:
    with servers.floor(directory, args.pods, args.floor) as server:
        figures = measure(args, server, [step for step in args.steps if step != GZIP], args.rest)
        figures.empty = 0  # it starts with its pods
        return figures


def reference(args: argparse.Namespace, directory: pathlib.Path) -> Figures:
    with servers.reference(directory) as server:
        return measure(args, server, args.steps, rest=args.rest)


def shown(microseconds: float) -> str:
    if microseconds >= 1000:
        return f"{microseconds / 1000:.3g} ms"
    return f"{microseconds:.3g} us"


def megabytes(size: float) -> str:
    return f"{size:.0f} MB"


def seconds(time: float) -> str:
    return f"{time:.2f} s"


Row = tuple[str, float, Callable[[float], str], list[float]]
"""The quantity, the goal, a function that formats a figure, the figure of each side;
0 where there is none."""


def rows(results: dict[str, Figures]) -> Iterator[Row]:
    sides = list(results.values())
    for step in sides[0].cpu:
        yield step, GOALS.get(step, 0), shown, [side.cpu.get(step, 0) for side in sides]
    memory = zip(*[(side.empty, side.filled, side.last, side.rested) for side in sides], strict=True)
    for when, goal, sizes in zip(
        ("empty", "with the pods", "at the end", "at rest"), MEMORY_GOALS, memory, strict=True
    ):
        yield f"memory, {when}", goal, megabytes, list(sizes)
    yield "start to ready", READY_GOAL, seconds, [side.ready for side in sides]


def markdown(results: dict[str, Figures]) -> str:
    """A table: each figure of ours, bold when it misses its goal,
    and how many times as much the others take."""
    first, *others = results
    head = ["", first, "goal", *[cell for name in others for cell in (name, "ratio")]]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for what, goal, show, (mine, *theirs) in rows(results):
        if not mine:
            continue
        text = show(mine)
        cells = [f"**{text}**" if 0 < goal < mine else text, show(goal) if goal else "-"]
        for figure in theirs:
            cells += [show(figure), f"{figure / mine:.2f}"] if figure else ["-", "-"]
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


COLOURS = ("#2a6f97", "#adb5bd", "#e07a5f")


def chart(results: dict[str, Figures]) -> str:
    """Bars of CPU an operation, each step scaled to its largest."""
    rows = {name: figures.cpu for name, figures in results.items()}
    steps = list(next(iter(rows.values())))
    high = 16 * len(results) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{high * len(steps) + 30}"'
        ' font-family="sans-serif" font-size="12">'
    ]
    for i, (name, colour) in enumerate(zip(results, COLOURS, strict=False)):
        parts.append(f'<rect x="{130 + 160 * i}" y="6" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{145 + 160 * i}" y="15">{escape(name)}</text>')
    for place, step in enumerate(steps):
        y = 30 + place * high
        most = max(cpu[step] for cpu in rows.values() if step in cpu) or 1
        parts.append(f'<text x="120" y="{y + 12}" text-anchor="end">{escape(step)}</text>')
        for i, (cpu, colour) in enumerate(zip(rows.values(), COLOURS, strict=False)):
            if step not in cpu:
                continue
            value, at = cpu[step], y + 16 * i
            width = max(1, round(500 * value / most))
            parts.append(f'<rect x="130" y="{at}" width="{width}" height="14" fill="{colour}"/>')
            parts.append(f'<text x="{136 + width}" y="{at + 12}">{shown(value)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loadgen", required=True)
    parser.add_argument("--floor", type=pathlib.Path, default=servers.FLOOR)
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--h2", action="store_true")
    parser.add_argument("--rest", type=float, default=REST_SECONDS)
    parser.add_argument("--markdown", default="")
    parser.add_argument("--svg", default="")
    parser.add_argument("steps", nargs="*", default=STEPS)
    args = parser.parse_args()
    sides: dict[str, Callable[[argparse.Namespace, pathlib.Path], Figures]] = {"Pilothouse": ours}
    if args.h2:
        sides["over HTTP/2"] = functools.partial(ours, h2=True)
    sides["floor"] = floor
    if os.environ.get(servers.KUBE_APISERVER):
        sides["kube-apiserver"] = reference
    results = {}
    for name, run in sides.items():
        with tempfile.TemporaryDirectory() as directory:
            results[name] = run(args, pathlib.Path(directory))
    table = markdown(results)
    print(table)
    if args.markdown:
        pathlib.Path(args.markdown).write_text(table)
    if args.svg:
        pathlib.Path(args.svg).write_text(chart(results))


if __name__ == "__main__":
    main()
