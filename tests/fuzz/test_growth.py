"""Ten times the bytes cost about ten times the time, and nothing is kept: a sample of all cases."""

import logging
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fuzz.growth import Case, Meter, http
from fuzz.growth_runs import run, sample, sources

from pilothouse.server.request import Request

pytestmark = pytest.mark.timeout(300)

SECONDS = float(os.environ.get("GROWTH_SECONDS") or 60)
"""How long the sample is tried."""


@pytest.fixture
def quiet() -> Iterator[None]:
    """Silence the log: it reports as a mistake what is cut off, and the verdict tells of that."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.skipif(
    "GROWTH_SECONDS" not in os.environ,
    reason="on request: GROWTH_SECONDS says for how long; the sample still finds marginal cases",
)
@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
def test_a_sample_grows_in_step() -> None:
    seed = int(os.environ.get("GROWTH_SEED") or random.randrange(10**6))
    print(f"GROWTH_SEED={seed}")
    count, found = run(sample(seed), SECONDS)
    assert count > 10
    assert not found, "\n".join([f"GROWTH_SEED={seed}", *map(str, found)])


@pytest.mark.usefixtures("quiet")
def test_the_meter_finds_what_grows_faster() -> None:
    """Server and meter are as in the sample; what is measured is work of a known order, beside a request."""
    meter = Meter()
    try:
        assert judged(meter, lambda size: sum(range(size * 10))) == ""
        assert "times the time" in judged(meter, lambda size: sum(1 for _ in range((size // 300) ** 2)))
    finally:
        meter.close()


def judged(meter: Meter, work: Callable[[int], object]) -> str:
    """The meter's verdict on a request whose answer takes this work."""
    target = meter.ready()
    handle = target.server.pipeline.handle

    def slow(request: Request) -> Any:
        if "x-size" in request.headers:
            work(int(request.headers["x-size"]))
        return handle(request)

    target.http1 = target.protocols(slow)
    verdict = meter.judge(Case("work", lambda size: http("GET", "/version", x_size=str(size))))
    assert verdict is not None
    return verdict.wrong


def test_every_source_has_cases() -> None:
    for name, source in sources().items():
        assert list(next(source())()), name
