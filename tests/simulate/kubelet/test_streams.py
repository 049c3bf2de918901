"""Logs of simulated containers."""

import asyncio

from simulate.simulated import NODES, PODS, SIMULATE, Simulated, on_node, said

from pilothouse.simulate.clock import Clock

ONLY = "nodes,kubelet"
LOG = f"{PODS}/a/log"


async def test_the_log_has_the_lines_that_an_annotation_says(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node(), annotations=said(logs="one\ntwo\nthree"))
        await rig.settle()
        answer = await rig.call("GET", LOG)
        assert (answer.body, answer.headers["content-type"]) == ("one\ntwo\nthree\n", "text/plain")
        assert await rig.ok("GET", f"{LOG}?tailLines=1") == "three\n"
        assert await rig.ok("GET", f"{LOG}?tailLines=0") == ""
        assert await rig.ok("GET", f"{LOG}?tailLines=9") == "one\ntwo\nthree\n"
        assert await rig.ok("GET", f"{LOG}?limitBytes=5") == "one\nt"
        stamped = (await rig.ok("GET", f"{LOG}?timestamps=true")).splitlines()
        assert [line.split(" ")[1] for line in stamped] == ["one", "two", "three"]
        assert stamped[0].startswith(clock.stamp()[:-1])
        await rig.pass_time(60)
        assert await rig.ok("GET", f"{LOG}?sinceSeconds=30") == ""
        assert await rig.ok("GET", f"{LOG}?sinceSeconds=90") == "one\ntwo\nthree\n"


async def test_each_container_has_its_own_log(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        two = [{"name": "x", "image": "i"}, {"name": "y", "image": "i"}]
        await rig.create("a", spec=on_node(containers=two), annotations=said(logs="all", logs__y="own"))
        await rig.settle()
        assert await rig.ok("GET", f"{LOG}?container=x") == "all\n"
        assert await rig.ok("GET", f"{LOG}?container=y") == "own\n"


async def test_a_container_that_has_not_started_has_no_log(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node(), annotations=said(start_after="5", logs="x"))
        await rig.settle()
        text = await rig.fail(400, "GET", LOG)
        assert text == 'container "c" in pod "a" is waiting to start: ContainerCreating'
        await rig.pass_time(5)
        assert await rig.ok("GET", LOG) == "x\n"
        text = await rig.fail(400, "GET", f"{LOG}?previous=true")
        assert text == 'previous terminated container "c" in pod "a" not found'


async def test_the_log_of_the_run_before(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        notes = said(exit_code="1", exit_after="5", logs="x")
        await rig.create("a", spec=on_node(), annotations=notes)
        await rig.settle()
        first = clock.stamp()[:-1]
        await rig.pass_time(5)
        assert (await rig.ok("GET", f"{LOG}?previous=true&timestamps=true")).startswith(first)
        assert not (await rig.ok("GET", f"{LOG}?timestamps=true")).startswith(first)


async def test_a_log_is_followed_until_the_container_ends(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        notes = said(logs="x", exit_after="10")
        await rig.create("a", spec=on_node(restartPolicy="Never"), annotations=notes)
        await rig.create("b", spec=on_node(), annotations=said(logs="y"))
        await rig.settle()
        ends = await rig.watch(f"{LOG}?follow=true")
        deleted = await rig.watch(f"{PODS}/b/log?follow=true")
        await asyncio.sleep(0.01)
        assert (ends.data, deleted.data) == (b"x\n", b"y\n")
        assert not ends.closed and not deleted.closed
        await rig.pass_time(10)
        assert ends.closed and not ends.aborted and not deleted.closed
        await rig.ok("DELETE", f"{PODS}/b")
        await rig.settle()
        assert deleted.closed and not deleted.aborted


async def test_the_kubelet_of_an_unreachable_node_does_not_answer(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node(), annotations=said(logs="x"))
        await rig.settle()
        state = {"metadata": {"annotations": {f"{SIMULATE}state": "Unreachable"}}}
        await rig.edit(f"{NODES}/node-0", state)
        await rig.settle()
        assert "no route to host" in await rig.fail(500, "GET", LOG)
