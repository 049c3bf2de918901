"""The pods that belong together: those of the same services and of the same owner
(kube-scheduler helper.DefaultSelector)."""

from pilothouse.api.values import selectors
from pilothouse.api.values._selectors import Selector
from pilothouse.api.values.fields import Object
from pilothouse.registry.readers import Readers
from pilothouse.simulate.scheduler.pods import Pending

OWNERS = {
    ("v1", "ReplicationController"): "replicationcontrollers",
    ("apps/v1", "ReplicaSet"): "replicasets.apps",
    ("apps/v1", "StatefulSet"): "statefulsets.apps",
}


def selector_of(readers: Readers, pod: Pending) -> Selector | None:
    """A selector of the pods that belong together with one; None if it belongs to none."""
    found: list[Selector] = []
    labels: dict[str, str] = {}
    for service in readers.list("services", pod.namespace):
        wanted = (service.get("spec") or {}).get("selector")
        if wanted and wanted.items() <= pod.labels.items():
            labels |= wanted
    if labels:
        found.append(selectors.from_labels(labels))
    owner = next((o for o in pod.obj["metadata"].get("ownerReferences") or () if o.get("controller")), None)
    if owner is not None:
        plural = OWNERS.get((owner.get("apiVersion", ""), owner.get("kind", "")))
        controller = readers.get(plural, pod.namespace, owner.get("name", "")) if plural else None
        if controller is not None:
            found.append(_selector(controller))
    return selectors.join(found) if found else None


def _selector(controller: Object) -> Selector:
    selector = (controller.get("spec") or {}).get("selector")
    if controller.get("kind") == "ReplicationController":
        return selectors.from_labels(selector)
    return selectors.from_label_selector(selector)
