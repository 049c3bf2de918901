"""A server without sockets that has faults, in place of the one of other tests."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Rig


class FaultyRig(Rig):
    """A rig with `--faults`."""

    async def fault(self, name: str = "f", **rule: Any) -> Any:
        """Add a fault."""
        return await self.ok("PUT", f"/faults/{name}", rule)

    async def hits(self, name: str = "f") -> int:
        """How many requests a fault has struck."""
        return int((await self.ok("GET", f"/faults/{name}"))["hits"])


@pytest.fixture
def rig(runner: asyncio.Runner) -> Iterator[FaultyRig]:
    """A server without sockets that has faults."""
    made = FaultyRig(flags=["--faults"])
    runner.run(made.start())
    yield made
    runner.run(made.stop())
