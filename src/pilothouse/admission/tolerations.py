"""DefaultTolerationSeconds: lets pods tolerate unreachable
and not-ready nodes for five minutes by default."""

from pilothouse.admission.about import WRITES, About
from pilothouse.admission.chain import Plugin
from pilothouse.api.values.fields import Object
from pilothouse.registry.admission import AdmissionAttributes

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"


class DefaultTolerationSeconds(Plugin):
    name = "DefaultTolerationSeconds"
    about = (About(WRITES, ("pods",)),)

    def __init__(self, not_ready_seconds: int = 300, unreachable_seconds: int = 300) -> None:
        self.seconds = {NOT_READY: not_ready_seconds, UNREACHABLE: unreachable_seconds}

    def mutate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        spec = a.obj["spec"]
        have = spec.get("tolerations") or []
        missing = [k for k in (NOT_READY, UNREACHABLE) if not any(_covers(t, k) for t in have)]
        if missing:
            a.changed("spec.tolerations")
            spec["tolerations"] = have + [self._toleration(k) for k in missing]

    def _toleration(self, key: str) -> Object:
        return {
            "key": key,
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": self.seconds[key],
        }


def _covers(toleration: Object, key: str) -> bool:
    return toleration.get("key", "") in ("", key) and toleration.get("effect", "") in ("", "NoExecute")
