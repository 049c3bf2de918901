"""How objects of each resource are counted (pkg/quota/v1/evaluator/core and generic)."""

import functools
from collections.abc import Iterable

from pilothouse.admission.quota import pods
from pilothouse.admission.quota.amounts import ONE, ZERO, count, largest
from pilothouse.admission.quota.scopes import selects
from pilothouse.api.values.fields import Object
from pilothouse.api.values.pod_resources import Amounts, add, amounts
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.readers import Readers

ALIASES = ("configmaps", "secrets", "resourcequotas", "replicationcontrollers")
"""Resources that are also counted under their plain name."""
IGNORED = frozenset(("events", "events.events.k8s.io"))
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
STORAGE_CLASS = ".storageclass.storage.k8s.io/"
CLAIMS = "resourceclaims.resource.k8s.io"
DEVICES = ".deviceclass.resource.k8s.io/devices"
DEVICE_CLASSES = "deviceclasses.resource.k8s.io"
MOST_DEVICES = 32
"""The devices of a request for all that there are: as many as an allocation may have."""
FOR_POD = "resource.kubernetes.io/extended-resource-claim"


class Evaluator:
    """Counts the objects of one resource: `count/secrets`, `count/deployments.apps`."""

    by_content = False
    """Whether the usage of an object depends on what is in it."""
    scoped = False
    """Whether scopes can select objects of this resource."""

    def __init__(self, resource: str) -> None:
        self.resource = resource
        self.names = {f"count/{resource}"} | ({resource} if resource in ALIASES else set())

    def handles(self, a: AdmissionAttributes) -> bool:
        """Whether a request can change what is used."""
        return a.operation == "CREATE" and not a.subresource

    def matching(self, names: Iterable[str]) -> list[str]:
        """The names of a quota for which this resource is charged."""
        return [name for name in names if name in self.names]

    def usage(self, obj: Object, readers: Readers) -> Amounts:
        """The amounts that an object uses."""
        return dict.fromkeys(self.names, ONE)

    def in_scope(self, requirement: Object, obj: Object) -> bool:
        """Whether an object meets a requirement of a scope selector."""
        return False

    def missing(self, required: Iterable[str], obj: Object) -> str:
        """The members that an object lacks so that a quota can count it; "" when nothing is missing."""
        return ""


class PodEvaluator(Evaluator):
    by_content = scoped = True

    def __init__(self) -> None:
        super().__init__("pods")

    def handles(self, a: AdmissionAttributes) -> bool:
        if a.operation == "UPDATE" and not a.subresource:
            assert a.obj is not None and a.old is not None
            return pods.is_terminating(a.obj) != pods.is_terminating(a.old)
        return (a.operation, a.subresource) in (("CREATE", ""), ("UPDATE", "resize"))

    def matching(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if pods.matches(name)]

    def usage(self, obj: Object, readers: Readers) -> Amounts:
        return pods.usage(obj)

    def in_scope(self, requirement: Object, obj: Object) -> bool:
        return pods.in_scope(requirement, obj)

    def missing(self, required: Iterable[str], obj: Object) -> str:
        return pods.missing(required, obj)


class _Changing(Evaluator):
    """Objects whose usage an update may change."""

    by_content = True

    def handles(self, a: AdmissionAttributes) -> bool:
        return a.operation in ("CREATE", "UPDATE") and not a.subresource


class ServiceEvaluator(_Changing):
    def __init__(self) -> None:
        super().__init__("services")
        self.names = {"count/services", "services", "services.loadbalancers", "services.nodeports"}

    def usage(self, obj: Object, readers: Readers) -> Amounts:
        spec = obj.get("spec") or {}
        kind, ports = spec.get("type"), spec.get("ports") or ()
        nodes = len(ports) if kind in ("NodePort", "LoadBalancer") else 0
        if kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False:
            nodes = sum(bool(port.get("nodePort")) for port in ports)
        return {
            "count/services": ONE,
            "services": ONE,
            "services.loadbalancers": ONE if kind == "LoadBalancer" else ZERO,
            "services.nodeports": count(nodes),
        }


