"""All cases, a random sample of them by a seed, and a run with a time limit.

`python -m fuzz.growth_runs` is the long run of `make fuzz`. GROWTH_SECONDS limits it (default: all
cases), GROWTH_SEED orders the cases, GROWTH_ONLY selects those whose name contains a text.
"""

import itertools
import logging
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from fuzz import growth_changes, growth_custom, growth_kinds, growth_requests
from fuzz.growth import Case, CutError, Group, Meter, Verdict, one_by_one
from fuzz.growth_fillers import TEXTS

Source = Callable[[], Iterator[Group]]

RETRIES = 2
"""Times that a case which was found wrong is measured again:
a noisy machine makes one seem slow now and then."""

LONG_TEXTS = 0.15
"""Share of long texts in a sample: there are many kinds of them, and most members take them alike."""


def sources() -> dict[str, Source]:
    """The sources of cases, by name."""
    made: dict[str, Source] = {}
    for resource in growth_kinds.resources():
        name = f"{resource.group_resource}/{resource.version}"
        for encoding in ("application/json", "application/yaml", growth_kinds.PROTOBUF):
            made[f"create {name} {encoding}"] = partial(growth_kinds.creations, resource, encoding)
        if growth_changes.stored(resource):
            made[f"change {name}"] = partial(growth_changes.changes, resource)
        if any(sub.kind in growth_changes.SUBRESOURCES for sub in resource.subresources.values()):
            made[f"subresources {name}"] = partial(growth_changes.subresources, resource)
    made["delete options"] = growth_changes.deletions
    for schema in growth_custom.SCHEMAS:
        made[f"custom {schema}"] = partial(growth_custom.items, schema)
    made["definitions"] = lambda: one_by_one(growth_custom.definitions())
    for user in ("admin", "jane", ""):
        for kind in (growth_requests.paths, growth_requests.headers, growth_requests.queries):
            made[f"{kind.__name__} of {user or 'nobody'}"] = partial(_ones, kind, user)
    return made


def _ones(kind: Callable[[str], Iterator[Case]], user: str) -> Iterator[Group]:
    yield from one_by_one(kind(user))


def sample(seed: int) -> Iterator[Case]:
    """One case of each source in turn, of a member that it has not shown yet,
    in an order that the seed gives."""
    chooser = random.Random(seed)
    waiting = [list(source()) for source in sources().values()]
    for groups in waiting:
        chooser.shuffle(groups)
    chooser.shuffle(waiting)
    for turn in itertools.zip_longest(*waiting):
        for group in turn:
            if group is not None:
                yield _one_of(list(group()), chooser)


def _one_of(cases: list[Case], chooser: random.Random) -> Case:
    others = [case for case in cases if not is_long_text(case)]
    return chooser.choice(others if others and chooser.random() > LONG_TEXTS else cases)


def is_long_text(case: Case) -> bool:
    return case.name.partition(": ")[2].partition(" (")[0] in TEXTS


def everything(seed: int) -> Iterator[Case]:
    """Every case there is, the members in an order that the seed gives."""
    chooser = random.Random(seed)
    groups = [group for source in sources().values() for group in source()]
    chooser.shuffle(groups)
    for group in groups:
        yield from group()


def wrong(meter: Meter, case: Case) -> Verdict | None:
    """The verdict that a case is wrong, however often it is measured; None when it is not."""
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
    count, found = run((case for case in everything(seed) if only in case.name), seconds)
    print(f"{count} cases, {len(found)} of them wrong")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
