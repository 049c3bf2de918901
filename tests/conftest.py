"""Runs coroutine tests, those with the fixture `rig` on the rig's loop;
orders files; refuses some skips in CI."""

import asyncio
import gc
import inspect
import io
import logging
import os
import sys
from collections.abc import Generator, Iterator
from typing import Any

import hypothesis
import pytest
import side_by_side
from event_loops import StrictLoop, running
from example_scale import DEFAULT
from virtual_time import VirtualLoop
from xdist.remote import Producer

from pilothouse import logs

CI = os.environ.get("PILOTHOUSE_CI") == "1"
# kubectl, etcd and promtool take a fifth less processor time where they collect garbage more seldom.
os.environ.setdefault("GOGC", "400")

# Neighbours decide how long an example takes.
# The gate tries the same examples each time; other runs try new ones.
hypothesis.settings.register_profile(
    "pilothouse",
    max_examples=DEFAULT,
    deadline=None,
    derandomize=CI,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("pilothouse")

pytest.register_assert_rewrite("rules")

ACCEPTED = ("on request: ", "not on this host: ")
"""How the reason of a skip begins that is right in CI as well.
Any other means that something is not installed."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that keeps how long files take."""
    parser.addoption("--save-durations", action="store_true", help="write tests/durations.json anew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    side_by_side.arrange(items)


def pytest_collection() -> None:
    """Collect no garbage meanwhile: all that is made stays."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave the tests out of garbage collections: with all of them a full one takes half a second."""
    gc.freeze()
    gc.enable()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> side_by_side.LongestFirst:
    """Give each worker whole files."""
    return side_by_side.LongestFirst(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how long each folder took; `--durations` prints the slowest tests."""
    stats = terminalreporter.stats
    reports = [
        report for found in stats.values() for report in found if isinstance(report, pytest.TestReport)
    ]
    files = side_by_side.by_file(reports)
    if config.getoption("durations"):
        terminalreporter.section("seconds by folder")
        terminalreporter.write_line("\n".join(side_by_side.by_folder(files)))
    if config.getoption("save_durations"):
        side_by_side.save(files)


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """An event loop for one test; its time is virtual if the test takes the fixture `virtual`."""
    with running(VirtualLoop if "virtual" in request.fixturenames else StrictLoop) as runner:
        yield runner


@pytest.fixture(autouse=True, scope="module")
def shared_field_sets() -> Iterator[None]:
    """Objects share field sets, which nobody may change; see api/_stored."""
    yield
    if "pilothouse.api._stored" in sys.modules:
        assert sys.modules["pilothouse.api._stored"].changed() == []


@pytest.fixture
def virtual(runner: asyncio.Runner) -> VirtualLoop:
    """The test's loop, which jumps to its next timer when nothing else is left to do; see virtual_time.py."""
    loop = runner.get_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


@pytest.fixture
def rig(runner: asyncio.Runner) -> Iterator[Any]:
    """A server without sockets; see harness.Rig."""
    from harness import Rig

    rig = Rig()
    runner.run(rig.start())
    yield rig
    runner.run(rig.stop())


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A stream for a test that sets logging up to write into it; afterwards logging is as it was."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield io.StringIO()
    root.handlers[:] = before
    root.setLevel(level)
    logs._level, logs._modules = 0, ()
    logs._allowed.cache_clear()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    runner = pyfuncitem.funcargs.get("runner")
    if not isinstance(runner, asyncio.Runner) or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    runner.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that is skipped because something is not installed, where PILOTHOUSE_CI=1."""
    report = yield
    report.keywords = {}  # nobody reads them, and sending them takes half a millisecond for each test
    if CI and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(ACCEPTED):
            report.outcome = "failed"
            report.longrepr = f"skipped in CI: {reason}"
    return report
