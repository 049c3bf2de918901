"""The mark: processor time for an operation over TLS, as a ratio to the floor's, held against the best ever.

    python benchmarks/mark.py [--gate] [--update] [--tree PATH ...] [--json FILE] [STEP ...]

The floor (floor.py), the server and their client run on one core; load.py says why. Both servers are
started twice. In each start a step that writes is visited eight times, another one twice, and the two take
nine short turns a visit, so that what the machine does meanwhile meets both. It does so for seconds to
minutes, and makes a write up to twice as dear, which works on more memory than a core's own caches hold. So
the turns of a step are spread over the whole run. A figure is the third cheapest of all turns, for what
others do only makes turns dearer. The ratio server : floor is held against `benchmarks/mark.json`. A step
that is more than 10 % above is measured once more, in new starts, whose turns are added to those before; the
exit status is 1 if it is still above.
`--gate` takes five steps only. `--update` writes down what was beaten.
`--tree` names another tree with built modules, to be measured instead of this one; several trees are measured
in turns, and not held against anything. Where KUBE_APISERVER names a kube-apiserver's binary, it stands
beside them.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import servers
from load import WATCHES, Load, scheduled, undisturbed
from processes import resident

BEST = pathlib.Path(__file__).with_name("mark.json")
KEY = "ratio"
GATE = ["get", "create", "merge-patch", "lease-update", "watch-event"]
STEPS = {
    "get": "GET of a pod",
    "create": "create a pod",
    "merge-patch": "merge patch",
    "status-patch": "status patch",
    "apply": "apply",
    "lease-update": "lease update",
    "delete": "delete",
    "mixed": "mixed: 70 % GET, 10 % by label, 20 % patch",
    "list-10": "list by node, 10 of 5,000",
    "list-50": "list by label, 50 of 5,000",
    "list-5000": "list of 5,000",
    "list-500": "page of 500",
    "watch-event": "watch event, one of 500 of a patch",
}
TOLERANCE = 0.10
WRITES = {"create", "merge-patch", "status-patch", "apply", "lease-update", "delete", "mixed"}
RARE = 4
"""A step that only reads, which varies less, is a part of every fourth round."""
STARTS, ROUNDS, TURNS, SECONDS = 2, 8, 9, 0.025
"""Starts of each server, rounds of visits in each, turns of a server in a visit, seconds of processor time of
a turn."""
PODS = 5000
SETTLE_SECONDS = 2.0
FLOOR = "floor"


@dataclass
class Side:
    """One server that is measured: its load, and microseconds of each turn of a step."""

    load: Load
    turns: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)

    @property
    def megabytes(self) -> float:
        return round(resident(self.load.server.process.pid), 1)

    def microseconds(self, step: str) -> float:
        """Of an operation of a step."""
        return figure(self.turns[step])


def figure(turns: list[float]) -> float:
    """The third cheapest of the turns, which one that was measured too low does not decide."""
    return sorted(turns)[:3][-1]


def above(found: Mapping[str, float], best: Mapping[str, float]) -> list[str]:
    """The steps that cost more than the best ever and the tolerance; a step without a best passes."""
    return [step for step, ratio in found.items() if step in best and ratio > best[step] * (1 + TOLERANCE)]


def judged(
    found: dict[str, float], best: Mapping[str, float], again: Callable[[list[str]], Mapping[str, float]]
) -> list[str]:
    """Measure what is above once more, keep the lower ratio in `found`, and tell what is still above."""
    if repeated := above(found, best):
        for step, ratio in again(repeated).items():
            found[step] = min(found[step], ratio)
    return above(found, best)


def lowered(kept: Mapping[str, float], found: Mapping[str, float]) -> dict[str, float]:
    """The best of each step; no figure ever rises."""
    return {**kept, **{step: min(ratio, kept.get(step, ratio)) for step, ratio in found.items()}}


def best(path: pathlib.Path = BEST) -> dict[str, float]:
    kept: dict[str, float] = json.loads(path.read_text()).get(KEY, {}) if path.exists() else {}
    return kept


def update(found: Mapping[str, float], path: pathlib.Path = BEST) -> None:
    """Write down what was beaten; what else the file holds stays."""
    content = json.loads(path.read_text()) if path.exists() else {}
    content[KEY] = lowered(content.get(KEY, {}), found)
    path.write_text(json.dumps(content, indent=2) + "\n")


class Sitting:
    """Servers that run at the same time, and are measured in turns."""

    def __init__(
        self, args: argparse.Namespace, stack: contextlib.ExitStack, before: "Sitting | None"
    ) -> None:
        """Start all servers; what they spend is added to what those of the sitting before have spent."""
        self._args = args
        self._stack = stack
        self._directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        floor = stack.enter_context(servers.floor(self._folder(FLOOR), args.pods))
        self.floor = Side(self._load(floor))
        self.trees: dict[str, Side] = {}
        for name, tree in args.trees.items():
            self.trees[name] = self._filled(servers.ours(self._folder(name), tree))
        self.others: dict[str, Side] = {}
        if os.environ.get(servers.KUBE_APISERVER):
            self.others["kube-apiserver"] = self._filled(servers.reference(self._folder("reference")))
        for name, side in before.sides.items() if before else ():
            self.sides[name].turns = side.turns

    @property
    def sides(self) -> dict[str, Side]:
        return {FLOOR: self.floor, **self.trees, **self.others}

    def visit(self, step: str) -> None:
        """The turns of a step on each side, after one that does not count."""
        args, sides = self._args, self.sides.values()
        with undisturbed_client():
            for side in sides:
                side.load.batch(step, args.seconds)
            for _ in range(args.turns):
                for side in sides:
                    cpu, done = side.load.batch(step, args.seconds)
                    side.turns.setdefault(step, []).append(cpu / done * 1e6)
        for side in sides:
            side.load.close()

    def ratios(self, name: str, steps: list[str]) -> dict[str, float]:
        side = self.sides[name]
        return {step: round(side.microseconds(step) / self.floor.microseconds(step), 3) for step in steps}

    def empty(self) -> None:
        """Delete all pods and note the memory then."""
        for side in (*self.trees.values(), *self.others.values()):
            side.load.empty()
        time.sleep(SETTLE_SECONDS)
        for side in (*self.trees.values(), *self.others.values()):
            side.memory["deleted"] = side.megabytes

    def _folder(self, name: str) -> pathlib.Path:
        (folder := self._directory / name).mkdir()
        return folder

    def _load(self, server: servers.Started) -> Load:
        load = Load(server, self._args.pods, self._args.watches)
        self._stack.callback(load.close)
        return load

    def _filled(self, starting: contextlib.AbstractContextManager[servers.Started]) -> Side:
        server = self._stack.enter_context(starting)
        time.sleep(SETTLE_SECONDS)  # what a server does by itself after its start is over
        side = Side(self._load(server))
        side.memory["empty"] = side.megabytes
        side.load.fill()
        side.memory["pods"] = side.megabytes
        return side


@contextlib.contextmanager
def undisturbed_client() -> Iterator[None]:
    """Have this process on the servers' core, with their policy."""
    os.sched_setaffinity(0, {servers.CORES[servers.SERVER]})
    undisturbed(os.getpid())
    try:
        yield
    finally:
        scheduled(os.getpid(), os.SCHED_OTHER, 0)
        os.sched_setaffinity(0, servers.CORES)


