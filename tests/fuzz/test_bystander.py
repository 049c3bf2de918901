"""No request delays another client, uses much memory or leaves much behind: attacks on a server over TLS."""

import os
import pathlib
from collections.abc import Iterator

import pytest
from fuzz.attacks import BODIES, FLOODS, HEADS, Attack
from fuzz.siege import Damage, Siege

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WAIT = 0.05
"""Seconds that another client's read may wait."""

PEAK = 256_000_000
"""Bytes that a request may take at once."""

KEPT = 16_000_000
"""Bytes that may be left behind, of one request or of ten thousand small ones."""

TRIES = 3
"""Times that an attack is tried before it is said to harm: the machine of a test has other things to do as well."""

ALL = bool(os.environ.get("SIEGE"))
"""Whether every attack is carried out (`make siege`, some 20 minutes); else one of each sort."""

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
"""Beginnings of the names of the attacks that are carried out otherwise."""

ATTACKS = [attack for attack in (*BODIES, *HEADS) if ALL or attack.name.startswith(SAMPLE)]
FLOODED = [name for i, name in enumerate(FLOODS) if ALL or i % 13 == 0]

FLOOD = 10_000
BATCH = 500


@pytest.fixture(scope="module", params=["http/1.1", "h2"])
def siege(request: pytest.FixtureRequest) -> Iterator[Siege]:
    with Siege(request.param) as siege:
        yield siege


def harm(damage: Damage) -> str:
    """What an attack did that none may do, "" for nothing."""
    if not damage.status:
        return "no answer"
    if damage.status == 500:
        return "a mistake of the server"
    if damage.longest > WAIT:
        return "a bystander waited"
    if damage.peak > PEAK:
        return "took too much memory at once"
    return "kept memory" if damage.kept > KEPT else ""


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_nobody_waits(siege: Siege, attack: Attack) -> None:
    for _ in range(TRIES):
        damage = siege.suffer(attack)
        print(damage)
        if not harm(damage):
            return
    raise AssertionError(f"{harm(damage)}: {damage}")


@pytest.mark.parametrize("siege", ["http/1.1"], indirect=True)  # what is kept does not depend on the protocol
@pytest.mark.parametrize("name", FLOODED)
def test_ten_thousand_requests_leave_nothing(siege: Siege, name: str) -> None:
    make = FLOODS[name]
    siege.flood([make(-i - 1) for i in range(BATCH)])
    before = siege.memory()
    for start in range(0, FLOOD, BATCH):
        siege.flood([make(i) for i in range(start, start + BATCH)])
    kept = siege.memory() - before
    print(f"{name}: kept {kept / 1e6:.1f} MB of {FLOOD} requests")
    assert kept <= KEPT, f"{name}: {kept / 1e6:.1f} MB are left of {FLOOD} requests"


def test_no_traceback(siege: Siege) -> None:
    """After all of the above; what is logged with a traceback is a mistake of ours."""
    log = pathlib.Path(siege.server.log).read_text(errors="replace")
    assert "Traceback" not in log, log[-6000:]
