"""LimitPodHardAntiAffinityTopology: a pod may keep others off its node, not off a whole zone."""

from pilothouse import errors
from pilothouse.admission.about import WRITES, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.registry.admission import AdmissionAttributes

HOSTNAME = "kubernetes.io/hostname"


class LimitPodHardAntiAffinityTopology(AdmissionPlugin):
    name = "LimitPodHardAntiAffinityTopology"
    about = (About(WRITES, ("pods",)),)

    def validate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        repelled = (a.obj["spec"].get("affinity") or {}).get("podAntiAffinity") or {}
        for term in repelled.get("requiredDuringSchedulingIgnoredDuringExecution") or ():
            key = term.get("topologyKey", "")
            if key != HOSTNAME:
                raise errors.forbidden(
                    "",
                    "pods",
                    a.obj["metadata"].get("name", ""),
                    f"affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey {key} but only key "
                    f"{HOSTNAME} is allowed",
                )
