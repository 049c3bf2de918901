"""NodeDeclaredFeatureValidator: a pod on a node is not changed into one that its node cannot carry out
(KEP-5328).

Upstream: plugin/pkg/admission/nodedeclaredfeatures and component-helpers/nodedeclaredfeatures of 1.36. Of the
features that nodes declare only those two are asked for by updates; the others are the scheduler's business.
"""

from itertools import zip_longest
from typing import Any

from pilothouse.admission.about import UPDATE, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote
from pilothouse.registry.admission import AdmissionAttributes

POD_LEVEL_RESIZE = "InPlacePodLevelResourcesVerticalScaling"
INIT_CONTAINER_RESIZE = "InPlacePodVerticalScalingInitContainers"


class NodeDeclaredFeatureValidator(AdmissionPlugin):
    name = "NodeDeclaredFeatureValidator"
    about = (About((UPDATE,), ("pods", "pods/resize")),)

    def validate(self, a: AdmissionAttributes) -> None:
        """Refuse an update of the spec, as the generation tells,
        that needs what the node does not declare."""
        assert a.obj is not None and a.old is not None
        name = a.obj["spec"].get("nodeName")
        if not name or a.obj["metadata"].get("generation") == a.old["metadata"].get("generation"):
            return
        needed = _needed(a.old["spec"], a.obj["spec"])
        if not needed:
            return
        node = a.readers.get("nodes", "", name)
        if node is None:
            raise a.refuse(f"node {quote(name)} not found")
        declared = (node.get("status") or {}).get("declaredFeatures") or ()
        missing = [feature for feature in needed if feature not in declared]
        if missing:
            listed = ", ".join(missing)
            raise a.refuse(
                f"pod update requires features {listed} which are not available on node {quote(name)}"
            )


def _needed(old: Object, new: Object) -> list[str]:
    """The features that an update needs, sorted by name."""
    out = []
    if (old.get("resources") or new.get("resources")) and old.get("resources") != new.get("resources"):
        out.append(POD_LEVEL_RESIZE)
    pairs: Any = zip_longest(old.get("initContainers") or (), new.get("initContainers") or (), fillvalue={})
    if any(_is_resized(before, after) for before, after in pairs):
        out.append(INIT_CONTAINER_RESIZE)
    return out


def _is_resized(before: Any, after: Any) -> bool:
    """Whether the resources of an init container that is no sidecar differ."""
    sidecar = before.get("restartPolicy") == "Always"
    return not sidecar and (before.get("resources") or {}) != (after.get("resources") or {})
