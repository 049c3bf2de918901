"""The controllers by their names."""

from typing import Any

from pilothouse.simulate.workloads.maker import controllers

STOCK = {
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "ephemeral-volume-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "node-lifecycle-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-expander-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "replicationcontroller-controller",
    "service-lb-controller",
    "statefulset-controller",
    "taint-eviction-controller",
    "ttl-after-finished-controller",
}
"""The names that kube-controller-manager has (cmd/kube-controller-manager/names)."""


async def test_the_names_are_those_of_the_stock_controllers(cluster: Any) -> None:
    names = set(controllers(cluster.client, cluster.clock))
    assert names - STOCK == {"ingress addresses", "standard storage class"}
    assert names >= STOCK


async def test_each_starts_and_ends_on_its_own(cluster: Any) -> None:
    for name, make in controllers(cluster.client, cluster.clock).items():
        part = make()
        part.start()
        await cluster.settle()
        await part.close()
        before = cluster.storage.revision
        await cluster.post(
            "pods",
            {"metadata": {"generateName": "p-"}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        )
        assert cluster.storage.revision - before == 2, f"{name} has ended: there are the pod and its status"
