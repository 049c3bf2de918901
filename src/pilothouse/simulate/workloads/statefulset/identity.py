"""The names, labels and claims of the pods of a stateful set."""

import re

from pilothouse.api.changes.patch import copy
from pilothouse.api.values.fields import Object
from pilothouse.simulate.workloads.pod_control import pod_of
from pilothouse.simulate.workloads.pods import IndexedPod
from pilothouse.simulate.workloads.revisions import LABEL

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"
_NAME = re.compile(r"(.*)-(0|[1-9][0-9]*)", re.DOTALL)


def ordinal_of(name: str, pod: str) -> int:
    """The ordinal in the name of a pod, -1 when it is not one of the set's."""
    found = _NAME.fullmatch(pod)
    return int(found[2]) if found is not None and found[1] == name else -1


def first_ordinal(obj: Object) -> int:
    return int((obj["spec"].get("ordinals") or {}).get("start") or 0)


def claim_names(obj: Object, ordinal: int) -> dict[str, str]:
    """The claims of a pod by the names of their templates, which are the names of volumes, too."""
    name = obj["metadata"]["name"]
    templates = obj["spec"].get("volumeClaimTemplates") or ()
    return {one["metadata"]["name"]: f"{one['metadata']['name']}-{name}-{ordinal}" for one in templates}


def pod_for(obj: Object, template: Object, revision: str, ordinal: int) -> Object:
    """The pod of an ordinal by the template of a revision."""
    name = f"{obj['metadata']['name']}-{ordinal}"
    pod = pod_of(template, obj)
    metadata, spec = pod["metadata"], pod["spec"]
    metadata["name"] = name
    metadata.setdefault("labels", {}).update({POD_NAME: name, POD_INDEX: str(ordinal), LABEL: revision})
    spec["hostname"] = name
    if obj["spec"].get("serviceName"):
        spec["subdomain"] = obj["spec"]["serviceName"]
    claims = claim_names(obj, ordinal)
    if claims:
        others = [one for one in spec.get("volumes") or () if one["name"] not in claims]
        made = [{"name": v, "persistentVolumeClaim": {"claimName": c}} for v, c in claims.items()]
        spec["volumes"] = [*made, *others]
    return pod


def claims_for(obj: Object, ordinal: int) -> list[Object]:
    """The claims that a pod needs."""
    labels = obj["spec"]["selector"].get("matchLabels") or {}
    out = []
    for template in obj["spec"].get("volumeClaimTemplates") or ():
        claim = copy(template)
        metadata = claim["metadata"]
        metadata["name"] = claim_names(obj, ordinal)[metadata["name"]]
        metadata["namespace"] = obj["metadata"]["namespace"]
        metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
        claim.pop("status", None)
        out.append({**claim, "apiVersion": "v1", "kind": "PersistentVolumeClaim"})
    return out


def has_identity(pod: IndexedPod) -> bool:
    """Whether a pod has the label that its service selects it by."""
    return pod.labels.get(POD_NAME) == pod.name
