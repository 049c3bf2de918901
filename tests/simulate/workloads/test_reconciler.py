"""The frame of the controllers."""

import asyncio
from typing import Any

from harness import Rig

from pilothouse.simulate.clock import Clock
from pilothouse.simulate.workloads.maker import controllers
from pilothouse.storage.memory import MemoryStorage

APPS = "/apis/apps/v1/namespaces/default/replicasets"


class Late(MemoryStorage):
    """A store that others write, too: its events come some turns of the loop after the writes."""

    others_write = True

    def watch(self, prefix: str, revision: int, on_events: Any, *args: Any, **kwargs: Any) -> Any:
        async def later(events: Any) -> None:
            for _ in range(3):
                await asyncio.sleep(0)
            on_events(events)

        tasks = self.__dict__.setdefault("late", [])

        def tell(events: Any) -> None:
            tasks.append(asyncio.get_running_loop().create_task(later(events)))

        return super().watch(prefix, revision, tell, *args, **kwargs)


async def test_a_cache_that_is_behind_is_waited_for(runner: asyncio.Runner) -> None:
    """Else a set would not see the pods that it has just made, and would make more."""
    async with Rig(storage=Late()) as rig:
        clock = Clock()
        made = controllers(rig.client, clock)["replicaset-controller"]()
        made.start()
        template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        spec = {"replicas": 5, "selector": {"matchLabels": {"a": "b"}}, "template": template}
        await rig.ok("POST", APPS, {"metadata": {"name": "r"}, "spec": spec})
        await rig.settle()
        for number in range(5):
            label = {"metadata": {"labels": {"n": str(number)}}}
            headers = {"Content-Type": "application/merge-patch+json"}
            await rig.ok("PATCH", f"{APPS}/r", label, headers=headers)
        await rig.settle()
        told = (await rig.ok("GET", "/api/v1/namespaces/default/events"))["items"]
        assert [one["reason"] for one in told] == ["SuccessfulCreate"] * 5
        await made.close()
        await clock.close()


async def test_what_is_closed_does_nothing_more(cluster: Any) -> None:
    await cluster.run("replicaset-controller")
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {
        "replicas": 1,
        "minReadySeconds": 60,
        "selector": {"matchLabels": {"a": "b"}},
        "template": template,
    }
    await cluster.post("replicasets", {"metadata": {"name": "r"}, "spec": spec}, "/apis/apps/v1")
    await cluster.running.pop("replicaset-controller").close()
    before = cluster.storage.revision
    await cluster.advance(100)
    assert cluster.storage.revision == before
    await cluster.patch("replicasets/r", {"spec": {"replicas": 3}}, "/apis/apps/v1")
    assert len(await cluster.pods()) == 1
