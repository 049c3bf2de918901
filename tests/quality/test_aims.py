"""Start, definitions and restarts compared with their goals; twice the goal is allowed on busy machines."""

import crds
import pytest
import restart
import starts
import startup

pytestmark = pytest.mark.alone

SLACK = 2


@pytest.mark.slow
def test_ready_and_idle() -> None:
    """The best of up to three counts: the machine may be busy with something else."""
    most = {
        "ready-empty": SLACK * startup.READY_SECONDS,
        "ready-existing": SLACK * startup.READY_SECONDS,
        "idle-mb": startup.IDLE_MB,
    }
    for _ in range(3):
        missed = {name: value for name, value in startup.measure(rounds=1).items() if value > most[name]}
        if not missed:
            break
    assert not missed


@pytest.mark.slow
def test_starts_two_at_once() -> None:
    """None of four fails; `make aims` takes a thousand, and their times."""
    seconds, failed = starts.measure(4, starts.AT_ONCE, [])
    assert failed == [] and len(seconds) == 4


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_many_definitions() -> None:
    """Two hundred definitions of custom resources, and the kinds that were there before;
    `make aims` takes 1,000, and thrice the blocks of requests that the ratios are the least of."""
    got = crds.measure(200, blocks=20, enough=crds.AIMS["ready-seconds"])
    ratios = {"get-ratio": 1.3, "list-ratio": 1.3}
    most = {name: ratios.get(name, SLACK * value) for name, value in crds.AIMS.items()}
    assert {name: value for name, value in got.items() if value > most[name]} == {}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nodes_that_come_back_after_a_restart() -> None:
    """Some hundred at once, with certificates: each is served, none is cut, and others do not wait for them.

    `make aims` takes five thousand.
    """
    got = restart.measure(250, certificates=True)
    assert got["failed"] == 0, got
    assert got["all"] < SLACK * restart.ALL_SECONDS
    assert max(got["get-p99"], got["readyz-p99"]) < SLACK * restart.BYSTANDER_MS, got
