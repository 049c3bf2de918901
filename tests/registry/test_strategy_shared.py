"""A patch shares the members that it leaves alone with the old object, and nobody changes them there."""

import copy
from typing import Any

import pytest
from harness import CONFIG_MAPS, PODS, Rig, config_map, pod

from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.admission.priority import Priority
from pilothouse.admission.tolerations import DefaultTolerationSeconds
from pilothouse.registry.admission import AdmissionAttributes

MERGE = {"Content-Type": "application/merge-patch+json"}
NOTE = {"metadata": {"annotations": {"a": "b"}}}
APPS = "/apis/apps/v1/namespaces/default"
LABELS = {"app": "a"}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": pod("x")["spec"]}
WORKLOAD = {"selector": {"matchLabels": LABELS}, "template": TEMPLATE}


class Seen(AdmissionPlugin):
    """Remembers old objects as they are when validating plugins see them; `change` changes the new one."""

    name = "Seen"

    def __init__(self, change: Any = lambda obj: None) -> None:
        self.change = change
        self.old: list[Any] = []
        self.shared: list[set[str]] = []

    def mutate(self, a: AdmissionAttributes) -> None:
        if a.old is not None and a.obj is not None:
            self.change(a.obj)

    def validate(self, a: AdmissionAttributes) -> None:
        if a.old is not None and a.obj is not None:
            self.old.append(copy.deepcopy(a.old))
            self.shared.append({name for name, value in a.old.items() if a.obj.get(name) is value})


class Looks(Seen):
    """Changes nothing."""

    replaces = True


@pytest.mark.parametrize(
    ("path", "obj", "member"),
    [
        (PODS, pod("a"), "spec"),
        (CONFIG_MAPS, config_map("a", data={"k": "v"}), "data"),
        ("/api/v1/nodes", {"metadata": {"name": "a"}, "spec": {"podCIDR": "10.0.0.0/24"}}, "spec"),
        (f"{APPS}/deployments", {"metadata": {"name": "a"}, "spec": WORKLOAD}, "spec"),
        (f"{APPS}/replicasets", {"metadata": {"name": "a"}, "spec": WORKLOAD}, "spec"),
        (f"{APPS}/daemonsets", {"metadata": {"name": "a"}, "spec": WORKLOAD}, "spec"),
        (
            f"{APPS}/statefulsets",
            {"metadata": {"name": "a"}, "spec": {**WORKLOAD, "serviceName": "a"}},
            "spec",
        ),
    ],
)
async def test_what_a_patch_leaves_alone(runner: Any, path: str, obj: Any, member: str) -> None:
    plugin = Looks()
    async with Rig((plugin,)) as rig:
        made = await rig.ok("POST", path, obj)
        noted = await rig.ok("PATCH", f"{path}/a", NOTE, headers=MERGE)
        assert noted[member] == made[member] and noted["metadata"]["annotations"].items() >= {("a", "b")}
        assert plugin.old[0][member] == made[member] and member in plugin.shared[0]
        again = await rig.ok("GET", f"{path}/a")
        assert again == noted


@pytest.mark.parametrize("kind", ["merge", "apply", "status"])
async def test_a_plugin_changes_the_new_object_alone(runner: Any, kind: str) -> None:
    def change(obj: Any) -> None:
        obj["spec"]["containers"][0]["image"] = "other"
        obj["spec"]["tolerations"] = [{"key": "a", "operator": "Exists"}]

    plugin = Seen(change)
    async with Rig((plugin,)) as rig:
        made = await rig.ok("POST", PODS, pod("a"))
        if kind == "merge":
            found = await rig.ok("PATCH", f"{PODS}/a", NOTE, headers=MERGE)
        elif kind == "status":
            found = await rig.ok("PATCH", f"{PODS}/a/status", {"status": {"message": "m"}}, headers=MERGE)
        else:
            applied = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"a": "b"}}}
            headers = {"Content-Type": "application/apply-patch+yaml"}
            found = await rig.ok("PATCH", f"{PODS}/a?fieldManager=m", applied, headers=headers)
        assert plugin.old[0]["spec"] == made["spec"]
        changed = kind != "status"  # which keeps the spec, whatever a plugin does
        assert (found["spec"]["containers"][0]["image"] == "other") is changed
        assert (await rig.ok("GET", f"{PODS}/a"))["spec"] == found["spec"]


async def test_tolerations_and_priorities_that_an_old_pod_lacks_are_written(runner: Any) -> None:
    seen = Looks()
    async with Rig((seen,)) as rig:
        await rig.ok("POST", PODS, pod("a"))
        rig.chain.mutators[:0] = [Priority(), DefaultTolerationSeconds()]
        rig.chain._steps.clear()
        noted = await rig.ok("PATCH", f"{PODS}/a", NOTE, headers=MERGE)
        assert len(noted["spec"]["tolerations"]) == 2 and "tolerations" not in seen.old[0]["spec"]
        (entry,) = [one for one in noted["metadata"]["managedFields"] if one["operation"] == "Update"]
        assert "f:annotations" in entry["fieldsV1"]["f:metadata"]


async def test_texts_of_an_immutable_secret_become_no_data_of_the_old_one(rig: Rig) -> None:
    path = "/api/v1/namespaces/default/secrets"
    made = {"metadata": {"name": "a"}, "data": {"k": "dg=="}, "immutable": True}
    stored = await rig.ok("POST", path, made)
    await rig.fail(422, "PATCH", f"{path}/a", {"stringData": {"k": "w"}}, headers=MERGE)
    assert await rig.ok("GET", f"{path}/a") == stored
