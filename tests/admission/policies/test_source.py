"""The policies in force."""

from typing import Any

from harness import CONFIG_MAPS, Rig
from policies import ADMISSION, config_map, validating

from pilothouse.admission.policies.source import PolicySource


async def test_a_policy_needs_a_binding(rig: Rig) -> None:
    await validating(rig, "false")
    await rig.fail(422, "POST", CONFIG_MAPS, config_map())
    await rig.ok("DELETE", f"{ADMISSION}/validatingadmissionpolicybindings/p")
    await rig.ok("POST", CONFIG_MAPS, config_map())


async def test_a_policy_is_compiled_once_for_each_generation(rig: Rig) -> None:
    compiled: list[Any] = []
    source = PolicySource(
        rig.readers,
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        lambda spec, name: compiled.append(name),
    )
    assert list(source.hooks) == []
    await validating(rig, "true")
    await validating(rig, "true", name="q")
    (p, q) = source.hooks
    assert (p.name, q.name) == ("p", "q") and compiled == []
    for hook in source.hooks:
        _ = hook.compiled
    assert compiled == ["p", "q"]
    headers = {"Content-Type": "application/merge-patch+json"}
    change: dict[str, Any] = {"metadata": {"labels": {"a": "b"}}}
    await rig.ok("PATCH", f"{ADMISSION}/validatingadmissionpolicies/p", change, headers=headers)
    assert source.hooks == (p, q)
    change = {"spec": {"failurePolicy": "Ignore"}}
    await rig.ok("PATCH", f"{ADMISSION}/validatingadmissionpolicies/p", change, headers=headers)
    assert source.hooks[0] is not p and source.hooks[1] is q


async def test_only_policies_about_a_resource_are_asked(rig: Rig) -> None:
    source = PolicySource(
        rig.readers,
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        lambda spec, name: name,
    )
    await validating(rig, "true")
    pods, maps = rig.catalog.get("", "v1", "pods"), rig.catalog.get("", "v1", "configmaps")
    assert [hook.name for hook in source.about("CREATE", maps, "")] == ["p"]
    assert source.about("CREATE", pods, "") == source.about("CREATE", maps, "status") == ()
    assert source.about("CREATE", maps, "") is source.about("CREATE", maps, "")
