"""The condition Dangling of flow schemas."""

from typing import Any

import pytest
from eventually import aeventually
from harness import Rig

from pilothouse.controllers.flowschemas import MANAGER, FlowSchemaStatus

pytestmark = pytest.mark.usefixtures("virtual")

PATH = "/apis/flowcontrol.apiserver.k8s.io/v1"
SCHEMA = {
    "metadata": {"name": "s"},
    "spec": {"priorityLevelConfiguration": {"name": "low"}, "matchingPrecedence": 9000},
}
LEVEL = {
    "metadata": {"name": "low"},
    "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}},
}


async def dangling(rig: Any, status: str) -> Any:
    """Wait for a status of the condition; the object."""

    async def reached() -> Any:
        schema = await rig.ok("GET", f"{PATH}/flowschemas/s")
        conditions = (schema.get("status") or {}).get("conditions") or [{}]
        return schema if conditions[0].get("status") == status else None

    return await aeventually(reached, f"Dangling is {status}")


async def test_dangling_follows_the_level(rig: Rig) -> None:
    controller = FlowSchemaStatus(rig.client(MANAGER))
    controller.start()
    try:
        await rig.ok("POST", f"{PATH}/flowschemas", SCHEMA)
        schema = await dangling(rig, "True")
        condition = schema["status"]["conditions"][0]
        assert condition["reason"] == "NotFound"
        assert condition["message"] == (
            'This FlowSchema references the PriorityLevelConfiguration object named "low" '
            "but there is no such object"
        )
        entry = next(e for e in schema["metadata"]["managedFields"] if e["manager"] == MANAGER)
        assert (entry["operation"], entry["subresource"]) == ("Apply", "status")
        await rig.ok("POST", f"{PATH}/prioritylevelconfigurations", LEVEL)
        found = await dangling(rig, "False")
        assert found["status"]["conditions"][0]["reason"] == "Found"
        await rig.ok("DELETE", f"{PATH}/prioritylevelconfigurations/low")
        await dangling(rig, "True")
    finally:
        await controller.close()
