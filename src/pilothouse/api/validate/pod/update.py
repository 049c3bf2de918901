"""Validates changes of pods: by update, through ephemeralcontainers and through resize."""

from collections.abc import Sequence

from pilothouse.api.changes._fieldset import same
from pilothouse.api.validate.common import copy_members, equal
from pilothouse.api.validate.diff import diff
from pilothouse.api.validate.pod.annotations import (
    MIRROR,
    validate_annotation_updates,
    validate_pod_annotations,
)
from pilothouse.api.validate.pod.options import PodOptions, deletion_cost_bad, options_for
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.validate.pod.resources import quality_of_service
from pilothouse.api.validate.pod.scheduling import (
    validate_added_tolerations,
    validate_deleted_gates,
    validate_node_affinity_additions,
    validate_node_selector_additions,
)
from pilothouse.api.validate.pod.spec import validate_pod_metadata_and_spec
from pilothouse.api.validate.resources import COMPUTE
from pilothouse.api.validate.shown import go
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.pod_resources import is_sidecar

UPDATABLE = (
    "`spec.containers[*].image`",
    "`spec.initContainers[*].image`",
    "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
)
_MAX_INT32 = 2**31 - 1


def pod_options(old: Object, policy: PodPolicy) -> PodOptions:
    """The options for a change of a pod."""
    return options_for(old.get("spec"), old.get("metadata"), is_pod=True, policy=policy)


def _annotations(pod: Object) -> Object:
    return pod["metadata"].get("annotations") or {}


def validate_pod_update(pod: Object, old: Object, errs: Errors, policy: PodPolicy = STRICT) -> None:
    """Images, a shorter deadline, more tolerations, fewer gates; with gates also stricter placement."""
    spec, before = pod.get("spec") or {}, old.get("spec") or {}
    if same(spec, before) and policy.found_valid(pod):
        _annotations_alone(pod, old, errs)
        return
    options = pod_options(old, policy)
    known = len(errs)
    validate_pod_metadata_and_spec(pod, errs, options)
    if len(errs) == known:
        policy.remember_valid(pod)
    validate_annotation_updates(_annotations(pod), _annotations(old), "metadata.annotations", errs)
    any_cost = options.allow_invalid_deletion_cost
    validate_pod_annotations(_annotations(pod), spec, "metadata.annotations", errs, any_cost=any_cost)
    for member in ("containers", "initContainers"):
        if not _images(spec.get(member) or [], before.get(member) or [], f"spec.{member}", errs):
            return
    if not _deadline(spec, before, errs):
        return
    tolerations = (spec.get("tolerations") or [], before.get("tolerations") or [])
    validate_added_tolerations(*tolerations, "spec.tolerations", errs)
    gates = (spec.get("schedulingGates") or [], before.get("schedulingGates") or [])
    validate_deleted_gates(*gates, "spec.schedulingGates", errs)
    if equal(spec, before):
        return
    munged = _without_allowed_changes(spec, before)
    if gates[1]:
        _gated(munged, before, errs)
    if not equal(munged, before):
        text = ",".join(UPDATABLE)
        shown = diff(*(go(s, "api.core.v1.PodSpec") for s in (before, munged)))
        what = f"pod updates may not change fields other than {text}\n{shown}"
        errs.forbidden("spec", what)


def _annotations_alone(pod: Object, old: Object, errs: Errors) -> None:
    """Validates the annotations of an update that leaves a valid spec unchanged."""
    new, before = _annotations(pod), _annotations(old)
    if new == before:
        return
    spec, any_cost = pod["spec"], deletion_cost_bad(old["metadata"])
    validate_pod_annotations(new, spec, "metadata.annotations", errs, any_cost=any_cost)
    validate_annotation_updates(new, before, "metadata.annotations", errs)
    validate_pod_annotations(new, spec, "metadata.annotations", errs, any_cost=any_cost)


def _annotations_again(pod: Object, old: Object, errs: Errors) -> None:
    """Validates annotations once more: upstream does so with the metadata and with their changes."""
    spec, any_cost = pod.get("spec") or {}, deletion_cost_bad(old["metadata"])
    validate_pod_annotations(_annotations(pod), spec, "metadata.annotations", errs, any_cost=any_cost)


