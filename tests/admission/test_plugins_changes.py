"""Every plugin says which paths it has changed: what it says is held against the object before and after."""

import copy
import inspect
from typing import Any

import pytest
from harness import Rig, is_asked

from pilothouse.admission.alwayspullimages import AlwaysPullImages
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.admission.extendedresources import ExtendedResourceToleration
from pilothouse.admission.ingressclass import DefaultIngressClass
from pilothouse.admission.limitranger import LimitRanger
from pilothouse.admission.nodetaint import TaintNodesByCondition
from pilothouse.admission.podnodeselector import PodNodeSelector
from pilothouse.admission.podtolerations import PodTolerationRestriction
from pilothouse.admission.podtopology import PodTopologyLabels
from pilothouse.admission.priority import Priority
from pilothouse.admission.runtimeclass import RuntimeClass
from pilothouse.admission.serviceaccount import ServiceAccount
from pilothouse.admission.storageclass import DefaultStorageClass, StorageObjectInUseProtection
from pilothouse.admission.tolerations import DefaultTolerationSeconds
from pilothouse.api.values.equality import changes
from pilothouse.registry.timeline import Timeline

Object = dict[str, Any]
PODS = ("", "v1", "pods")
CLAIMS = ("", "v1", "persistentvolumeclaims")
DEFAULT_CLASS = {"storageclass.kubernetes.io/is-default-class": "true"}
INGRESS_CLASS = {"ingressclass.kubernetes.io/is-default-class": "true"}
BURSTABLE = {"resources": {"requests": {"cpu": "1"}}}
EXTENDED = {"resources": {"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}}}

CLUSTER: list[tuple[str, Object]] = [
    ("/api/v1/namespaces/default/serviceaccounts",
     {"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "pull"}]}),
    ("/api/v1/namespaces/default/limitranges", {
        "metadata": {"name": "limits"},
        "spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}]},
    }),
    ("/api/v1/nodes", {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z"}}}),
    ("/apis/scheduling.k8s.io/v1/priorityclasses",
     {"metadata": {"name": "usual"}, "value": 7, "globalDefault": True}),
    ("/apis/node.k8s.io/v1/runtimeclasses", {
        "metadata": {"name": "box"},
        "handler": "box",
        "overhead": {"podFixed": {"cpu": "1"}},
        "scheduling": {"nodeSelector": {"box": "yes"}, "tolerations": [{"key": "box", "operator": "Exists"}]},
    }),
    ("/apis/storage.k8s.io/v1/storageclasses", {
        "metadata": {"name": "fast", "annotations": DEFAULT_CLASS}, "provisioner": "p",
    }),
    ("/apis/networking.k8s.io/v1/ingressclasses", {
        "metadata": {"name": "front", "annotations": INGRESS_CLASS}, "spec": {"controller": "a.b/c"},
    }),
]  # fmt: skip


def pod(container: Object | None = None, **spec: Any) -> Object:
    containers = [{"name": "c", "image": "i", **(container or {})}, {"name": "d", "image": "j"}]
    return {"metadata": {"name": "p"}, "spec": {"containers": containers, **spec}}


CASES: list[tuple[AdmissionPlugin, Object, tuple[str, str, str], set[str]]] = [
    (AlwaysPullImages(), pod({"imagePullPolicy": "Always"}), PODS, {"spec.containers[1].imagePullPolicy"}),
    (ExtendedResourceToleration(), pod(EXTENDED), PODS, {"spec.tolerations"}),
    (ExtendedResourceToleration(), pod(), PODS, set()),
    (DefaultTolerationSeconds(), pod(), PODS, {"spec.tolerations"}),
    (DefaultTolerationSeconds(), pod(tolerations=[{"operator": "Exists"}]), PODS, set()),
    (LimitRanger(), pod({"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}}), PODS, {
        "spec.containers[1].resources", "metadata.annotations[kubernetes.io/limit-ranger]",
    }),
    (PodNodeSelector({"podNodeSelectorPluginConfig": {"clusterDefaultNodeSelector": "a=b"}}), pod(), PODS,
     {"spec.nodeSelector"}),
    (PodTolerationRestriction(), pod(BURSTABLE), PODS, {"spec.tolerations"}),
    (PodTolerationRestriction(), pod(), PODS, set()),
    (PodTopologyLabels(), pod(nodeName="n1"), PODS, {"metadata.labels[topology.kubernetes.io/zone]"}),
    (Priority(), pod(), PODS, {"spec.priorityClassName", "spec.priority", "spec.preemptionPolicy"}),
    (Priority(), pod(priorityClassName="usual", priority=7), PODS, {"spec.preemptionPolicy"}),
    (RuntimeClass(), pod(runtimeClassName="box"), PODS,
     {"spec.overhead", "spec.nodeSelector", "spec.tolerations"}),
    (RuntimeClass(), pod(runtimeClassName="box", overhead={"cpu": "1"}, nodeSelector={"box": "yes"}), PODS,
     {"spec.tolerations"}),
    (ServiceAccount(), pod(), PODS, {
        "spec.serviceAccountName", "spec.serviceAccount", "spec.imagePullSecrets", "spec.volumes",
        "spec.containers[0].volumeMounts", "spec.containers[1].volumeMounts",
    }),
    (ServiceAccount(),
     pod(automountServiceAccountToken=False, serviceAccountName="default", serviceAccount="default"), PODS,
     {"spec.imagePullSecrets"}),
    (DefaultStorageClass(), {"metadata": {"name": "c"}, "spec": {}}, CLAIMS, {"spec.storageClassName"}),
    (StorageObjectInUseProtection(), {"metadata": {"name": "c"}, "spec": {}}, CLAIMS,
     {"metadata.finalizers"}),
    (TaintNodesByCondition(), {"metadata": {"name": "n2"}}, ("", "v1", "nodes"), {"spec.taints"}),
    (DefaultIngressClass(), {"metadata": {"name": "i"}, "spec": {}}, ("networking.k8s.io", "v1", "ingresses"),
     {"spec.ingressClassName"}),
]  # fmt: skip


def covers(path: str, other: str) -> bool:
    """Whether one path is, or is above, another one."""
    return other == path or (other.startswith(path) and other[len(path)] in ".[")


@pytest.mark.parametrize(("plugin", "obj", "resource", "paths"), CASES)
async def test_what_a_plugin_says_is_what_it_has_changed(
    rig: Rig, plugin: AdmissionPlugin, obj: Object, resource: tuple[str, str, str], paths: set[str]
) -> None:
    for collection, body in CLUSTER:
        await rig.ok("POST", collection, body)
    a = rig.attributes(copy.deepcopy(obj), resource=resource)
    a.timeline = timeline = Timeline()
    assert is_asked(plugin, a)
    assert not inspect.isawaitable(plugin.mutate(a))
    assert set(timeline.changed) == paths
    changed = changes(obj, a.obj, 100)
    # A member that is added with all that is in it counts as that member.
    assert all(any(covers(one, path) or covers(path, one) for one in paths) for path in changed), changed
    assert all(any(covers(path, one) or covers(one, path) for one in changed) for path in paths), changed
