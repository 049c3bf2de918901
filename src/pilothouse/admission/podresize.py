"""PodResizeValidator: a pod on a node is not resized beyond what the node has (KEP-1287)."""

from pilothouse import errors
from pilothouse.admission.about import UPDATE, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values.fields import Object
from pilothouse.api.values.pod_resources import effective_requests
from pilothouse.api.values.quantity import parse
from pilothouse.gotext import quote
from pilothouse.registry.admission import AdmissionAttributes

OS_LABEL = "kubernetes.io/os"


class PodResizeValidator(AdmissionPlugin):
    name = "PodResizeValidator"
    about = (About((UPDATE,), ("pods/resize",)),)

    def validate(self, a: AdmissionAttributes) -> None:
        """Refuse a resize that changes the pod, as its generation tells, and that its node cannot give it."""
        assert a.obj is not None and a.old is not None
        name = a.obj["spec"].get("nodeName")
        if not name or a.obj["metadata"].get("generation") == a.old["metadata"].get("generation"):
            return
        node = a.readers.get("nodes", "", name)
        if node is None:
            raise a.refuse(f"node {quote(name)} not found")
        system = (node["metadata"].get("labels") or {}).get(OS_LABEL, "linux")
        if system != "linux":
            why = f"pod resize is only supported on linux nodes, node {quote(name)} is {quote(system)}"
            raise _refuse(a, why, "UnsupportedPlatform")
        short = _missing(a.obj["spec"], (node.get("status") or {}).get("allocatable") or {})
        if short:
            raise _refuse(
                a, f"node didn't have enough allocatable resources: {'; '.join(short)}", "NodeCapacity"
            )


def _missing(spec: Object, allocatable: Object) -> list[str]:
    """The processors (in thousandths) and memory
    (in bytes) that a pod requests and the node does not have."""
    requests = effective_requests(spec)
    out = []
    for name in ("cpu", "memory"):
        wanted, there = requests.get(name), parse(allocatable.get(name, "0"))
        if wanted is not None and wanted > there:
            numbers = (q.milli_value() if name == "cpu" else q.value() for q in (wanted, there))
            out.append("{}, requested: {}, allocatable: {}".format(name, *numbers))
    return out


def _refuse(a: AdmissionAttributes, why: str, reason: str) -> errors.Forbidden:
    err = a.refuse(why)
    err.details = {**(err.details or {}), "causes": [{"reason": reason}]}
    return err
