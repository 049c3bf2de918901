"""No request of a grown scenario ends in a mistake of the server, and none leaves a traceback in its log."""

import itertools
import json
import os
from collections.abc import Iterator

import pytest
from fuzz.play import Player
from fuzz.scenario import Step
from fuzz.scenario_areas import AREAS, grow
from fuzz.scenario_runs import mistakes, scenarios
from fuzz.seeds import CHANGES_ALL, STATUSES, creatable, seed

from pilothouse.testing.server import Subprocess

pytestmark = pytest.mark.timeout(300)

SECONDS = float(os.environ.get("SCENARIO_SECONDS") or 4)
SEED = int(os.environ.get("SCENARIO_SEED") or 1)


@pytest.fixture(scope="module")
def server() -> Iterator[Subprocess]:
    with Subprocess() as server:
        yield server


@pytest.mark.slow
def test_no_scenario_finds_a_mistake(server: Subprocess) -> None:
    count, found = mistakes(server, scenarios(SEED), SECONDS)
    assert count > 20 * SECONDS
    assert not found, "\n".join(map(str, found[:5]))
    log = server.log.read_text(errors="replace")
    assert "Traceback" not in log, log[log.index("Traceback") :][:3000]


def test_a_scenario_of_each_area_finds_no_mistake(server: Subprocess) -> None:
    count, found = mistakes(server, itertools.islice(scenarios(SEED), len(AREAS)), 60)
    assert count > 3 * len(AREAS)
    assert not found, "\n".join(map(str, found))


def test_every_seed_is_taken(server: Subprocess) -> None:
    player = Player(server.url, server.context())
    refused = []
    for resource in creatable():
        where = f"/apis/{resource.group}/{resource.version}" if resource.group else "/api/v1"
        path = (
            f"{where}/namespaces/default/{resource.plural}"
            if resource.namespaced
            else f"{where}/{resource.plural}"
        )
        query = "" if resource.virtual else "?dryRun=All"
        answer = player.send(_post(path + query, seed(resource)))
        if answer.status != 201 and resource.plural != "bindings":  # there is no such pod
            refused.append((resource.plural, answer.status, answer.body))
    player.close()
    assert not refused


def _post(path: str, body: object) -> Step:
    return Step("POST", path, json.dumps(body).encode(), {"content-type": "application/json"})


def test_every_kind_with_a_status_has_one_to_grow_from() -> None:
    kinds = {r.kind for r in creatable() if "status" in r.subresources}
    assert kinds <= STATUSES.keys()
    assert {r.kind for r in creatable()} >= CHANGES_ALL


def test_a_scenario_follows_from_its_seed_and_number() -> None:
    for area in AREAS:
        assert grow("", 7, area, 3) == grow("", 7, area, 3)
        assert grow("", 7, area, 3).steps != grow("", 7, area, 4).steps


@pytest.mark.slow
def test_scenarios_reach_every_kind() -> None:
    left = {r.plural for r in creatable()}
    for one in itertools.islice(scenarios(SEED), 3000):
        left -= {plural for plural in left if any(f"/{plural}" in step.path for step in one.steps)}
        if not left:
            return
    raise AssertionError(left)
