"""All cases there are, a sample of them by a seed, and a run that takes as long as it may.

`python tests/fuzz/growth_runs.py` is the long run of `make fuzz`. GROWTH_SECONDS bounds it (default: all cases),
GROWTH_SEED orders the cases, GROWTH_ONLY keeps those whose name has this text.
"""

import itertools
import logging
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator

import growth_changes
import growth_custom
import growth_kinds
import growth_requests
from growth import Case, CutError, Meter, Verdict
from growth_fillers import TEXTS

Source = Callable[[], Iterator[Case]]

RETRIES = 2
"""Times that a case which was found wrong is measured again: a noisy machine makes one seem slow now and then."""


def sources() -> dict[str, Source]:
    """Where cases come from, by name; each in the order of the schemas."""
    made: dict[str, Source] = {}
    for resource in growth_kinds.resources():
        name = f"{resource.group_resource}/{resource.version}"
        made[f"create {name}"] = lambda resource=resource: growth_kinds.creations(resource)
        made[f"yaml {name}"] = lambda resource=resource: growth_kinds.creations(
            resource, encoding="application/yaml"
        )
        made[f"protobuf {name}"] = lambda resource=resource: growth_kinds.protobuf(resource)
        if growth_changes.stored(resource):
            made[f"change {name}"] = lambda resource=resource: growth_changes.changes(resource)
        if any(sub.kind in growth_changes.SUBRESOURCES for sub in resource.subresources.values()):
            made[f"subresources {name}"] = lambda resource=resource: growth_changes.subresources(resource)
    made["delete options"] = growth_changes.deletions
    for schema in growth_custom.SCHEMAS:
        made[f"custom {schema}"] = lambda schema=schema: growth_custom.items(schema)
    made["definitions"] = growth_custom.definitions
    for user in ("admin", "jane", ""):
        made[f"paths of {user or 'nobody'}"] = lambda user=user: growth_requests.paths(user)
        made[f"headers of {user or 'nobody'}"] = lambda user=user: growth_requests.headers(user)
        made[f"queries of {user or 'nobody'}"] = lambda user=user: growth_requests.queries(user)
    return made


def sample(seed: int) -> Iterator[Case]:
    """Cases in an order that a seed gives: one of each source in turn, long texts seldom, for ever new ones."""
    chooser = random.Random(seed)
    waiting = list(sources().values())
    chooser.shuffle(waiting)
    shuffled: list[Iterator[Case]] = []
    for source in waiting:
        shuffled.append(_shuffled(source, random.Random(chooser.random())))
    while shuffled:
        for cases in list(shuffled):
            case = next(cases, None)
            if case is None:
                shuffled.remove(cases)
            else:
                yield case


def _shuffled(source: Source, chooser: random.Random) -> Iterator[Case]:
    """The cases of a source; those of long texts, which are most and alike, come after the others."""
    cases = list(source())
    chooser.shuffle(cases)
    cases.sort(
        key=lambda case: case.name.partition(": ")[2].partition(" (")[0] in TEXTS and chooser.random() < 0.9
    )
    yield from cases


def wrong(meter: Meter, case: Case) -> Verdict | None:
    """What is wrong with a case, however often it is measured; None when nothing is."""
    found = None
    for _ in range(1 + RETRIES):
        found = judged(meter, case)
        if found is None or not found.wrong:
            return None
    return found


def judged(meter: Meter, case: Case) -> Verdict | None:
    try:
        return meter.judge(case)
    except CutError:  # it came between two requests
        meter.abandon()
        return None


def run(cases: Iterable[Case], seconds: float) -> tuple[int, list[Verdict]]:
    """Judge cases until the time is over: how many, and what was found."""
    meter, found, count = Meter(), [], 0
    ends = time.monotonic() + seconds
    try:
        for case in itertools.takewhile(lambda _: time.monotonic() < ends, cases):
            count += 1
            verdict = wrong(meter, case)
            if verdict is not None:
                print(verdict, flush=True)
                found.append(verdict)
    finally:
        meter.close()
    return count, found


def main() -> int:
    logging.disable(logging.CRITICAL)
    seed = int(os.environ.get("GROWTH_SEED") or random.randrange(10**6))
    seconds = float(os.environ.get("GROWTH_SECONDS") or "inf")
    only = os.environ.get("GROWTH_ONLY", "")
    print(f"GROWTH_SEED={seed}", flush=True)
    count, found = run((case for case in sample(seed) if only in case.name), seconds)
    print(f"{count} cases, {len(found)} of them wrong")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
