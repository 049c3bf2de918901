"""The requests that the server makes of itself are counted as what they are."""

from typing import Any

from harness import Rig, config_map
from metric_samples import samples


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
