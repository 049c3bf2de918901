"""Admin access to devices needs a namespace with the label for it (KEP-5018)."""

from typing import Any

import pytest
from harness import Rig

BASE = "/apis/resource.k8s.io/v1/namespaces"
LABEL = "resource.kubernetes.io/admin-access"
FORBIDDEN = (
    f"Forbidden: admin access to devices requires the `{LABEL}: true` label on the containing namespace"
)


def claim(**more: Any) -> Any:
    exactly = {"deviceClassName": "c", **more}
    requests = [{"name": "other", "exactly": {"deviceClassName": "c"}}, {"name": "r", "exactly": exactly}]
    return {"metadata": {"name": "x"}, "spec": {"devices": {"requests": requests}}}


async def open_namespace(rig: Rig) -> None:
    await rig.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "open", "labels": {LABEL: "true"}}})


@pytest.mark.parametrize("plural", ["resourceclaims", "resourceclaimtemplates"])
async def test_admin_access_of_requests(rig: Rig, plural: str) -> None:
    await open_namespace(rig)
    obj = claim(adminAccess=True)
    if plural == "resourceclaimtemplates":
        obj = {"metadata": obj["metadata"], "spec": {"spec": obj["spec"]}}
    refused = (await rig.call("POST", f"{BASE}/default/{plural}", obj)).body
    (cause,) = refused["details"]["causes"]
    assert (cause["field"], cause["message"]) == ("spec.devices.requests[1].adminAccess", FORBIDDEN)
    await rig.ok("POST", f"{BASE}/open/{plural}", obj)


async def test_admin_access_of_results(rig: Rig) -> None:
    await open_namespace(rig)
    result = {"request": "r", "driver": "d", "pool": "p", "device": "x"}
    results = [{**result, "request": "other"}, {**result, "adminAccess": True}]
    for namespace in ("default", "open"):
        made = await rig.ok("POST", f"{BASE}/{namespace}/resourceclaims", claim())
        made["status"] = {"allocation": {"devices": {"results": results}}}
        answer = await rig.call("PUT", f"{BASE}/{namespace}/resourceclaims/x/status", made)
        if namespace == "default":
            (cause,) = answer.body["details"]["causes"]
            where = "status.allocation.devices.results[1].adminAccess"
            assert (cause["field"], cause["message"]) == (where, FORBIDDEN)
        else:
            assert answer.status == 200
    namespace_path = "/api/v1/namespaces/open"
    await rig.ok(
        "PUT", namespace_path, {**(await rig.ok("GET", namespace_path)), "metadata": {"name": "open"}}
    )
    made = await rig.ok("GET", f"{BASE}/open/resourceclaims/x")
    assert (await rig.call("PUT", f"{BASE}/open/resourceclaims/x/status", made)).status == 200, (
        "it was granted"
    )


async def test_members_of_alpha_features_of_slices(rig: Rig) -> None:
    device = {"name": "d", "attributes": {"a": {"ints": [1], "int": 1}}}
    mapped = {**device, "nodeAllocatableResourceMappings": {"cpu": {"allocationMultiplier": "1"}}}
    spec = {
        "driver": "d.io",
        "nodeName": "n",
        "pool": {"name": "p", "resourceSliceCount": 1, "generation": 1},
    }
    path = "/apis/resource.k8s.io/v1/resourceslices"
    made = await rig.ok("POST", path, {"metadata": {"name": "s"}, "spec": {**spec, "devices": [mapped]}})
    assert made["spec"]["devices"] == [{"name": "d", "attributes": {"a": {"int": 1}}}]
    made["spec"]["devices"] = [mapped]
    made = await rig.ok("PUT", f"{path}/s", made)
    assert made["spec"]["devices"] == [{"name": "d", "attributes": {"a": {"int": 1}}}]


async def test_selectors_of_classes(rig: Rig) -> None:
    path = "/apis/resource.k8s.io/v1/deviceclasses"
    made = {"metadata": {"name": "c"}, "spec": {"selectors": [{"cel": {"expression": ""}}]}}
    refused = (await rig.call("POST", path, made)).body
    assert refused["details"]["causes"][0]["field"] == "spec.selectors[0].cel.expression"
    made["spec"] = {"selectors": [{"cel": {"expression": 'device.driver == "a"'}}]}
    stored = await rig.ok("POST", path, made)
    stored["spec"]["selectors"].append({"cel": {"expression": "device.nothing"}})
    refused = (await rig.call("PUT", f"{path}/c", stored)).body
    assert refused["details"]["causes"][0]["field"] == "spec.selectors[1].cel.expression"
