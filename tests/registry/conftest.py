"""Boxes that a real webhook converts."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conversion_server import ConversionServer, Hooked


@pytest.fixture
def hook(runner: asyncio.Runner, tmp_path: Path) -> Iterator[ConversionServer]:
    made = ConversionServer(tmp_path)
    runner.run(made.__aenter__())
    yield made
    runner.run(made.__aexit__())


@pytest.fixture
def boxes(rig: Any, runner: asyncio.Runner, hook: ConversionServer) -> Iterator[Hooked]:
    made = Hooked(rig, hook, hook.conversion())
    runner.run(made.start())
    yield made
    runner.run(made.stop())
