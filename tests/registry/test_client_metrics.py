"""The requests that the server makes of itself are counted as what they are."""

from typing import Any

from harness import Rig, config_map
from metric_samples import samples

from pilothouse.registry.client_metrics import ClientMetrics


async def test_requests_of_a_client_are_counted(rig: Rig) -> None:
    client = rig.client()
    config_maps = client.resource("", "v1", "configmaps")
    before = samples(client.metrics)

    def edit(obj: Any) -> None:
        obj["data"] = {"a": "b"}

    await client.create(config_maps, config_map("a", namespace="default"))
    await client.change(config_maps, "default", "a", edit)
    await client.apply(config_maps, "a", {"data": {"c": "d"}}, namespace="default")
    assert client.get(config_maps, "default", "a")
    await client.delete(config_maps, "default", "a")
    found = samples(client.metrics)
    for verb in ("POST", "PUT", "APPLY", "GET", "DELETE"):
        name = f'apiserver_selfrequest_total{{group="",resource="configmaps",subresource="",verb="{verb}"}}'
        assert int(found[name]) == int(before.get(name, 0)) + 1, verb


def test_a_queue_is_busy_while_a_key_is_young_or_comes_soon() -> None:
    now = [100.0]
    metrics = ClientMetrics(lambda: now[0])
    counts = metrics.queue("q")
    assert not metrics.is_busy(1.0, 0.5)
    counts.added("a")
    assert metrics.is_busy(1.0, 0.5)
    counts.begun("a")
    assert metrics.is_busy(1.0, 0.5)
    now[0] += 2
    assert not metrics.is_busy(1.0, 0.5), "it waits for something else"
    counts.ended("a")
    counts.retried("a", 10)
    assert not metrics.is_busy(1.0, 0.5)
    now[0] += 9.8
    assert metrics.is_busy(1.0, 0.5)
    counts.added("a")
    counts.begun("a")
    counts.ended("a")
    assert not metrics.is_busy(1.0, 0.5)
