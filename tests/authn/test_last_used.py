"""The day on which a legacy token was used last."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from clocks import Clock

from pilothouse import errors
from pilothouse.authn.last_used import LABEL, LastUsed

NOON = 1_767_225_600 + 12 * 3600
"""2026-01-01, at noon."""


class Secrets:
    """A client of one secret; `fault` is raised by writes."""

    def __init__(self) -> None:
        self.secret: dict[str, Any] = {"metadata": {"namespace": "ns", "name": "t", "uid": "1"}}
        self.writes = 0
        self.fault: Exception | None = None

    def resource(self, group: str, version: str, plural: str) -> Any:
        return SimpleNamespace(plural=plural)

    async def change(
        self, resource: Any, namespace: str, name: str, edit: Callable[[Any], None], uid: str
    ) -> None:
        await asyncio.sleep(0)
        assert (resource.plural, namespace, name, uid) == ("secrets", "ns", "t", "1")
        self.writes += 1
        if self.fault is not None:
            raise self.fault
        edit(self.secret)


def client(secrets: Secrets) -> Any:
    return secrets


async def test_it_is_written_once_a_day(runner: asyncio.Runner) -> None:
    secrets, clock = Secrets(), Clock(NOON)
    used = LastUsed(client(secrets), clock)
    secrets.secret["metadata"]["labels"] = {"own": "1"}
    for _ in range(3):
        used(secrets.secret)
    await used.close()
    assert secrets.secret["metadata"]["labels"] == {"own": "1", LABEL: "2026-01-01"} and secrets.writes == 1
    used(secrets.secret)
    clock.now -= 24 * 3600  # another server's clock may be ahead
    used(secrets.secret)
    await used.close()
    assert secrets.writes == 1
    clock.now += 48 * 3600
    used(secrets.secret)
    await used.close()
    assert secrets.secret["metadata"]["labels"][LABEL] == "2026-01-02" and secrets.writes == 2


async def test_a_write_that_fails_is_tried_at_the_next_use(
    runner: asyncio.Runner, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = Secrets()
    used = LastUsed(client(secrets), Clock(NOON))
    secrets.fault = errors.not_found("", "secrets", "t")
    used(secrets.secret)
    await used.close()
    assert "was not written" in caplog.text
    secrets.fault = None
    used(secrets.secret)
    await used.close()
    assert secrets.writes == 2 and LABEL in secrets.secret["metadata"]["labels"]