class VolumeClaimEvaluator(_Changing):
    scoped = True

    def __init__(self) -> None:
        super().__init__("persistentvolumeclaims")
        self.parts = ("persistentvolumeclaims", "requests.storage")
        self.names = {"count/persistentvolumeclaims", *self.parts}
        self.suffixes = tuple(STORAGE_CLASS + part for part in self.parts)

    def matching(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name in self.names or name.endswith(self.suffixes)]

    def usage(self, obj: Object, readers: Readers) -> Amounts:
        spec, metadata = obj.get("spec") or {}, obj["metadata"]
        out: Amounts = {"count/persistentvolumeclaims": ONE, "persistentvolumeclaims": ONE}
        wanted = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
        if wanted is not None:
            allocated = ((obj.get("status") or {}).get("allocatedResources") or {}).get("storage")
            sizes = [amounts({"storage": text}) for text in (wanted, allocated) if text is not None]
            out["requests.storage"] = largest(sizes)["storage"].rounded_up(0)
        annotations = metadata.get("annotations") or {}
        name = annotations.get(BETA_CLASS) or spec.get("storageClassName")
        if name:
            for part in self.parts:
                if part in out:
                    out[f"{name}{STORAGE_CLASS}{part}"] = out[part]
        return out

    def in_scope(self, requirement: Object, obj: Object) -> bool:
        if requirement.get("scopeName") != "VolumeAttributesClass":
            return False
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        named = (
            spec.get("volumeAttributesClassName"),
            status.get("currentVolumeAttributesClassName"),
            (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
        )
        return selects(requirement, [name for name in named if name])


class DeviceClaimEvaluator(_Changing):
    """Devices by class; a class that stands for an extended resource is charged under that name,
    too (KEP-5004)."""

    def __init__(self) -> None:
        super().__init__(CLAIMS)

    def matching(self, names: Iterable[str]) -> list[str]:
        return [n for n in names if n in self.names or n.endswith(DEVICES) or pods.is_extended_quota(n)]

    def usage(self, obj: Object, readers: Readers) -> Amounts:
        out: Amounts = {f"count/{CLAIMS}": ONE}
        devices: Amounts = {}
        for request in ((obj.get("spec") or {}).get("devices") or {}).get("requests") or ():
            choices = request.get("firstAvailable") or (request.get("exactly") or request,)
            add(devices, largest({c.get("deviceClassName", ""): count(_devices(c))} for c in choices))
        add(out, {name + DEVICES: number for name, number in devices.items()})
        if (obj["metadata"].get("annotations") or {}).get(FOR_POD) == "true":
            return out  # the pod for which the scheduler made it has been charged
        for name, number in devices.items():
            add(out, {f"{pods.REQUESTS}{pods.DEVICE_CLASS}{name}": number})
            found = readers.get(DEVICE_CLASSES, "", name)
            extended = ((found or {}).get("spec") or {}).get("extendedResourceName")
            if extended:
                add(out, {pods.REQUESTS + extended: number})
        return out


def _devices(request: Object) -> int:
    mode = request.get("allocationMode", "ExactCount")
    if mode == "All":
        return MOST_DEVICES
    return int(request.get("count", 1)) if mode == "ExactCount" else 0


SPECIAL: dict[str, Evaluator] = {
    e.resource: e
    for e in (PodEvaluator(), ServiceEvaluator(), VolumeClaimEvaluator(), DeviceClaimEvaluator())
}


@functools.lru_cache(maxsize=512)
def evaluator(resource: str) -> Evaluator:
    """How objects of a resource (`deployments.apps`) are counted."""
    found = SPECIAL.get(resource)
    return found if found is not None else Evaluator(resource)


def evaluators(names: Iterable[str]) -> list[Evaluator]:
    """All that are charged for one of these names."""
    names = list(names)
    out = {resource: one for resource, one in SPECIAL.items() if one.matching(names)}
    for name in names:
        resource = name.removeprefix("count/")
        if resource not in out and resource not in SPECIAL and (resource != name or name in ALIASES):
            out[resource] = Evaluator(resource)
    return list(out.values())
