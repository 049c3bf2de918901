"""Causes about metadata, which an update tells once for each of upstream's checks that looks at them."""

import base64
from typing import Any

import pytest
from certificates import request
from harness import Rig

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
async def test_how_often_a_cause_is_told(
    rig: Rig, path: str, subresource: str, member: str, times: int
) -> None:
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
