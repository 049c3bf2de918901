"""The strategy of pod disruption budgets."""

import pytest
from harness import Rig

BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"


@pytest.mark.parametrize(
    ("name", "status"), [("A_b", 201), ("a b", 201), ("a/b", 422), ("..", 422), ("a%b", 422)]
)
async def test_names_are_parts_of_paths(rig: Rig, name: str, status: int) -> None:
    answer = await rig.call("POST", BUDGETS, {"metadata": {"name": name}, "spec": {"minAvailable": 1}})
    assert answer.status == status


async def test_finalizers_are_qualified_names_of_any_kind(rig: Rig) -> None:
    metadata = {"name": "a", "finalizers": ["nope"]}
    await rig.ok("POST", BUDGETS, {"metadata": metadata, "spec": {"minAvailable": 1}})
    metadata["finalizers"] = ["-"]
    answer = await rig.call("POST", BUDGETS, {"metadata": metadata, "spec": {"minAvailable": 1}})
    assert answer.status == 422
