"""Measure what a server with more objects costs:
memory, one object, a list by node, by label, and the start with all of them.

    python benchmarks/growth.py --loadgen build/loadgen [--markdown FILE] [PODS ...]

Pods of 6 KB on the embedded store; a node has 1 of 500 of them, a label 1 of 100. CPU is the server's for one
operation; for lists also for one pod in the answer, since a list costs what it returns.
"""

import argparse
import pathlib
import tempfile

import processes
import servers
import versus

COUNTS = (1_000, 10_000, 50_000, 200_000)
MOST_MB = 2200.0
"""The most memory that 200,000 pods may take."""
NODES, LABELS = 500, 100
STEPS = ["setup", "create", "get", "node", "label"]
HEAD = "| pods | memory | a pod | create | get | by node | a pod of it | by label | a pod of it | start |"


def run(args: argparse.Namespace, count: int) -> dict[str, float]:
    """One server's life: microseconds of each step, megabytes with all pods,
    seconds until the next start is ready."""
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        with servers.ours(directory) as server:
            empty = processes.resident(server.process.pid)
            args.pods = count
            cpu = versus.measure(args, server, STEPS).cpu
            # A step's name in the load generator's answers is longer than the one it is asked for by.
            got = {step: next(micros for name, micros in cpu.items() if step in name) for step in STEPS[1:]}
            got["mb"] = processes.resident(server.process.pid)
            got["kb"] = (got["mb"] - empty) * 1024 / count
        with servers.ours(directory) as server:
            got["start"] = server.ready
            got["mb-again"] = processes.resident(server.process.pid)
        return got


def row(count: int, got: dict[str, float]) -> str:
    cells = [f"{count:,}", f"{got['mb']:.0f} MB", f"{got['kb']:.1f} KB"]
    cells += [versus.shown(got["create"]), versus.shown(got["get"])]
    for step, share in (("node", NODES), ("label", LABELS)):
        cells += [versus.shown(got[step]), versus.shown(got[step] / max(1, count // share))]
    return f"| {' | '.join(cells)} | {got['start']:.2f} s |"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loadgen", required=True)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--markdown", default="")
    parser.add_argument("counts", nargs="*", type=int, default=COUNTS)
    args = parser.parse_args()
    lines = [HEAD, "|---" * HEAD.count(" | ") + "|---|"]
    most = 0.0
    for count in args.counts:
        got = run(args, count)
        most = max(most, got["mb"], got["mb-again"])
        lines.append(row(count, got))
        print(lines[-1], flush=True)
    table = "\n".join(lines) + "\n"
    print(table)
    if args.markdown:
        pathlib.Path(args.markdown).write_text(table)
    return int(most > MOST_MB)


if __name__ == "__main__":
    raise SystemExit(main())
