"""Times the way of requests in process and fails when one became slower than the kept baseline says.

    python benchmarks/regress.py [--update] [--allow 0.25]

Times are ratios to a loop of plain Python and orjson that is timed beside each of them,
so that they can be compared between machines and between hours of a shared one.
"""

import argparse
import functools
import json
import pathlib
import sys
import time
from collections.abc import Callable

import orjson
from bench_write_path import OPERATIONS, Rig, pod

BASELINE = pathlib.Path(__file__).with_name("baseline.json")
ROUNDS = 12
TIMES = 60
WARM_UP = 60


def calibrate() -> None:
    """Work of the same sort: decode, walk, encode."""
    obj = orjson.loads(SAMPLE)
    seen = 0
    for container in obj["spec"]["containers"]:
        for variable in container["env"]:
            seen += len(f"{variable['name']}={variable['value']}")
    orjson.dumps(obj)


SAMPLE = orjson.dumps(pod("calibration"))


def seconds(work: Callable[[], None], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times


def ratios() -> dict[str, float]:
    """Each operation's best time as a ratio to the best one of the calibration loop meanwhile."""
    rig = Rig()
    out = {}
    for name, operation in OPERATIONS.items():
        run = functools.partial(operation, rig)
        seconds(run, WARM_UP)
        best = unit = float("inf")
        for _ in range(ROUNDS):
            unit = min(unit, seconds(calibrate, 200))
            best = min(best, seconds(run, TIMES))
        out[name] = round(best / unit, 2)
    rig.close()
    return out


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--update", action="store_true", help="keep what is measured as the baseline")
    parser.add_argument("--allow", type=float, default=0.25, help="the loss that is still no failure")
    args = parser.parse_args()
    found = ratios()
    if args.update:
        BASELINE.write_text(json.dumps(found, indent=2) + "\n")
    kept = json.loads(BASELINE.read_text())
    lost = []
    print(f"{'operation':20} {'baseline':>9} {'now':>9} {'change':>8}")
    for name, ratio in found.items():
        before = kept.get(name, ratio)
        print(f"{name:20} {before:9.2f} {ratio:9.2f} {ratio / before - 1:+8.0%}")
        if ratio > before * (1 + args.allow):
            lost.append(name)
    if lost:
        print(f"slower by more than {args.allow:.0%}: {', '.join(lost)}", file=sys.stderr)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