def _images(new: Sequence[Object], old: Sequence[Object], path: str, errs: Errors) -> bool:
    """Validates changed images; False if the number of containers differs, which stops the comparison."""
    if len(new) != len(old):
        errs.forbidden(path, "pod updates may not add or remove containers")
        return False
    for i, container in enumerate(new):
        image = container.get("image", "")
        if not image:
            errs.required(f"{path}[{i}].image")
        if image != image.strip():
            errs.invalid(f"{path}[{i}].image", image, "must not have leading or trailing whitespace")
    return True


def _deadline(spec: Object, before: Object, errs: Errors) -> bool:
    new, old = spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    path = "spec.activeDeadlineSeconds"
    if new is None:
        if old is not None:
            errs.invalid(path, None, "must not update from a positive integer to nil value")
        return True
    if not 0 <= new <= _MAX_INT32:
        errs.invalid(path, new, names.in_range(0, _MAX_INT32))
        return False
    if old is not None and old < new:
        errs.invalid(path, new, "must be less than or equal to previous value")
        return False
    return True


def _without_allowed_changes(spec: Object, before: Object) -> Object:
    """The new spec with the old values of all mutable fields."""
    munged = dict(spec)
    for member in ("containers", "initContainers"):
        if spec.get(member):
            munged[member] = [dict(container) for container in spec[member]]
        for container, old in zip(munged.get(member) or (), before.get(member) or (), strict=True):
            copy_members(container, old, "image")
    copy_members(munged, before, "activeDeadlineSeconds", "schedulingGates", "tolerations")
    grace = "terminationGracePeriodSeconds"
    if (before.get(grace) or 0) < 0 and munged.get(grace) == 1:
        munged[grace] = before[grace]
    return munged


def _gated(munged: Object, before: Object, errs: Errors) -> None:
    """The placement of a pod with scheduling gates may become stricter."""
    new, old = munged.get("nodeSelector") or {}, before.get("nodeSelector") or {}
    if new != old:
        validate_node_selector_additions(new, old, "spec.nodeSelector", errs)
        copy_members(munged, before, "nodeSelector")
    affinity, old_affinity = munged.get("affinity"), before.get("affinity")
    node, old_node = (affinity or {}).get("nodeAffinity"), (old_affinity or {}).get("nodeAffinity")
    if equal(node, old_node) and (node is None) == (old_node is None):
        return
    validate_node_affinity_additions(node, old_node, "spec.affinity.nodeAffinity", errs)
    if affinity is None:
        munged["affinity"] = {"nodeAffinity": old_node}
    elif old_affinity is None and not affinity.get("podAffinity") and not affinity.get("podAntiAffinity"):
        del munged["affinity"]
    else:
        munged["affinity"] = dict(affinity)
        copy_members(munged["affinity"], old_affinity or {}, "nodeAffinity")


def validate_ephemeral_update(pod: Object, old: Object, errs: Errors, policy: PodPolicy = STRICT) -> None:
    """Ephemeral containers can be added, but not changed or removed."""
    if MIRROR in _annotations(old):
        errs.clear()
        errs.forbidden("", "static pods do not support ephemeral containers")
        return
    validate_pod_metadata_and_spec(pod, errs, pod_options(old, policy))
    validate_annotation_updates(_annotations(pod), _annotations(old), "metadata.annotations", errs)
    _annotations_again(pod, old, errs)
    found = {c.get("name", ""): c for c in (pod.get("spec") or {}).get("ephemeralContainers") or ()}
    path = "spec.ephemeralContainers"
    for container in (old.get("spec") or {}).get("ephemeralContainers") or ():
        name = container.get("name", "")
        what = f'existing ephemeral containers "{name}" may not be'
        if name not in found:
            errs.forbidden(path, f"{what} removed\n")
        elif not equal(found[name], container):
            shown = diff(*(go(c, "api.core.v1.EphemeralContainer") for c in (container, found[name])))
            errs.forbidden(path, f"{what} changed\n{shown}")


