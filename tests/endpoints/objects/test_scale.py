"""The scale of a workload."""

import asyncio
from typing import Any

import pytest
from harness import Rig, causes

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MERGE = {"Content-Type": "application/merge-patch+json"}
APPLY = {"Content-Type": "application/apply-patch+yaml"}
SCALE = DEPLOYMENTS + "/d/scale"


@pytest.fixture
def deployment(rig: Rig, runner: asyncio.Runner) -> Any:
    labels = {"app": "d"}
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    }
    return runner.run(rig.ok("POST", DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": spec}))


async def test_what_is_shown(rig: Rig, deployment: Any) -> None:
    metadata = deployment["metadata"]
    assert await rig.ok("GET", SCALE) == {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            k: metadata[k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        },
        "spec": {"replicas": 2},
        "status": {"replicas": 0, "selector": "app=d"},
    }
    assert await rig.fail(404, "GET", DEPLOYMENTS + "/x/scale") == 'deployments.apps "x" not found'


TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}


async def test_a_table(rig: Rig, deployment: Any) -> None:
    """kubectl get --subresource=scale asks for one."""
    table = await rig.ok("GET", SCALE, headers=TABLE)
    assert [column["name"] for column in table["columnDefinitions"]] == [
        "Name",
        "Desired",
        "Available",
        "Age",
    ]
    assert table["rows"][0]["cells"][:3] == ["d", 2, 0]
    changed = await rig.ok("PATCH", SCALE, {"spec": {"replicas": 3}}, headers=MERGE | TABLE)
    assert changed["rows"][0]["cells"][:3] == ["d", 3, 0]


NO_TABLES = (
    "/api/v1/namespaces/default/pods/x/ephemeralcontainers",
    "/api/v1/namespaces/default/pods/x/resize",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/x/status",
    "/apis/apiregistration.k8s.io/v1/apiservices/x/status",
    "/apis/certificates.k8s.io/v1/certificatesigningrequests/x/approval",
    "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims/x/status",
)


@pytest.mark.parametrize("path", NO_TABLES)
async def test_subresources_that_have_no_tables(rig: Rig, path: str) -> None:
    """Upstream's storages of these convert nothing to a Table, and are not asked for the object then."""
    assert "following media types are accepted" in await rig.fail(406, "GET", path, headers=TABLE)
    assert "not found" in await rig.fail(404, "GET", path)


async def test_a_put(rig: Rig, deployment: Any) -> None:
    scale = await rig.ok("GET", SCALE)
    scale["spec"]["replicas"] = 5
    assert (await rig.ok("PUT", SCALE, scale))["spec"] == {"replicas": 5}
    changed = await rig.ok("GET", DEPLOYMENTS + "/d")
    assert changed["spec"]["replicas"] == 5 and changed["metadata"]["generation"] == 2
    assert any(e.get("subresource") == "scale" for e in changed["metadata"]["managedFields"])
    assert (await rig.call("PUT", SCALE, scale)).status == 409, "the version is the old one"


async def test_a_patch(rig: Rig, deployment: Any) -> None:
    assert (await rig.ok("PATCH", SCALE, {"spec": {"replicas": 3}}, headers=MERGE))["spec"] == {"replicas": 3}
    assert (await rig.ok("GET", DEPLOYMENTS + "/d"))["spec"]["replicas"] == 3


async def test_an_apply(rig: Rig, deployment: Any) -> None:
    scale = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "spec": {"replicas": 7},
        "metadata": {"name": "d"},
    }
    answer = await rig.call("PATCH", SCALE + "?fieldManager=m&force=true", scale, headers=APPLY)
    assert answer.status == 200 and answer.body["spec"] == {"replicas": 7}


@pytest.mark.parametrize(
    ("version", "kind"), [(1, "Scale"), ("apps/v1", "Scale"), ("autoscaling/v1", "Deployment")]
)
async def test_an_apply_of_another_kind(rig: Rig, deployment: Any, version: Any, kind: str) -> None:
    scale = {"apiVersion": version, "kind": kind, "spec": {"replicas": 1}, "metadata": {"name": "d"}}
    message = await rig.fail(400, "PATCH", SCALE + "?fieldManager=m", scale, headers=APPLY)
    assert message.startswith("invalid object type: ")


