"""The clocks of logical clusters."""

import asyncio

import pytest
from clusters.rig import ClusterRig

from pilothouse.api.values.clock import SYSTEM
from pilothouse.clusters.clocks import Clocks
from pilothouse.endpoints.documents import checkpoint_page, clock_page
from pilothouse.lifecycle import Opened
from pilothouse.simulate.clock import Clock

FLAGS = ("--test-api",)


async def test_a_server_without_a_clock_that_moves_has_none(runner: asyncio.Runner) -> None:
    clocks = Clocks(SYSTEM)
    async with Opened() as opened:
        assert clocks.open("a", opened) is SYSTEM
    assert clocks.ahead("a") == 0


async def test_each_has_its_own_and_keeps_it_while_it_is_not_in_memory(runner: asyncio.Runner) -> None:
    clocks = Clocks(Clock())
    async with Opened() as opened:
        one, other = clocks.open("a", opened), clocks.open("b", opened)
        assert isinstance(one, Clock)
        one.advance(3600)
        assert other.time() == pytest.approx(SYSTEM.time(), abs=60)
        clocks.copy("c", "a")
    assert clocks.ahead("a") == pytest.approx(3600, abs=60)
    async with Opened() as opened:
        for uid in ("a", "c"):
            assert clocks.open(uid, opened).time() == pytest.approx(SYSTEM.time() + 3600, abs=60)
    clocks.begin("d", 7200)
    clocks.begin("e", -7200)
    assert clocks.ahead("d") == 7200 and clocks.ahead("e") == 0
    clocks.forget("a")
    assert clocks.ahead("a") == 0


async def test_an_administrator_of_one_moves_its_clock_and_gets_no_key_of_the_server(rig: ClusterRig) -> None:
    await rig.make("timed")
    moved = await rig.ok("POST", clock_page.PATH, {"advance": "2h"}, cluster="timed")
    assert moved["time"] > (await rig.ok("GET", clock_page.PATH))["time"]
    assert (await rig.call("POST", checkpoint_page.PATH, cluster="timed")).status == 201
    assert (await rig.call("GET", checkpoint_page.STATE_PATH, cluster="timed")).status == 404
