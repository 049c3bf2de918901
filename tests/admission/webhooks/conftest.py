"""A server that calls webhooks, and a server of webhooks over TLS."""

import asyncio
import pathlib
from collections.abc import Iterator

import pytest
from webhooks import Hooked


@pytest.fixture
def hooked(runner: asyncio.Runner, tmp_path: pathlib.Path) -> Iterator[Hooked]:
    hooked = Hooked(tmp_path)
    runner.run(hooked.__aenter__())
    yield hooked
    runner.run(hooked.__aexit__())
