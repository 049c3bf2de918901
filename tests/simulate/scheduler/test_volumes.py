"""Claims, and the nodes on which their volumes can be had."""

from typing import Any

import pytest
from simulate.scheduler.views import ZONE, Object, Objects, decided, node, pod, refusal

from pilothouse.simulate.scheduler.cluster import NodeState
from pilothouse.simulate.scheduler.pods import Pending
from pilothouse.simulate.scheduler.volumes import ClaimVolumes

LATER = "WaitForFirstConsumer"
A, B = node("a", labels={ZONE: "a"}), node("b", labels={ZONE: "b"})


def claim(name: str = "data", size: str = "1Gi", mode: str = "ReadWriteOnce", **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name, "annotations": {}},
        "spec": {
            "accessModes": [mode],
            "storageClassName": "later",
            "resources": {"requests": {"storage": size}},
            **spec,
        },
        "status": {"phase": "Bound" if spec.get("volumeName") else "Pending"},
    }


def volume(name: str, size: str = "1Gi", *, zone: str = "", **spec: Any) -> Object:
    made: Object = {
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "later",
            **spec,
        },
        "status": {"phase": "Available"},
    }
    if zone:
        expression = {"key": ZONE, "operator": "In", "values": [zone]}
        terms = [{"matchExpressions": [expression]}]
        made["spec"]["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
    return made


def storage_class(provisioner: str = "x.y/z", **members: Any) -> Object:
    return {
        "metadata": {"name": "later"},
        "provisioner": provisioner,
        "volumeBindingMode": LATER,
        **members,
    }


STATIC = storage_class("kubernetes.io/no-provisioner")


def using(*claims: str, **spec: Any) -> Object:
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]
    return pod("p", volumes=volumes, **spec)


def chosen(on: Object, *claims: Object, volumes: list[Object]) -> list[str] | None:
    """The volumes that claims get on a node; None if they get none there."""
    names = [one["metadata"]["name"] for one in claims]
    lists = {
        "persistentvolumeclaims": claims,
        "persistentvolumes": volumes,
        "storageclasses_storage_k8s_io": [STATIC],
    }
    found = ClaimVolumes(Objects(**lists), Pending(using(*names)))  # type: ignore[arg-type]
    choices = found.choices(NodeState(on["metadata"]["name"], on))
    return None if choices is None else [one.volume["metadata"]["name"] for one in choices if one.volume]


def test_a_bound_volume_decides_about_the_node() -> None:
    lists = {
        "persistentvolumeclaims": [claim(volumeName="v")],
        "persistentvolumes": [volume("v", zone="b")],
    }
    assert decided(using("data"), A, B, **lists).node == "b"
    assert refusal(using("data"), A, **lists) == (
        "0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity."
    )
    gone = {**lists, "persistentvolumes": []}
    assert refusal(using("data"), A, **gone) == '0/1 nodes are available: persistentvolume "v" not found.'


def test_claims_that_nobody_can_use_keep_the_pod_from_all_nodes() -> None:
    lost, ending = claim(volumeName="v"), claim()
    lost["status"]["phase"] = "Lost"
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    for given, text in (
        (lost, 'persistentvolumeclaim "data" bound to non-existent persistentvolume "v"'),
        (ending, 'persistentvolumeclaim "data" is being deleted'),
    ):
        found = refusal(using("data"), A, persistentvolumeclaims=[given])
        assert found == f"0/1 nodes are available: {text}."
    ephemeral = pod("p", volumes=[{"name": "v", "ephemeral": {"volumeClaimTemplate": {}}}])
    assert refusal(ephemeral, A) == (
        "0/1 nodes are available: waiting for ephemeral volume controller to create the"
        ' persistentvolumeclaim "p-v".'
    )


def test_the_smallest_volume_that_fits_is_taken_once() -> None:
    volumes = [volume("big", "10Gi"), volume("small", "2Gi"), volume("tiny", "1Mi")]
    assert chosen(A, claim(), volumes=volumes) == ["small"]
    assert chosen(A, claim(), claim("more"), volumes=volumes) == ["small", "big"]
    assert chosen(A, claim(size="11Gi"), volumes=volumes) is None


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ({}, True),
        ({"accessModes": ["ReadWriteMany"]}, False),
        ({"storageClassName": "other"}, False),
        ({"volumeMode": "Block"}, False),
        ({"claimRef": {"namespace": "default", "name": "data"}}, True),
        ({"claimRef": {"namespace": "default", "name": "data", "uid": "other"}}, False),
        ({"claimRef": {"namespace": "default", "name": "other"}}, False),
        ({"zone": "a"}, True),
        ({"zone": "b"}, False),
    ],
)
def test_a_volume_fits_a_claim(spec: dict[str, Any], fits: bool) -> None:
    assert chosen(A, claim(), volumes=[volume("v", **spec)]) == (["v"] if fits else None)


def test_a_claim_may_select_volumes_and_none_that_was_used_before() -> None:
    labelled, released = volume("v"), volume("w")
    labelled["metadata"]["labels"] = {"fast": "yes"}
    released["status"]["phase"] = "Released"
    wish: dict[str, Any] = {"selector": {"matchLabels": {"fast": "yes"}}}
    assert chosen(A, claim(**wish), volumes=[volume("u"), labelled]) == ["v"]
    assert chosen(A, claim(), volumes=[released]) is None


def test_where_nothing_can_be_had_the_node_is_refused() -> None:
    lists: dict[str, Any] = {"persistentvolumeclaims": [claim()], "storageclasses_storage_k8s_io": [STATIC]}
    assert refusal(using("data"), A, **lists) == (
        "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind."
    )
    topology = [{"matchLabelExpressions": [{"key": ZONE, "values": ["b"]}]}]
    lists["storageclasses_storage_k8s_io"] = [storage_class(allowedTopologies=topology)]
    found = decided(using("data"), A, B, **lists)
    assert found.node == "b" and [one.volume for one in found.choices] == [None]


def test_a_claim_that_has_its_node_stays_with_it() -> None:
    selected = claim()
    selected["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = "b"
    lists = {"persistentvolumeclaims": [selected], "storageclasses_storage_k8s_io": [storage_class()]}
    assert decided(using("data"), A, B, **lists).node == "b"


def test_a_claim_for_one_pod_is_not_shared() -> None:
    lists = {
        "persistentvolumeclaims": [claim(mode="ReadWriteOncePod", volumeName="v")],
        "persistentvolumes": [volume("v")],
    }
    other = using("data", on="a")
    other["metadata"]["name"] = "other"
    assert refusal(using("data"), A, other, **lists) == (
        "0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and"
        " ReadWriteOncePod access mode."
    )
    assert decided(using("data"), A, **lists).node == "a"
