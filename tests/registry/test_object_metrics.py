"""The rules of custom resources are timed, and changes of definitions counted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from converters import DEFINITIONS
from harness import CONFIG_MAPS, Rig
from metric_samples import samples

from pilothouse.controllers.crds import CustomResourceDefinitions
from pilothouse.registry.crd import Definitions
from pilothouse.registry.object_metrics import UNEQUAL_FAST

WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
NAME = "widgets.example.com"


@asynccontextmanager
async def serving(rig: Rig) -> AsyncIterator[None]:
    """Widgets are served, whose size is limited; at the end their definition is deleted."""
    controller = CustomResourceDefinitions(rig.client("kube-apiserver"), Definitions(rig.store, rig.catalog))
    controller.start()
    rule = {"rule": "self.size < 10", "message": "it must be small"}
    size = {"type": "object", "properties": {"size": {"type": "integer"}}, "x-kubernetes-validations": [rule]}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": size}}}
    spec = {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
    }
    await rig.ok("POST", DEFINITIONS, {"metadata": {"name": NAME}, "spec": spec})
    await rig.settle()
    yield
    await rig.ok("DELETE", f"{DEFINITIONS}/{NAME}")
    await rig.settle()
    await controller.close()


def widget(size: int) -> dict[str, Any]:
    return {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w"},
        "spec": {"size": size},
    }


async def test_rules_and_comparisons_are_timed(rig: Rig) -> None:
    async with serving(rig):
        made = await rig.ok("POST", WIDGETS, widget(2))
        found = samples(rig.store.metrics)
        assert found["apiserver_cel_compilation_duration_seconds_count"] == "1"
        assert found["apiserver_cel_evaluation_duration_seconds_count"] == "1"
        assert "apiextensions_apiserver_validation_ratcheting_seconds_count" not in found
        await rig.fail(422, "PUT", f"{WIDGETS}/w", {**made, "spec": {"size": 10}})
        await rig.ok("PUT", f"{WIDGETS}/w", {**made, "spec": {"size": 3}})
        found = samples(rig.store.metrics)
        assert found["apiserver_cel_evaluation_duration_seconds_count"] == "3"
        assert found["apiextensions_apiserver_validation_ratcheting_seconds_count"] == "2"
        assert float(found["apiextensions_apiserver_validation_ratcheting_seconds_sum"]) > 0


async def test_changes_of_documents_are_counted(rig: Rig) -> None:
    async with serving(rig):
        pass
    found = samples(rig.store.metrics)
    name = 'apiextensions_openapi_v{}_regeneration_count{{crd="' + NAME + '",{}}}'
    for reason in ("add", "remove"):
        assert found[name.format(2, f'reason="{reason}"')] == "1"
        assert found[name.format(3, f'group="example.com",reason="{reason}",version="v1"')] == "1"


async def test_an_update_is_compared_in_one_of_three_ways(rig: Rig) -> None:
    name, path = "apiserver_request_timestamp_comparison_time_count", f"{CONFIG_MAPS}/a"

    def counted(how: str) -> int:
        return int(samples(rig.store.metrics).get(f'{name}{{code_path="{how}"}}', 0))

    await rig.config_map("a")
    before = {how: counted(how) for how in rig.store.metrics.compared}
    await rig.ok("PUT", path, {"metadata": {"name": "a"}, "data": {"k": "1"}})
    assert counted(UNEQUAL_FAST) == before[UNEQUAL_FAST] + 1