def validate_resize(pod: Object, old: Object, errs: Errors, policy: PodPolicy = STRICT) -> None:
    """Check that only cpu and memory change, that nothing is removed, and that the QoS class stays."""
    spec, before = pod.get("spec") or {}, old.get("spec") or {}
    refusal = ""
    if MIRROR in _annotations(old):
        refusal = "static pods cannot be resized"
    elif (before.get("os") or {}).get("name") == "windows":
        refusal = "windows pods cannot be resized"
    if refusal:
        errs.clear()
        errs.forbidden("", refusal)
        return
    validate_pod_metadata_and_spec(pod, errs, pod_options(old, policy))
    quality = (old.get("status") or {}).get("qosClass") or quality_of_service(before)
    if quality != quality_of_service(spec):
        shown = (pod.get("status") or {}).get("qosClass", "")
        errs.invalid("spec", shown, "Pod QOS Class may not change as a result of resizing")
    if not _supports_resize(old):
        errs.forbidden("spec", "Pod running on node without support for resize")
    _resized_pod_level(spec, before, errs)
    if not _same_containers(spec, before, errs):
        return
    munged = dict(spec)
    for member in ("initContainers", "containers"):
        if spec.get(member):
            munged[member] = [dict(container) for container in spec[member]]
        new, listed = munged.get(member) or [], before.get(member) or []
        for i, container in enumerate(listed):
            path = f"spec.{member}[{i}].resources"
            _removed(new[i].get("resources") or {}, container.get("resources") or {}, path, errs)
    _only_compute_changed(munged, before, errs)
    if not errs and not equal(munged, before):
        errs.forbidden("spec", "only cpu and memory resources are mutable")


def _same_containers(spec: Object, before: Object, errs: Errors) -> bool:
    """Whether the containers are the same in the same order (validatePodResizeContainerOrdering)."""
    count = len(errs)
    for member in ("containers", "initContainers"):
        new, old = spec.get(member) or [], before.get(member) or []
        if len(new) != len(old):
            errs.forbidden(f"spec.{member}", f"{member} may not be added or removed on resize")
            continue
        for i, (one, two) in enumerate(zip(new, old, strict=True)):
            if one.get("name", "") != two.get("name", ""):
                path = f"spec.{member}[{i}].name"
                errs.forbidden(path, f"{member} may not be renamed or reordered on resize")
    return len(errs) == count


def _supports_resize(pod: Object) -> bool:
    """Whether the node supports resize: if not, a running container has no `resources` in its status."""
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if (status.get("state") or {}).get("running") is not None:
            return status.get("resources") is not None
    return True


def _removed(new: Object, old: Object, path: str, errs: Errors) -> None:
    for member in ("requests", "limits"):
        if set(old.get(member) or ()) - set(new.get(member) or ()):
            errs.forbidden(f"{path}.{member}", f"resource {member} cannot be removed")


def _resized_pod_level(spec: Object, before: Object, errs: Errors) -> None:
    """Pod-level requests and limits follow the same rules (KEP-5419)."""
    new, old = spec.get("resources") or {}, before.get("resources") or {}
    _removed(new, old, "spec.resources", errs)
    if not equal(_with_compute(new, old), old):
        errs.forbidden("spec.resources", "only cpu and memory resources are mutable")


def _with_compute(new: Object, old: Object) -> Object:
    """The new requirements with the old cpu and memory."""
    out = dict(new)
    for member in ("requests", "limits"):
        listed = {k: v for k, v in (new.get(member) or {}).items() if k not in COMPUTE}
        listed |= {k: v for k, v in (old.get(member) or {}).items() if k in COMPUTE}
        if listed:
            out[member] = listed
        else:
            out.pop(member, None)
    return out


def _only_compute_changed(munged: Object, before: Object, errs: Errors) -> None:
    """Reset cpu and memory of all containers; any remaining difference is a change of immutable fields."""
    what = {
        "containers": "only cpu and memory resources are mutable",
        "initContainers": "only cpu and memory resources for sidecar containers are mutable",
    }
    for member, text in what.items():
        for container, old in zip(munged.get(member) or (), before.get(member) or (), strict=True):
            container["resources"] = _with_compute(
                container.get("resources") or {}, old.get("resources") or {}
            )
            if not equal(container, old):
                plain = member == "initContainers" and not is_sidecar(container)
                errs.forbidden("spec", "only cpu and memory resources are mutable" if plain else text)
    if munged.get("resources") is not None or before.get("resources") is not None:
        restored = _with_compute(munged.get("resources") or {}, before.get("resources") or {})
        if equal(restored, before.get("resources") or {}):
            copy_members(munged, before, "resources")
