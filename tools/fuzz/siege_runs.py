"""Carries out every attack on a server beside which another client reads, and tells which of them do harm.

`python -m fuzz.siege_runs` is the long run of `make siege`, some 20 minutes: SIEGE_SECONDS limits it,
SIEGE_ONLY selects the attacks whose name contains a text.
"""

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from fuzz.attacks import BODIES, FLOODS, HEADS, Attack
from fuzz.siege import KEPT, Damage, Siege

WAIT, LONGEST = 0.05, 0.25
"""Seconds that 99 of a hundred reads of another client may wait, and that each may."""

WORK = 8.0
"""Seconds of the processor that a request may take."""

PEAK = 256_000_000
"""Bytes that a request may take at once."""

TRIES = 5
"""Times that an attack is tried before it is said to harm:
the machine of a test has other things to do as well."""

FLOOD = 10_000
BATCH = 500

PROTOCOLS = ("http/1.1", "h2")


def harm(damage: Damage) -> str:
    """The harm of an attack, "" for none."""
    if not damage.status:
        return "no answer"
    if damage.status == 500:
        return "a mistake of the server"
    if damage.processor > WORK:
        return "worked for too long"
    if damage.p99 > WAIT or damage.longest > LONGEST:
        return "a bystander waited"
    if damage.peak > PEAK:
        return "took too much memory at once"
    return "kept memory" if damage.kept > KEPT else ""


def suffered(siege: Siege, attack: Attack) -> str:
    """The harm of an attack in each of TRIES attempts, "" when it does none in one of them."""
    for _ in range(TRIES):
        damage = siege.suffer(attack)
        print(damage, flush=True)
        if not harm(damage):
            return ""
    return f"{harm(damage)}: {damage}"


def flooded(siege: Siege, name: str, count: int = FLOOD) -> str:
    """The bytes that small requests leave behind, "" for no more than KEPT bytes."""
    make = FLOODS[name]
    siege.flood([make(-i - 1) for i in range(BATCH)])
    before = siege.memory()
    for start in range(0, count, BATCH):
        siege.flood([make(i) for i in range(start, start + BATCH)])
    kept = siege.memory() - before
    told = f"{name}: {kept / 1e6:.1f} MB are left of {count} requests"
    print(told, flush=True)
    return told if kept > KEPT else ""


def attacks(only: str) -> Iterator[tuple[str, Callable[[Siege], str]]]:
    """The protocol and the work of each attack; what is kept of a flood does not depend on the protocol."""
    for protocol in PROTOCOLS:
        for attack in (*BODIES, *HEADS):
            if only in attack.name:
                yield protocol, partial(suffered, attack=attack)
    for name in FLOODS:
        if only in name:
            yield PROTOCOLS[0], partial(flooded, name=name)


def run(planned: Iterable[tuple[str, Callable[[Siege], str]]], seconds: float) -> tuple[int, list[str]]:
    """Attack until the time is over, servers one after the other:
    how many attacks, and what harm they did."""
    count, found, ends = 0, list[str](), time.monotonic() + seconds
    begun = itertools.takewhile(lambda _: time.monotonic() < ends, planned)
    for protocol, group in itertools.groupby(begun, key=lambda one: one[0]):
        with Siege(protocol) as siege:
            for _, attack in group:
                count += 1
                found += filter(None, [attack(siege)])
            if "Traceback" in siege.log():
                found.append(f"a traceback in the log of the server of {protocol}")
    return count, found


def main() -> int:
    seconds = float(os.environ.get("SIEGE_SECONDS") or "inf")
    count, found = run(attacks(os.environ.get("SIEGE_ONLY", "")), seconds)
    print(*found, f"{count} attacks, {len(found)} of them did harm", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
