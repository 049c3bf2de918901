"""Coroutine tests: one that takes the fixture `rig` runs on the rig's own loop."""

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """An event loop for one test."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def rig(runner: asyncio.Runner) -> Iterator[Any]:
    """A server without sockets; see harness.Rig."""
    from harness import Rig

    rig = Rig()
    runner.run(rig.start())
    yield rig
    runner.run(rig.stop())


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    runner = pyfuncitem.funcargs.get("runner")
    if runner is None or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    runner.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
