"""Priority and preemption policy come from the pod's class."""

from typing import Any

import pytest
from harness import Rig, is_asked, pod

from pilothouse import errors
from pilothouse.admission.priority import Priority

CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
CLASS = ("scheduling.k8s.io", "v1", "priorityclasses")
COMPUTED = "priority admission controller computed"


async def make(rig: Rig, name: str, value: Any, **more: Any) -> Any:
    return await rig.ok("POST", CLASSES, {"metadata": {"name": name}, "value": value, **more})


def admit(rig: Rig, **spec: Any) -> dict[Any, Any]:
    obj = pod("p", spec=spec)
    Priority().mutate(rig.attributes(obj))
    return {k: obj["spec"].get(k) for k in ("priorityClassName", "priority", "preemptionPolicy")}


def refused(rig: Rig, **spec: Any) -> str:
    with pytest.raises(errors.Forbidden) as caught:
        admit(rig, **spec)
    return caught.value.message.removeprefix('pods "p" is forbidden: ')


async def test_a_pod_of_a_class(rig: Rig) -> None:
    await make(rig, "high", 10)
    await make(rig, "calm", 5, preemptionPolicy="Never")
    assert admit(rig, priorityClassName="high") == {
        "priorityClassName": "high",
        "priority": 10,
        "preemptionPolicy": "PreemptLowerPriority",
    }
    assert admit(rig, priorityClassName="calm")["preemptionPolicy"] == "Never"
    assert admit(rig, priorityClassName="high", priority=10)["priority"] == 10


async def test_a_pod_of_no_class(rig: Rig) -> None:
    none = {"priorityClassName": None, "priority": 0, "preemptionPolicy": "PreemptLowerPriority"}
    assert admit(rig) == none
    await make(rig, "usual", 3, globalDefault=True)
    assert admit(rig) == {**none, "priorityClassName": "usual", "priority": 3}


async def test_what_a_pod_may_not_say(rig: Rig) -> None:
    await make(rig, "high", 10)
    assert refused(rig, priorityClassName="none") == "no PriorityClass with name none was found"
    assert refused(rig, priorityClassName="high", priority=1) == (
        f"the integer value of priority (1) must not be provided in pod spec; {COMPUTED} 10 "
        "from the given PriorityClass name"
    )
    assert refused(rig, priorityClassName="high", preemptionPolicy="Never") == (
        "the string value of PreemptionPolicy (Never) must not be provided in pod spec; "
        f"{COMPUTED} PreemptLowerPriority from the given PriorityClass name"
    )


async def test_an_update_keeps_what_it_does_not_say(rig: Rig) -> None:
    old = pod("p", spec={"priority": 7, "preemptionPolicy": "Never"})
    new = pod("p")
    Priority().mutate(rig.attributes(new, old))
    assert (new["spec"]["priority"], new["spec"]["preemptionPolicy"]) == (7, "Never")
    new = pod("p", spec={"priority": 1})
    Priority().mutate(rig.attributes(new, old))
    assert new["spec"]["priority"] == 1


async def test_one_default_at_most(rig: Rig) -> None:
    await make(rig, "first", 3, globalDefault=True)
    plugin = Priority()
    second = {"metadata": {"name": "second"}, "globalDefault": True}
    with pytest.raises(errors.Forbidden) as caught:
        plugin.validate(rig.attributes(second, resource=CLASS))
    assert caught.value.message == (
        'priorityclasses.scheduling.k8s.io "second" is forbidden: '
        "PriorityClass first is already marked as default. Only one default can exist"
    )
    plugin.validate(rig.attributes({"metadata": {"name": "second"}}, resource=CLASS))
    first = {"metadata": {"name": "first"}, "globalDefault": True}
    plugin.validate(rig.attributes(first, first, resource=CLASS))


async def test_system_classes_stay(rig: Rig) -> None:
    plugin = Priority()
    with pytest.raises(errors.Forbidden, match="this is a system priority class and cannot be deleted"):
        plugin.validate(
            rig.attributes(None, {}, resource=CLASS, operation="DELETE", name="system-node-critical")
        )
    plugin.validate(rig.attributes(None, {}, resource=CLASS, operation="DELETE", name="other"))


async def test_what_it_looks_at(rig: Rig) -> None:
    plugin = Priority()
    assert is_asked(plugin, rig.attributes({})) and is_asked(plugin, rig.attributes({}, {}))
    assert not is_asked(plugin, rig.attributes(None, {}, operation="DELETE"))
    assert is_asked(plugin, rig.attributes(None, {}, operation="DELETE", resource=CLASS))
    assert not is_asked(plugin, rig.attributes({}, {}, subresource="status"))
