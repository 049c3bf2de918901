"""Priority: sets a pod's priority and preemption policy from its class,
and allows one global default class only."""

from pilothouse.admission.about import OPERATIONS, WRITES, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values.fields import Object
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.resource import Resource

CLASSES = "priorityclasses.scheduling.k8s.io"
SYSTEM = frozenset(("system-node-critical", "system-cluster-critical"))
LOWER = "PreemptLowerPriority"


class Priority(AdmissionPlugin):
    name = "Priority"
    replaces = True
    about = (About(OPERATIONS, (CLASSES,)), About(WRITES, ("pods",)))

    def mutates(self, resource: Resource) -> bool:
        return resource.group_resource == "pods"

    def validates(self, resource: Resource) -> bool:
        return resource.group_resource == CLASSES

    def mutate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        spec = a.obj["spec"]
        if a.operation == "UPDATE":
            assert a.old is not None
            old = a.old["spec"]
            for member in ("priority", "preemptionPolicy"):
                if spec.get(member) is None and old.get(member) is not None:
                    a.changed(f"spec.{member}")
                    spec = a.obj["spec"] = {**spec, member: old[member]}
            return
        _admit_pod(a, spec)

    def validate(self, a: AdmissionAttributes) -> None:
        if a.operation == "DELETE":
            if a.name in SYSTEM:
                raise a.refuse("this is a system priority class and cannot be deleted")
            return
        assert a.obj is not None
        if not a.obj.get("globalDefault"):
            return
        current = _default(a)
        if current is None or current["metadata"]["name"] == a.obj["metadata"].get("name"):
            return
        if a.operation == "UPDATE" and a.old is not None and a.old.get("globalDefault"):
            return
        name = current["metadata"]["name"]
        raise a.refuse(f"PriorityClass {name} is already marked as default. Only one default can exist")


def _admit_pod(a: AdmissionAttributes, spec: Object) -> None:
    name = spec.get("priorityClassName", "")
    if name:
        found = a.readers.get(CLASSES, "", name)
        if found is None:
            raise a.refuse(f"no PriorityClass with name {name} was found")
    else:
        found = _default(a)
    value, policy = 0, LOWER
    if found is not None:
        value, policy = found.get("value", 0), found.get("preemptionPolicy") or LOWER
        if not name:
            a.changed("spec.priorityClassName")
        spec["priorityClassName"] = found["metadata"]["name"]
    computed = "from the given PriorityClass name"
    if spec.get("priority") is not None and spec["priority"] != value:
        raise a.refuse(
            f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
            f"priority admission controller computed {value} {computed}"
        )
    if spec.get("preemptionPolicy") is not None and spec["preemptionPolicy"] != policy:
        raise a.refuse(
            f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod"
            f" spec; priority admission controller computed {policy} {computed}"
        )
    for member, computed_value in (("priority", value), ("preemptionPolicy", policy)):
        if spec.get(member) is None:
            a.changed(f"spec.{member}")
            spec[member] = computed_value


def _default(a: AdmissionAttributes) -> Object | None:
    """The global default class; among several the one with the lowest value, as upstream."""
    defaults = [c for c in a.readers.list(CLASSES) if c.get("globalDefault")]
    return min(defaults, key=lambda c: c.get("value", 0)) if defaults else None
