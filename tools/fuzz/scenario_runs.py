"""Plays grown scenarios on one server and tells which steps it answers with a mistake of its own.

`python -m fuzz.scenario_runs` is the long run of `make scenarios`: SCENARIO_SECONDS limits it, SCENARIO_SEED
chooses the scenarios, SCENARIO_AREAS names some of the areas.
"""

import itertools
import os
import random
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fuzz.play import Player
from fuzz.scenario import Scenario
from fuzz.scenario_areas import AREAS, grow

from pilothouse.testing.server import APIServer, Subprocess


@dataclass(frozen=True)
class Mistake:
    """An answer that nobody should get; `steps` lead to it."""

    scenario: Scenario
    steps: tuple[str, ...]
    answer: str

    def __str__(self) -> str:
        return "\n  ".join([f"{self.scenario.label}: {self.answer}", *self.steps])


def scenarios(seed: int, areas: Sequence[str] = tuple(AREAS), run: str = "") -> Iterator[Scenario]:
    """One scenario of each area in turn, for ever."""
    for number in itertools.count():
        for area in areas:
            yield grow(run, seed, area, number)


def mistakes(server: APIServer, played: Iterable[Scenario], seconds: float) -> tuple[int, list[Mistake]]:
    """Play scenarios until the time is over: how many steps were sent, and what was wrong."""
    player = Player(server.url, server.context())
    found: list[Mistake] = []
    count, ends = 0, time.monotonic() + seconds
    try:
        for scenario in itertools.takewhile(lambda _: time.monotonic() < ends, played):
            past: list[str] = []
            for step, answer in player.play(scenario):
                count += 1
                past.append(str(step))
                if answer.mistaken:
                    found.append(Mistake(scenario, tuple(past), f"{answer.status} {answer.body}"))
    finally:
        player.close()
    return count, found


def main() -> int:
    seed = int(os.environ.get("SCENARIO_SEED") or random.randrange(10**6))
    seconds = float(os.environ.get("SCENARIO_SECONDS") or "inf")
    areas = tuple(filter(None, os.environ.get("SCENARIO_AREAS", "").split(","))) or tuple(AREAS)
    print(f"SCENARIO_SEED={seed}", flush=True)
    with Subprocess() as server:
        count, found = mistakes(server, scenarios(seed, areas), seconds)
        traces = server.log.read_text(errors="replace").count("Traceback")
    print(*found, f"{count} steps, {len(found)} mistakes, {traces} tracebacks in the log", sep="\n")
    return 1 if found or traces else 0


if __name__ == "__main__":
    sys.exit(main())
