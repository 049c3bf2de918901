"""TaintNodesByCondition: taints new nodes as not ready,
until the node lifecycle controller removes the taint."""

from pilothouse.admission.about import CREATE, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.registry.admission import AdmissionAttributes

TAINT = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class TaintNodesByCondition(AdmissionPlugin):
    name = "TaintNodesByCondition"
    about = (About((CREATE,), ("nodes",)),)

    def mutate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        spec = a.obj.setdefault("spec", {})
        taints = spec.get("taints") or []
        if not any(t.get("key") == TAINT["key"] and t.get("effect") == TAINT["effect"] for t in taints):
            a.changed("spec.taints")
            spec["taints"] = [*taints, dict(TAINT)]