def commit(tree: pathlib.Path) -> str:
    """The commit that a tree has checked out, or its folder's name."""
    command = ["git", "-C", str(tree), "log", "-1", "--format=%h", "--abbrev=8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or tree.resolve().name


def machine() -> str:
    model = ""
    with contextlib.suppress(OSError, StopIteration):
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    python = ".".join(platform.python_version_tuple()[:2])
    return f"{model or platform.machine()}, {os.cpu_count()} cores, Python {python}"


def shown(microseconds: float) -> str:
    if microseconds >= 1000:
        return f"{microseconds / 1000:.3g} ms"
    return f"{microseconds:.3g} us"


def rows(sitting: Sitting, steps: list[str], kept: Mapping[str, float]) -> Iterator[list[str]]:
    names = [*sitting.trees, *sitting.others]
    yield ["step", FLOOR, *[cell for name in names for cell in (name, "ratio")], "best"]
    for step in steps:
        cells = [STEPS[step], shown(sitting.floor.microseconds(step))]
        for name in names:
            cells += [
                shown(sitting.sides[name].microseconds(step)),
                f"{sitting.ratios(name, [step])[step]:.2f}",
            ]
        yield [*cells, f"{kept[step]:.2f}" if step in kept else "-"]


def markdown(table: Iterator[list[str]]) -> str:
    head, *body = table
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body]]
    return "\n".join(lines) + "\n"


