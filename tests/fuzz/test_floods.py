"""Many small requests over TLS leave nothing behind; `make siege` sends all kinds of them."""

from collections.abc import Iterator

import pytest
from fuzz.attacks import FLOODS
from fuzz.siege import Siege
from fuzz.siege_runs import flooded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FLOODED = [name for i, name in enumerate(FLOODS) if i % 13 == 0]


@pytest.fixture(scope="module")
def siege() -> Iterator[Siege]:
    with Siege("http/1.1") as siege:  # what is kept does not depend on the protocol
        yield siege


@pytest.mark.parametrize("name", FLOODED)
def test_many_requests_leave_nothing(siege: Siege, name: str) -> None:
    """Kept whole, they would be at least 20 MB."""
    assert flooded(siege, name, 4000) == ""


def test_no_traceback(siege: Siege) -> None:
    """The log has no traceback after all of the above: one would be a mistake of ours."""
    assert "Traceback" not in siege.log(), siege.log()[-6000:]
