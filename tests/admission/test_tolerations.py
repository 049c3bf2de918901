"""Pods get default tolerations for unreachable and not-ready nodes."""

from typing import Any

import pytest
from harness import Rig, is_asked

from pilothouse.admission.tolerations import NOT_READY, UNREACHABLE, DefaultTolerationSeconds


def toleration(key: str, seconds: int = 300) -> dict[str, Any]:
    return {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}


BOTH = [toleration(NOT_READY), toleration(UNREACHABLE)]


@pytest.mark.parametrize(
    ("own", "added"),
    [
        ([], BOTH),
        ([{"key": "k", "operator": "Exists"}], BOTH),
        ([toleration(NOT_READY, 5)], BOTH[1:]),
        ([{"key": NOT_READY, "operator": "Exists"}, toleration(UNREACHABLE)], []),
        ([{"key": NOT_READY, "effect": "NoSchedule", "operator": "Exists"}], BOTH),
        ([{"operator": "Exists"}], []),
        ([{"operator": "Exists", "effect": "NoSchedule"}], BOTH),
    ],
)
async def test_what_is_missing_is_added(rig: Rig, own: list[Any], added: Any) -> None:
    pod = {"metadata": {}, "spec": {"tolerations": own} if own else {}}
    DefaultTolerationSeconds().mutate(rig.attributes(pod))
    assert pod["spec"].get("tolerations", []) == own + added


async def test_seconds_are_settings(rig: Rig) -> None:
    pod: dict[str, Any] = {"metadata": {}, "spec": {}}
    DefaultTolerationSeconds(1, 2).mutate(rig.attributes(pod))
    assert pod["spec"]["tolerations"] == [toleration(NOT_READY, 1), toleration(UNREACHABLE, 2)]


async def test_what_it_looks_at(rig: Rig) -> None:
    plugin = DefaultTolerationSeconds()
    assert is_asked(plugin, rig.attributes({})) and is_asked(plugin, rig.attributes({}, {}))
    assert not is_asked(plugin, rig.attributes({}, {}, subresource="status"))
    assert not is_asked(plugin, rig.attributes({}, resource=("", "v1", "nodes")))
