"""The rules of aggregated cluster roles."""

from typing import Any

import pytest
from complexity import assert_linear
from eventually import aeventually
from harness import Rig

from pilothouse.controllers.clusterroles import MANAGER, ClusterRoleAggregation, distinct

pytestmark = pytest.mark.usefixtures("virtual")

PATH = "/apis/rbac.authorization.k8s.io/v1/clusterroles"


def rule(resource: str, *verbs: str) -> dict[str, Any]:
    return {"apiGroups": [""], "resources": [resource], "verbs": list(verbs)}


def role(name: str, *rules: dict[str, Any], **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "rules": list(rules)}


def aggregated(name: str, *selectors: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "aggregationRule": {"clusterRoleSelectors": list(selectors)}}


def matching(**labels: str) -> dict[str, Any]:
    return {"matchLabels": labels}


async def has_rules(rig: Any, name: str, *wanted: dict[str, Any]) -> Any:
    """Wait until a role has these rules; the role."""

    async def reached() -> Any:
        found = await rig.ok("GET", f"{PATH}/{name}")
        return found if (found.get("rules") or []) == list(wanted) else None

    return await aeventually(reached, f"{name} has {wanted}")


async def test_rules_are_gathered_in_order_and_once_each(rig: Rig) -> None:
    controller = ClusterRoleAggregation(rig.client(MANAGER))
    controller.start()
    try:
        pods, nodes, secrets = rule("pods", "get"), rule("nodes", "list"), rule("secrets", "get")
        await rig.ok("POST", PATH, role("z", pods, to="all"))
        await rig.ok("POST", PATH, role("a", nodes, pods, to="all"))
        await rig.ok("POST", PATH, role("other", secrets, to="none"))
        selectors = matching(to="all"), matching(also="yes")
        await rig.ok("POST", PATH, aggregated("sum", *selectors))
        found = await has_rules(rig, "sum", nodes, pods)
        entry = next(e for e in found["metadata"]["managedFields"] if e["manager"] == MANAGER)
        assert entry["operation"] == "Apply"
        await rig.ok("PUT", f"{PATH}/other", role("other", secrets, also="yes"))
        await has_rules(rig, "sum", nodes, pods, secrets)
        await rig.ok("DELETE", f"{PATH}/a")
        await has_rules(rig, "sum", pods, secrets)
    finally:
        await controller.close()


@pytest.mark.slow
def test_many_rules_take_linear_time() -> None:
    assert_linear(distinct, lambda n: [rule(f"r{i}", "get") for i in range(n)] * 2, 2000)


async def test_what_others_write_is_put_back(rig: Rig) -> None:
    controller = ClusterRoleAggregation(rig.client(MANAGER))
    controller.start()
    try:
        pods = rule("pods", "get")
        await rig.ok("POST", PATH, role("one", pods, to="all"))
        await rig.ok("POST", PATH, aggregated("sum", matching(to="all")))
        await has_rules(rig, "sum", pods)
        await rig.ok(
            "PUT", f"{PATH}/sum", aggregated("sum", matching(to="all")) | {"rules": [rule("x", "get")]}
        )
        await has_rules(rig, "sum", pods)
    finally:
        await controller.close()


async def test_one_role_takes_what_another_has_gathered_and_nothing_of_its_own(rig: Rig) -> None:
    controller = ClusterRoleAggregation(rig.client(MANAGER))
    controller.start()
    try:
        pods = rule("pods", "get")
        await rig.ok("POST", PATH, role("base", pods, tier="view"))
        middle = aggregated("middle", matching(tier="view"))
        middle["metadata"]["labels"] = {"tier": "edit"}
        await rig.ok("POST", PATH, middle)
        top = aggregated("top", matching(tier="edit"))
        top["metadata"]["labels"] = {"tier": "edit"}
        await rig.ok("POST", PATH, top)
        await has_rules(rig, "top", pods)
        await rig.ok("DELETE", f"{PATH}/base")
        await has_rules(rig, "middle")
        await has_rules(rig, "top")
    finally:
        await controller.close()
