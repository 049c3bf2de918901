"""TaintNodesByCondition: taints new nodes as not ready, until the node lifecycle controller removes the taint."""

from pilothouse.admission.chain import Plugin
from pilothouse.registry.admission import AdmissionAttributes

TAINT = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class TaintNodesByCondition(Plugin):
    name = "TaintNodesByCondition"

    def wants(self, a: AdmissionAttributes) -> bool:
        return a.resource.group_resource == "nodes" and a.operation == "CREATE" and not a.subresource

    def mutate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        spec = a.obj.setdefault("spec", {})
        taints = spec.get("taints") or []
        if not any(t.get("key") == TAINT["key"] and t.get("effect") == TAINT["effect"] for t in taints):
            a.changed("spec.taints")
            spec["taints"] = [*taints, dict(TAINT)]
