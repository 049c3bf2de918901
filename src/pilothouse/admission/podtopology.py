"""PodTopologyLabels: a pod that gets a node takes the labels of its zone and region (KEP-4742)."""

from pilothouse.admission.about import CREATE, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.registry.admission import AdmissionAttributes

LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


class PodTopologyLabels(AdmissionPlugin):
    """The labels of a Binding go on to its pod (registry/groups/core/subresources.py)."""

    name = "PodTopologyLabels"
    about = (About((CREATE,), ("pods", "pods/binding")),)

    def mutate(self, a: AdmissionAttributes) -> None:
        """A node that is missing, or has no such labels, leaves the pod as it is."""
        assert a.obj is not None
        if a.subresource == "binding":
            target = a.obj.get("target") or {}
            name = target.get("name") if target.get("kind") == "Node" else ""
        else:
            name = a.obj["spec"].get("nodeName")
        node = a.readers.get("nodes", "", name) if name else None
        if node is None:
            return
        labels = node["metadata"].get("labels") or {}
        found = {key: labels[key] for key in LABELS if key in labels}
        own = a.obj["metadata"].get("labels") or {}
        for key, value in found.items():
            if own.get(key) != value:
                a.changed(f"metadata.labels[{key}]")
        if found:
            a.obj["metadata"]["labels"] = {**own, **found}
