"""DefaultTolerationSeconds: lets pods tolerate unreachable
and not-ready nodes for five minutes by default."""

from pilothouse.admission.about import WRITES, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values.fields import Object
from pilothouse.registry.admission import AdmissionAttributes

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"


class DefaultTolerationSeconds(AdmissionPlugin):
    name = "DefaultTolerationSeconds"
    replaces = True
    about = (About(WRITES, ("pods",)),)

    def __init__(self, not_ready_seconds: int = 300, unreachable_seconds: int = 300) -> None:
        self.seconds = {NOT_READY: not_ready_seconds, UNREACHABLE: unreachable_seconds}

    def mutate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        spec = a.obj["spec"]
        have, added = spec.get("tolerations") or [], []
        for key, seconds in self.seconds.items():
            if not _tolerates(have, key):
                one = {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}
                added.append(one)
        if added:
            a.changed("spec.tolerations")
            a.obj["spec"] = {**spec, "tolerations": have + added}


def _tolerates(tolerations: list[Object], key: str) -> bool:
    """Whether a node with such a taint does not evict the pod at once."""
    for one in tolerations:
        if one.get("key", "") in ("", key) and one.get("effect", "") in ("", "NoExecute"):
            return True
    return False