def document(sitting: Sitting, found: dict[str, float]) -> dict[str, object]:
    """The part of a sitting that history.py keeps, and all turns."""

    def figures(side: Side) -> dict[str, float]:
        return {step: round(side.microseconds(step), 2) for step in side.turns}

    def exact(side: Side) -> dict[str, list[float]]:
        return {step: [round(one, 2) for one in turns] for step, turns in side.turns.items()}

    trees = {}
    for number, (name, side) in enumerate(sitting.trees.items()):
        ratio = found if number == 0 else sitting.ratios(name, list(side.turns))
        ready = round(side.load.server.ready, 2)
        trees[name] = {"ratio": ratio, "us": figures(side), "memory": side.memory, "start": ready}
    others = {name: {"us": figures(side), "memory": side.memory} for name, side in sitting.others.items()}
    turns = {FLOOR: exact(sitting.floor), **{name: exact(side) for name, side in sitting.trees.items()}}
    return {"machine": machine(), "floor": figures(sitting.floor), "trees": trees, **others, "turns": turns}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gate", action="store_true", help=f"only {', '.join(GATE)}")
    parser.add_argument("--update", action="store_true", help="lower the best where it was beaten")
    parser.add_argument("--tree", action="append", type=pathlib.Path, help="another tree with built modules")
    parser.add_argument("--json", type=pathlib.Path, help="a file for the figures")
    parser.add_argument("--best", type=pathlib.Path, default=BEST)
    parser.add_argument("--pods", type=int, default=PODS)
    parser.add_argument("--watches", type=int, default=WATCHES, help="that follow a patch")
    parser.add_argument("--starts", type=int, default=STARTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of processor time in a turn")
    parser.add_argument("steps", nargs="*", metavar="STEP", help=", ".join(STEPS))
    args = parser.parse_args()
    if unknown := set(args.steps) - set(STEPS):
        parser.error(f"there is no step {', '.join(sorted(unknown))}")
    args.steps = args.steps or (GATE if args.gate else list(STEPS))
    args.trees = {commit(tree): tree for tree in args.tree or [servers.ROOT]}
    return args


def measured(args: argparse.Namespace, steps: list[str], before: Sitting | None = None) -> Sitting:
    """The last of several starts, which has the turns of all, and those of the sitting before."""
    whole = before is None and not args.gate
    for left in reversed(range(args.starts)):
        with contextlib.ExitStack() as stack:
            before = Sitting(args, stack, before)
            for number in range(args.rounds):
                for step in steps:
                    if step in WRITES or number % RARE == 0:
                        before.visit(step)
            if whole and not left:
                before.empty()
    assert before is not None
    return before


def main() -> int:
    args = parsed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers are ended too
    kept = best(args.best)
    sitting = measured(args, args.steps)
    name = next(iter(sitting.trees))
    found = sitting.ratios(name, args.steps)

    def again(steps: list[str]) -> Mapping[str, float]:
        print(f"once more: {', '.join(steps)}", file=sys.stderr)
        return measured(args, steps, sitting).ratios(name, steps)

    failed = judged(found, kept, again) if len(sitting.trees) == 1 else []
    print(markdown(rows(sitting, args.steps, kept)))
    if args.json:
        args.json.write_text(json.dumps(document(sitting, found), indent=2) + "\n")
    if args.update:
        update(found, args.best)
    for step in failed:
        print(
            f"{STEPS[step]}: {found[step]:.2f} times the floor, the best is {kept[step]:.2f}", file=sys.stderr
        )
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
