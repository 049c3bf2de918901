"""Plays generated workloads on our controllers and on those of Kubernetes, and tells where they end differently.

`make differ-workloads` runs it. KUBE_CONTROLLER_MANAGER and KUBE_SCHEDULER name the programs; our API server and our simulated
kubelets are below both sides, so that what differs is the controllers.
"""

import argparse
import json
import os
import pathlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from fuzz.differ import differences
from workloads import (
    areas_jobs,
    areas_network,
    areas_placing,
    areas_policies,
    areas_replicas,
    areas_sets,
    areas_zones,
)
from workloads.case import Case
from workloads.normal import State, normalised
from workloads.sides import Side, both, scratch

AREAS: dict[str, tuple[int, Callable[[Case], None]]] = {
    "cron": (16, areas_jobs.cron_job),
    "job": (46, areas_jobs.job),
    "deploy": (50, areas_replicas.deployment),
    "set": (14, areas_replicas.replica_set),
    "stateful": (34, areas_sets.stateful_set),
    "daemon": (22, areas_sets.daemon_set),
    "service": (24, areas_network.service),
    "zones": (12, areas_zones.zones),
    "budget": (14, areas_policies.budget),
    "scale": (12, areas_policies.autoscaler),
    "quota": (8, areas_policies.quota),
    "volume": (16, areas_policies.volume),
    "place": (32, areas_placing.placing),
    "preempt": (12, areas_placing.preemption),
}
"""How many cases of 300 each area has, and what makes them."""


def cases(seed: int, number: int, areas: Iterable[str] = ()) -> list[Case]:
    """The cases of a seed, in the shares of AREAS."""
    chosen = {name: AREAS[name] for name in (areas or AREAS)}
    whole = sum(share for share, _ in chosen.values())
    out = []
    for name, (share, make) in chosen.items():
        for count in range(max(1, round(number * share / whole))):
            case = Case(name, count, seed)
            make(case)
            out.append(case)
    return out


@dataclass
class Report:
    """The cases that were compared, and in which of them what differs."""

    compared: Counter[str] = field(default_factory=Counter)
    status: dict[str, list[str]] = field(default_factory=dict)
    objects: dict[str, list[str]] = field(default_factory=dict)
    events: dict[str, list[str]] = field(default_factory=dict)

    def add(self, case: Case, stock: State, ours: State) -> None:
        """Compare the ends of a case."""
        self.compared[case.area] += 1
        wanted, found = (normalised(state, places=case.places, zones=case.zones) for state in (stock, ours))
        for line in compared(wanted, found):
            kept = (
                self.events if line.startswith("Event") else self.status if is_status(line) else self.objects
            )
            kept.setdefault(case.namespace, []).append(line)

    @property
    def share(self) -> float:
        """The part of the cases whose status is the same."""
        return 1 - len(self.status) / max(1, self.compared.total())

    def lines(self) -> Iterator[str]:
        """The report."""
        yield f"{'area':10} {'cases':>6} {'status':>7} {'objects':>8} {'events':>7}   (cases that differ)"
        for area, count in sorted(self.compared.items()):
            different = [
                sum(name.startswith(f"{area}-") for name in kept)
                for kept in (self.status, self.objects, self.events)
            ]
            yield f"{area:10} {count:6} {different[0]:7} {different[1]:8} {different[2]:7}"
        for title, kept in (("status", self.status), ("objects", self.objects), ("events", self.events)):
            for name, found in sorted(kept.items()):
                yield f"\n{title} of {name}"
                yield from (f"  {line}" for line in found[:12])
        yield f"\nthe same status in {self.share:.1%} of {self.compared.total()} cases"


def is_status(line: str) -> bool:
    """Whether a difference is about a status, or about whether an object is there."""
    return ".status" in line or "only" in line


def compared(wanted: dict[str, list[Any]], found: dict[str, list[Any]]) -> Iterator[str]:
    """The places where the ends of a case differ."""
    for name in sorted({*wanted, *found}):
        want, have = wanted.get(name, []), found.get(name, [])
        if name == "Event":
            yield from (f"Event only stock: {json.dumps(one)}" for one in want if one not in have)
            yield from (f"Event only ours: {json.dumps(one)}" for one in have if one not in want)
        elif len(want) != len(have):
            yield f"{name}: {len(want)} only with stock controllers, {len(have)} with ours"
        else:
            for one, other in zip(want, have, strict=True):
                yield from (f"{name}{line}" for line in differences(one, other))


def duel(ours: Side, other: Side, chosen: Sequence[Case], keep: pathlib.Path | None, together: int) -> Report:
    """Play all cases, those that want the nodes for themselves at the end and one after the other."""
    report = Report()

    def one(case: Case) -> None:
        began = time.monotonic()
        mine, stock = both(ours, other, case)
        report.add(case, stock, mine)
        print(f"{case.namespace} {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        if keep is not None:
            (keep / f"{case.namespace}.json").write_text(json.dumps({"ours": mine, "stock": stock}, indent=1))

    with ThreadPoolExecutor(together) as pool:
        list(pool.map(one, (case for case in chosen if not case.alone)))
    for case in chosen:
        if case.alone:
            one(case)
    return report


def stock_programs() -> list[str]:
    """The programs that the environment names."""
    names = ("KUBE_CONTROLLER_MANAGER", "KUBE_SCHEDULER")
    found = [os.environ.get(name, "") for name in names]
    if not all(found):
        raise SystemExit("KUBE_CONTROLLER_MANAGER and KUBE_SCHEDULER name the programs to compare with")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when the status of so many cases is the same."""
    parser = argparse.ArgumentParser(prog="workloads", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--areas", nargs="*", default=(), choices=sorted(AREAS))
    parser.add_argument("--only", help="a part of the names of the cases")
    parser.add_argument("--share", type=float, default=0.99, help="the part that must have the same status")
    parser.add_argument("--together", type=int, default=16, help="cases that are played at once")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for the objects of each case")
    parser.add_argument(
        "--patience", type=float, default=1.0, help="by how much longer to wait on a slow machine"
    )
    given = parser.parse_args(arguments)
    chosen = [
        case for case in cases(given.seed, given.cases, given.areas) if (given.only or "") in case.namespace
    ]
    programs = stock_programs()
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
    with scratch() as folder:
        directories = [pathlib.Path(folder) / name for name in ("ours", "stock")]
        for directory in directories:
            directory.mkdir()
        slow = given.patience
        with (
            Side(directories[0], patience=slow) as ours,
            Side(directories[1], stock=programs, patience=slow) as other,
        ):
            report = duel(ours, other, chosen, given.keep, given.together)
    print("\n".join(report.lines()))
    return 0 if report.share >= given.share else 1


if __name__ == "__main__":
    sys.exit(main())
