"""No request delays another client, uses much memory or leaves much behind: attacks on a server over TLS.

One of each kind; `make siege` carries out all of them.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from fuzz.attacks import BODIES, FLOODS, HEADS, Attack
from fuzz.siege import KEPT, Damage, Siege
from fuzz.siege_runs import LONGEST, PEAK, PROTOCOLS, WAIT, WORK, attacks, harm, run, suffered

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SAMPLE = (
    "yaml: a key again",
    "json: deep list",
    "owner references",
    "host ports",
    "spread constraints",
    "rule atoms",
    "certificates",
    "review with label values",
    "strategic: delete",
    "custom resource: items",
    "timeout",
    "segments",
    "a long token",
)
"""Beginnings of the names of the attacks that are carried out."""

BODY_ATTACKS, HEAD_ATTACKS = (
    [pytest.param(attack, id=attack.name) for attack in some if attack.name.startswith(SAMPLE)]
    for some in (BODIES, HEADS)
)


@pytest.fixture(scope="module")
def siege(request: pytest.FixtureRequest) -> Iterator[Siege]:
    """A server for all attacks by one protocol; one at a time, for each has a bystander."""
    with Siege(request.param) as siege:
        yield siege


@pytest.mark.parametrize("attack", BODY_ATTACKS)
@pytest.mark.parametrize("siege", PROTOCOLS[:1], indirect=True)
def test_nobody_waits_for_a_body(siege: Siege, attack: Attack) -> None:
    """A body is worked on in the same way, by whichever protocol it came."""
    assert suffered(siege, attack) == ""


@pytest.mark.parametrize("attack", HEAD_ATTACKS)
@pytest.mark.parametrize("siege", PROTOCOLS, indirect=True)
def test_nobody_waits_for_a_head(siege: Siege, attack: Attack) -> None:
    assert suffered(siege, attack) == ""


@pytest.mark.parametrize("siege", PROTOCOLS, indirect=True)
def test_no_traceback(siege: Siege) -> None:
    """The log has no traceback after all of the above: one would be a mistake of ours."""
    assert "Traceback" not in siege.log(), siege.log()[-6000:]


def test_harm_is_told() -> None:
    good = Damage("a", 200, WORK, LONGEST, WAIT, PEAK, KEPT)
    assert harm(good) == ""
    assert harm(replace(good, status=0)) == "no answer"
    assert harm(replace(good, status=500)) == "a mistake of the server"
    assert harm(replace(good, processor=WORK + 0.01)) == "worked for too long"
    assert harm(replace(good, longest=LONGEST + 0.01)) == "a bystander waited"
    assert harm(replace(good, p99=WAIT + 0.01)) == "a bystander waited"
    assert harm(replace(good, peak=PEAK + 1)) == "took too much memory at once"
    assert harm(replace(good, kept=KEPT + 1)) == "kept memory"


def test_the_program_carries_out_every_attack() -> None:
    assert len(list(attacks(""))) == 2 * len([*BODIES, *HEADS]) + len(FLOODS)
    assert [protocol for protocol, _ in attacks("a long token")] == list(PROTOCOLS)
    found: list[tuple[str, Callable[[Siege], str]]] = [("h2", lambda _: ""), ("h2", lambda _: "kept memory")]
    assert run(found, 60) == (2, ["kept memory"])
    assert run(found, 0) == (0, [])
