"""The strategies of all built-in kinds are consistent."""

import base64
from typing import Any

import pytest
from certificates import request
from harness import ADMIN, Rig

from pilothouse.registry.catalog import built_in
from pilothouse.registry.strategy import Strategy, WriteContext

RESOURCES = [r for r in built_in() if not r.virtual]


def test_the_defaults_are_those_of_upstream() -> None:
    strategy = Strategy()
    assert not strategy.create_on_update and strategy.unconditional_update
    assert strategy.garbage_collection == "background" and strategy.grace_period is None
    assert list(strategy.name_check("a.b-c", False)) == [] and list(strategy.name_check("A", False))


def test_contexts_share_nothing() -> None:
    one, two = (WriteContext(user=ADMIN, verb="get", resource=RESOURCES[0]) for _ in range(2))
    one.warnings.append("x")
    one.undo.append(print)
    assert two.warnings == [] and two.undo == []


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: f"{r.group_resource}/{r.version}")
def test_the_rules_of_a_kind(resource: Any) -> None:
    strategy = resource.strategy
    assert strategy.garbage_collection in ("background", "namespace", "orphan", "unsupported")
    for path in (*strategy.reset_on_create, *strategy.keep_on_update, *strategy.generation_fields):
        assert isinstance(path, tuple) and path and all(isinstance(step, str) for step in path)
    if "update" not in resource.verbs:
        assert not strategy.create_on_update


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: f"{r.group_resource}/{r.version}")
def test_the_rules_of_its_subresources(resource: Any) -> None:
    for name, sub in resource.subresources.items():
        assert sub.name == name
        assert (sub.read is None) == (sub.write is None)
        if name == "status" and sub.strategy is not None:
            assert sub.strategy is not resource.strategy
            kept = {path[0] for path in sub.strategy.keep_on_update}
            assert "status" not in kept


CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
ADDRESSES = "/apis/networking.k8s.io/v1/ipaddresses"
ATTACHMENTS = "/apis/storage.k8s.io/v1/volumeattachments"
FLOWS = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"
SPECS: dict[str, Any] = {
    CSRS: {"signerName": "example.com/signer", "usages": ["digital signature"]},
    ADDRESSES: {"parentRef": {"resource": "services", "namespace": "default", "name": "s"}},
    ATTACHMENTS: {"attacher": "d", "nodeName": "n", "source": {"persistentVolumeName": "v"}},
    FLOWS: {"priorityLevelConfiguration": {"name": "global-default"}},
}
BAD: dict[str, Any] = {"labels": {"l": "-"}, "deletionGracePeriodSeconds": -1, "generateName": "-"}


@pytest.mark.parametrize(
    ("path", "subresource", "member", "times"),
    [
        (CSRS, "", "labels", 4),
        (CSRS, "/status", "labels", 4),
        (CSRS, "/approval", "labels", 4),
        (ADDRESSES, "", "labels", 4),
        (ADDRESSES, "", "generateName", 1),
        (ATTACHMENTS, "", "labels", 3),
        (ATTACHMENTS, "/status", "deletionGracePeriodSeconds", 1),
        (ATTACHMENTS, "/status", "generateName", 1),
        (FLOWS, "", "deletionGracePeriodSeconds", 1),
        (FLOWS, "/status", "deletionGracePeriodSeconds", 0),
    ],
)
async def test_how_often_a_cause_about_metadata_is_told(
    rig: Rig, path: str, subresource: str, member: str, times: int
) -> None:
    """An update tells it once for each of upstream's checks that looks at the metadata."""
    name = "192.0.2.7" if path == ADDRESSES else "a"
    spec = dict(SPECS[path])
    if path == CSRS:
        spec["request"] = base64.b64encode(request("c")).decode()
    obj = await rig.ok("POST", path, {"metadata": {"name": name}, "spec": spec})
    obj["metadata"][member] = BAD[member]
    answer = await rig.call("PUT", f"{path}/{name}{subresource}", obj)
    told = answer.body.get("details") or {}
    found = [cause["field"] for cause in told.get("causes", ())]
    assert found == [f"metadata.{member}"] * times