@pytest.mark.parametrize("spec", [["x"], 1, "x"])
async def test_an_apply_that_is_no_scale(rig: Rig, deployment: Any, spec: Any) -> None:
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": spec, "metadata": {"name": "d"}}
    message = await rig.fail(500, "PATCH", SCALE + "?fieldManager=m", scale, headers=APPLY)
    assert message.startswith(
        "failed to create typed patch object (/d; autoscaling/v1, Kind=Scale): .spec: expected map, got &{"
    )


async def test_what_is_refused(rig: Rig, deployment: Any) -> None:
    answer = await rig.call("PATCH", SCALE, {"spec": {"replicas": -1}}, headers=MERGE)
    assert answer.status == 422
    assert causes(answer.body) == ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]
    metadata = {"name": "d", "generateName": "A", "labels": {"a": "?"}, "finalizers": ["x"]}
    answer = await rig.call("PUT", SCALE, {"metadata": metadata})
    assert [one.partition(":")[0] for one in causes(answer.body)] == [
        "metadata.generateName",
        "metadata.labels",
        "metadata.finalizers[0]",
    ]
    metadata["uid"] = "x"
    why = await rig.fail(409, "PUT", SCALE, {"metadata": metadata})
    assert why.startswith(
        'Operation cannot be fulfilled on deployments.apps "d": StorageError: invalid object, Code: 4'
    )
    answer = await rig.call("PUT", SCALE, {"metadata": {"name": "other"}, "spec": {"replicas": 1}})
    assert answer.status == 400
    answer = await rig.call(
        "PUT", SCALE, {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "d"}}
    )
    assert answer.status == 400
    message = await rig.fail(
        404, "PUT", DEPLOYMENTS + "/x/scale", {"metadata": {"name": "x"}, "spec": {"replicas": 1}}
    )
    assert message == 'deployments.apps "x" not found'
    assert (await rig.ok("GET", DEPLOYMENTS + "/d")) == deployment


async def test_a_dry_run(rig: Rig, deployment: Any) -> None:
    scale = await rig.ok("PATCH", SCALE + "?dryRun=All", {"spec": {"replicas": 3}}, headers=MERGE)
    assert scale["spec"] == {"replicas": 3}
    assert await rig.ok("GET", DEPLOYMENTS + "/d") == deployment


async def test_managers(rig: Rig, deployment: Any) -> None:
    """Each manager of a Scale owns the replicas alone;
    none does when there are none, because they are not shown."""

    async def owners() -> list[tuple[str, str, bool]]:
        entries = (await rig.ok("GET", DEPLOYMENTS + "/d"))["metadata"]["managedFields"]
        found = ((e["manager"], e.get("subresource", ""), e["fieldsV1"]["f:spec"]) for e in entries)
        return [(manager, sub, "f:replicas" in spec) for manager, sub, spec in found]

    await rig.ok("PATCH", SCALE + "?fieldManager=m", {"spec": {"replicas": 3}}, headers=MERGE)
    assert await owners() == [("m", "scale", True), ("unknown", "", False)]
    scale = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "d"},
        "spec": {"replicas": 1},
    }
    answer = await rig.call("PATCH", SCALE + "?fieldManager=a", scale, headers=APPLY)
    assert causes(answer.body) == [
        '.spec.replicas: conflict with "m" with subresource "scale" using autoscaling/v1'
    ]
    await rig.call("PATCH", SCALE + "?fieldManager=a&force=true", scale, headers=APPLY)
    assert await owners() == [("a", "scale", True), ("unknown", "", False)]
    await rig.ok("PUT", SCALE, scale | {"spec": {}})
    assert await owners() == [("unknown", "", False)]


async def test_an_apply_by_another_name(rig: Rig, deployment: Any) -> None:
    scale = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "x"},
        "spec": {"replicas": 1},
    }
    message = await rig.fail(400, "PATCH", SCALE + "?fieldManager=m&force=true", scale, headers=APPLY)
    assert message == "the name of the object (x) does not match the name on the URL (d)"


async def test_the_first_write_that_changes_nothing_splits_an_entry(rig: Rig, deployment: Any) -> None:
    await rig.ok("PATCH", SCALE, {"spec": {"replicas": 2}}, headers=MERGE)
    split = await rig.ok("GET", DEPLOYMENTS + "/d")
    assert split["spec"] == deployment["spec"] and len(split["metadata"]["managedFields"]) == 2
    answer = await rig.ok("PATCH", SCALE, {"spec": {"replicas": 2}}, headers=MERGE)
    assert answer["metadata"]["resourceVersion"] != deployment["metadata"]["resourceVersion"]
