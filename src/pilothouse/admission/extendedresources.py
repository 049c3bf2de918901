"""ExtendedResourceToleration: who asks for a special device tolerates the taint of nodes that have it."""

from pilothouse.admission.about import WRITES, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.validate.resources import is_extended
from pilothouse.api.values.fields import Object
from pilothouse.registry.admission import AdmissionAttributes


class ExtendedResourceToleration(AdmissionPlugin):
    name = "ExtendedResourceToleration"
    about = (About(WRITES, ("pods",)),)

    def mutate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        spec = a.obj["spec"]
        requested = {
            name
            for kind in ("containers", "initContainers")
            for container in spec.get(kind) or ()
            for name in (container.get("resources") or {}).get("requests") or ()
            if is_extended(name)
        }
        before = spec.get("tolerations") or []
        for name in sorted(requested):
            spec["tolerations"] = _with(spec.get("tolerations") or [], name)
        if requested and spec["tolerations"] != before:
            a.changed("spec.tolerations")


def _with(tolerations: list[Object], name: str) -> list[Object]:
    """The tolerations with one of a device; one that differs in its seconds alone is replaced."""
    added = {"key": name, "operator": "Exists", "effect": "NoSchedule"}

    def is_same(toleration: Object) -> bool:
        return not toleration.get("value") and all(toleration.get(m) == v for m, v in added.items())

    if any(map(is_same, tolerations)):
        return [added if is_same(toleration) else toleration for toleration in tolerations]
    return [*tolerations, added]
