"""States that are put back."""

from typing import Any

import pytest
from harness import Rig, config_map

from pilothouse import errors
from pilothouse.registry.checkpoints import ENTRY, Checkpoints

MAPS = "/api/v1/namespaces/default/configmaps"
EVENTS = "/api/v1/namespaces/default/events"


def of(rig: Rig, time: float = 0.0, **limits: int) -> Checkpoints:
    return Checkpoints(rig.store, lambda: time, rig.settle, **limits)


async def test_a_state_is_put_back_in_one_transaction(rig: Rig) -> None:
    states = of(rig)
    await rig.config_map("a")
    name, objects = await states.take()
    assert objects == len((await rig.storage.range("/registry/")).items)
    await rig.ok("DELETE", f"{MAPS}/a")
    await rig.config_map("b")
    before = rig.storage.revision
    assert await states.restore(name) == 2
    assert rig.storage.revision == before + 1
    assert [one["metadata"]["name"] for one in (await rig.ok("GET", MAPS))["items"]] == ["a"]


async def test_a_large_one_in_several(rig: Rig) -> None:
    states = of(rig, together=2)
    name, _ = await states.take()
    for number in range(5):
        await rig.config_map(f"m{number}")
    before = rig.storage.revision
    assert await states.restore(name) == 5 and rig.storage.revision == before + 3
    assert (await rig.ok("GET", MAPS))["items"] == []


async def test_what_expires_does_so_in_time(rig: Rig) -> None:
    about: Any = {"kind": "Pod", "namespace": "default", "name": "a"}
    await rig.ok("POST", EVENTS, {"metadata": {"name": "e"}, "involvedObject": about})
    lease = (await rig.storage.range("/registry/events/")).items[0].lease
    assert lease
    states = of(rig, lease / 1000 - 100)
    name, _ = await states.take()
    await rig.ok("DELETE", f"{EVENTS}/e")
    await states.restore(name)
    again = (await rig.storage.range("/registry/events/")).items[0].lease
    assert abs(again - (lease - 3500_000)) < 30_000, "a hundred seconds are left"


async def test_a_write_of_a_controller_meanwhile_is_taken_back(rig: Rig) -> None:
    states = of(rig)
    name, _ = await states.take()
    await rig.config_map("a")
    late = iter((None, config_map("late")))

    async def settled() -> None:
        await rig.settle()
        if (one := next(late, None)) is not None:
            await rig.ok("POST", MAPS, one)

    states._settled = settled
    assert await states.restore(name) == 2
    assert (await rig.ok("GET", MAPS))["items"] == []


async def test_states_that_are_not_kept(rig: Rig) -> None:
    states = of(rig, most=2)
    first, second = (await states.take())[0], (await states.take())[0]
    assert states.names() == [first, second]
    with pytest.raises(errors.BadRequest, match="2 checkpoints are kept, delete some first"):
        await states.take()
    states.drop(first)
    for call in (states.restore(first), states.restore("")):
        with pytest.raises(errors.NotFound):
            await call
    with pytest.raises(errors.NotFound):
        states.drop(first)
    states.clear()
    assert states.names() == []


async def test_states_have_bytes_of_which_those_of_shared_objects_count_once(rig: Rig) -> None:
    await rig.config_map("a", data={"text": "x" * 100_000})
    held = sum(len(kv.value) for kv in (await rig.storage.range("/registry/")).items)
    count = len((await rig.storage.range("/registry/")).items)
    states = of(rig, most_bytes=held + 3 * count * ENTRY)
    first, second = (await states.take())[0], (await states.take())[0]
    await rig.config_map("b", data={"text": "x" * 100_000})
    with pytest.raises(errors.BadRequest, match="delete some first"):
        await states.take()
    states.drop(first)
    with pytest.raises(errors.BadRequest, match="delete some first"):  # the second has the same objects
        await states.take()
    await rig.ok("DELETE", f"{MAPS}/b")
    await states.take()
    states.drop(second)
    states.clear()
    await rig.config_map("b", data={"text": "x"})
    await states.take()
