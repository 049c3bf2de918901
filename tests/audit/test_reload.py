"""The policy is read again when its file changes; a broken file changes nothing."""

import asyncio
import logging
import pathlib

import pytest
from audit.kept import auditor, policy
from virtual_time import VirtualLoop

from pilothouse.audit.auditor import Auditor
from pilothouse.audit.metrics import AuditMetrics
from pilothouse.audit.policy import Policy, parse
from pilothouse.audit.reload import PolicyReload


def replace(path: pathlib.Path, data: bytes) -> None:
    made = path.with_name("new")
    made.write_bytes(data)
    made.rename(path)


def test_a_change_comes_into_force(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        path = tmp_path / "policy.yaml"
        path.write_bytes(policy({"level": "None"}))
        made, _ = auditor({"level": "None"})
        reload = PolicyReload(str(path), made, 5.0)
        reload.start()
        old = made.policy
        await loop.advance(12)
        assert made.policy is old and made.metrics.reloads.values == {}
        replace(path, policy({"level": "Metadata"}, {"level": "None"}))
        await loop.advance(6)
        new = made.policy
        assert len(new.rules) == 2 and made.metrics.reloads.values == {("success",): 1}
        replace(path, b"rules: [{level: Wrong}]")
        await loop.advance(12)
        assert made.policy is new, "a broken file changes nothing"
        assert made.metrics.reloads.values == {("success",): 1, ("failure",): 1}
        path.unlink()
        await loop.advance(12)
        assert made.policy is new and made.metrics.reloads.values[("failure",)] == 2
        replace(path, policy({"level": "Request"}))
        await loop.advance(6)
        now: Policy = made.policy
        assert now is not new and made.metrics.reloads.values[("success",)] == 2
        await reload.look(force=True)
        assert made.policy is not now and made.metrics.reloads.values[("success",)] == 3
        await reload.close()

    with caplog.at_level(logging.INFO), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(body())
    told = [record.getMessage() for record in caplog.records]
    assert told.count("The audit policy was reloaded") == 3
    assert told.count("The audit policy was not reloaded, the old one stays in force") == 2


def test_lost_events_are_told_in_the_end(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was lost after the last line is told a minute later, though nothing is lost any more."""

    async def body() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        path = tmp_path / "policy.yaml"
        path.write_bytes(policy({"level": "None"}))
        metrics = AuditMetrics(loop.time)
        made = Auditor(parse(policy({"level": "None"})), [], metrics)
        reload = PolicyReload(str(path), made, 5.0)
        reload.start()
        made.metrics.losses.add("log", 1, "full")
        made.metrics.losses.add("log", 2, "full")
        await loop.advance(70)
        await reload.close()

    with caplog.at_level(logging.ERROR), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(body())
    assert [record.getMessage() for record in caplog.records] == ["Audit events were lost"] * 2
