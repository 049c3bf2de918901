"""One plugin lets everything pass, the other nothing."""

import asyncio

import pytest
from harness import CONFIG_MAPS, Rig, config_map

from pilothouse import errors
from pilothouse.admission.always import AlwaysAdmit, AlwaysDeny
from pilothouse.storage.memory import MemoryStorage

TEXT = 'configmaps "a" is forbidden: admission control is denying all modifications'


def test_nothing_is_written(runner: asyncio.Runner) -> None:
    async def main() -> None:
        storage = MemoryStorage()
        async with Rig([AlwaysAdmit()], storage=storage) as rig:
            await rig.config_map("a")
        async with Rig([AlwaysDeny()], storage=storage, namespaces=()) as rig:
            assert await rig.fail(403, "PUT", f"{CONFIG_MAPS}/a", config_map("a", data={"k": "v"})) == TEXT
            assert await rig.fail(403, "DELETE", f"{CONFIG_MAPS}/a") == TEXT
            await rig.ok("GET", f"{CONFIG_MAPS}/a")

    runner.run(main())


async def test_both_halves_refuse(rig: Rig) -> None:
    asked = rig.attributes(config_map("a"), resource=("", "v1", "configmaps"))
    for half in (AlwaysDeny().mutate, AlwaysDeny().validate):
        with pytest.raises(errors.Forbidden) as caught:
            half(asked)
        assert caught.value.message == TEXT
