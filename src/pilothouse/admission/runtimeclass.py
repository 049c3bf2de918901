"""RuntimeClass: copies overhead and scheduling rules from a pod's runtime class into the pod."""

from pilothouse.admission.about import CREATE, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values.fields import Object
from pilothouse.registry.admission import AdmissionAttributes

CLASSES = "runtimeclasses.node.k8s.io"


class RuntimeClass(AdmissionPlugin):
    name = "RuntimeClass"
    about = (About((CREATE,), ("pods",)),)

    def mutate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        spec = a.obj["spec"]
        found = _class_of(a, spec)
        if found is None:
            return
        _set_overhead(a, spec, found)
        _set_scheduling(a, spec, found.get("scheduling") or {})

    def validate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        spec = a.obj["spec"]
        found = _class_of(a, spec)
        fixed = ((found or {}).get("overhead") or {}).get("podFixed")
        if spec.get("overhead") and not fixed:
            raise a.refuse(
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
            )


def _class_of(a: AdmissionAttributes, spec: Object) -> Object | None:
    name = spec.get("runtimeClassName")
    if not name:
        return None
    found = a.readers.get(CLASSES, "", name)
    if found is None:
        raise a.refuse(f'pod rejected: RuntimeClass "{name}" not found')
    return found


def _set_overhead(a: AdmissionAttributes, spec: Object, found: Object) -> None:
    fixed = (found.get("overhead") or {}).get("podFixed")
    if not fixed:
        return
    if spec.get("overhead") and spec["overhead"] != fixed:
        raise a.refuse("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
    if not spec.get("overhead"):
        a.changed("spec.overhead")
    spec["overhead"] = dict(fixed)


def _set_scheduling(a: AdmissionAttributes, spec: Object, scheduling: Object) -> None:
    selector = scheduling.get("nodeSelector")
    if selector:
        own = spec.get("nodeSelector") or {}
        for key, value in selector.items():
            if key in own and own[key] != value:
                raise a.refuse(
                    f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value};"
                    f" pod.spec.nodeSelector[{key}] = {own[key]}"
                )
        if not selector.keys() <= own.keys():
            a.changed("spec.nodeSelector")
        spec["nodeSelector"] = {**own, **selector}
    extra = [t for t in scheduling.get("tolerations") or [] if t not in (spec.get("tolerations") or [])]
    if extra:
        a.changed("spec.tolerations")
        spec["tolerations"] = [*(spec.get("tolerations") or []), *(dict(t) for t in extra)]
