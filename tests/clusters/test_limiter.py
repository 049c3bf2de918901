"""At the cap no cluster is created, and everything else goes on."""

import asyncio
import pathlib

import pytest
from clusters.rig import CLUSTERS, MAPS, cluster_of, running

pytestmark = pytest.mark.usefixtures("runner")


async def test_a_number_is_never_exceeded(directory: pathlib.Path) -> None:
    async with running(directory, "--clusters-max=3", backend="sqlite") as rig:
        answers = await asyncio.gather(
            *(rig.call("POST", CLUSTERS, cluster_of(f"c{number}")) for number in range(12))
        )
        made = [number for number, answer in enumerate(answers) if answer.status == 201]
        assert sorted(answer.status for answer in answers) == [201] * 3 + [429] * 9
        for number in made:
            await rig.ready(f"c{number}")
        refused = await rig.call("POST", CLUSTERS, cluster_of("more"))
        assert refused.status == 429
        assert "--clusters-max=3" in refused.body["message"]
        assert "more" not in rig.directory.places
        await rig.keep(f"c{made[0]}", "kept", n="1")
        await rig.ok("POST", MAPS, {"metadata": {"name": "root-goes-on"}})
        assert (await rig.call("GET", f"{CLUSTERS}/c{made[0]}")).status == 200
        await rig.delete(f"c{made[0]}")
        await rig.make("more")


async def test_refusals_and_dry_runs_take_no_room(directory: pathlib.Path) -> None:
    async with running(directory, "--clusters-max=2") as rig:
        for _ in range(5):
            assert (await rig.call("POST", f"{CLUSTERS}?dryRun=All", cluster_of("dry"))).status == 201
            assert (await rig.call("POST", CLUSTERS, cluster_of("not.a.label"))).status == 422
            generated = cluster_of("") | {"metadata": {"generateName": "generated-"}}
            assert (await rig.call("POST", f"{CLUSTERS}?dryRun=All", generated)).status == 201
        await rig.make("one")
        assert (await rig.call("POST", CLUSTERS, cluster_of("one"))).status == 409
        made = await rig.ok("POST", CLUSTERS, generated)
        await rig.ready(made["metadata"]["name"])
        assert rig.directory.coming == set()
        assert (await rig.call("POST", CLUSTERS, cluster_of("one"))).status in (409, 429)


async def test_a_size_is_never_exceeded(directory: pathlib.Path) -> None:
    async with running(directory, "--clusters-max-bytes=1Mi") as rig:
        await rig.make("large")
        for number in range(3):
            await rig.keep("large", f"m{number}", x="x" * 400_000)
        refused = await rig.call("POST", CLUSTERS, cluster_of("more"))
        assert refused.status == 507
        assert refused.body["reason"] == "InsufficientStorage"
        await rig.keep("large", "goes-on", n="1")
        await rig.delete("large")
        await rig.make("more")
