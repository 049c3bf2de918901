"""Validates pod annotations with a meaning: mirror pods, deletion cost, deprecated security profiles."""

import json
import re
from collections.abc import Iterable, Mapping

from pilothouse.api.validate.paths import validate_descending
from pilothouse.api.validate.pod.options import DELETION_COST, is_int32
from pilothouse.api.validate.pod.scheduling import validate_tolerations
from pilothouse.api.validate.pod.visit import containers, visit
from pilothouse.api.values.fields import Errors, Object, key
from pilothouse.gotext import quote

MIRROR = "kubernetes.io/config.mirror"
TOLERATIONS = "scheduler.alpha.kubernetes.io/tolerations"
SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
PROFILE = re.compile("|".join(map(re.escape, (SECCOMP_POD, SECCOMP_CONTAINER, APPARMOR)))).match
"""Whether the name of an annotation may be one about a profile."""


def validate_pod_annotations(
    annotations: Mapping[str, str], spec: Object, path: str, errs: Errors, *, any_cost: bool = False
) -> None:
    if not may_matter(annotations):
        return
    if MIRROR in annotations and not spec.get("nodeName"):
        why = "must set spec.nodeName if mirror pod annotation is set"
        errs.invalid(key(path, MIRROR), annotations[MIRROR], why)
    if annotations.get(TOLERATIONS):
        _tolerations(annotations[TOLERATIONS], path, errs)
    cost = annotations.get(DELETION_COST)
    if cost is not None and not any_cost and not is_int32(cost):
        errs.invalid(key(path, DELETION_COST), cost, "must be a 32bit integer")
    if SECCOMP_POD in annotations:
        _seccomp(annotations[SECCOMP_POD], f"{path}.{SECCOMP_POD}", errs)
    profiles = sorted(filter(PROFILE, annotations))
    for name in profiles:
        if name.startswith(SECCOMP_CONTAINER):
            _seccomp(annotations[name], f"{path}.{name}", errs)
    known: set[str] | None = None
    for name in profiles:
        if name.startswith(APPARMOR):
            if known is None:
                known = {c.get("name", "") for c in containers(spec)}
            container, value = name.removeprefix(APPARMOR), annotations[name]
            if container not in known:
                errs.invalid(key(path, name), container, "container not found")
            if value not in ("", "runtime/default", "unconfined") and not value.startswith("localhost/"):
                errs.invalid(key(path, name), value, f"invalid AppArmor profile name: {quote(value)}")


def may_matter(annotations: Iterable[str]) -> bool:
    """Whether annotations with these names may have a meaning for pods.

    PERF: one search through all names; nearly all pods have none, and few have one of Kubernetes.
    """
    return "kubernetes.io/" in "\n".join(annotations)


def _tolerations(text: str, path: str, errs: Errors) -> None:
    try:
        tolerations = json.loads(text)
        if not isinstance(tolerations, list) or not all(isinstance(t, dict) for t in tolerations):
            raise ValueError("json: cannot unmarshal into Go value of type []core.Toleration")
    except RecursionError:
        errs.invalid(path, TOLERATIONS, "exceeded max depth")
    except ValueError as err:
        errs.invalid(path, TOLERATIONS, str(err))
    else:
        validate_tolerations(tolerations, f"{path}.{TOLERATIONS}", errs)


def _seccomp(profile: str, path: str, errs: Errors) -> None:
    if profile in ("runtime/default", "docker/default", "unconfined"):
        return
    if profile.startswith("localhost/"):
        validate_descending(profile.removeprefix("localhost/"), path, errs)
    else:
        errs.invalid(path, profile, "must be a valid seccomp profile")


def validate_annotations_match_fields(
    annotations: Mapping[str, str], spec: Object, path: str, errs: Errors
) -> None:
    """Check that profiles given by both annotation and field are the same."""
    if not may_matter(annotations) or not any(map(PROFILE, annotations)):
        return
    pod = spec.get("securityContext") or {}
    listed = list(visit(spec, path))
    if SECCOMP_POD in annotations:
        at = f"{path}.securityContext.seccompProfile"
        _match(annotations[SECCOMP_POD], pod.get("seccompProfile"), at, errs, "seccomp")
    for container, where in listed:
        own = (container.get("securityContext") or {}).get("seccompProfile")
        text = annotations.get(SECCOMP_CONTAINER + container.get("name", ""))
        if text is not None:
            _match(text, own, f"{where}.securityContext.seccompProfile", errs, "seccomp")
    if (spec.get("os") or {}).get("name") == "windows":
        return
    for container, where in listed:
        own = (container.get("securityContext") or {}).get("appArmorProfile") or pod.get("appArmorProfile")
        text = annotations.get(APPARMOR + container.get("name", ""))
        if text is not None:
            _match(text, own, f"{where}.securityContext.appArmorProfile", errs, "apparmor")


def _match(text: str, profile: Object | None, path: str, errs: Errors, what: str) -> None:
    if profile is None:
        return
    kind, file = profile.get("type", ""), profile.get("localhostProfile")
    defaults = ("runtime/default", "docker/default") if what == "seccomp" else ("runtime/default",)
    if kind == "Unconfined":
        same = text == "unconfined"
    elif kind == "RuntimeDefault":
        same = text in defaults
    elif kind == "Localhost":
        same = text.startswith("localhost/")
    else:
        return
    if not same:
        errs.forbidden(f"{path}.type", f"{what} type in annotation and field must match")
    elif kind == "Localhost" and (file is None or text != f"localhost/{file}"):
        errs.forbidden(f"{path}.localhostProfile", f"{what} profile in annotation and field must match")


def validate_annotation_updates(
    new: Mapping[str, str], old: Mapping[str, str], path: str, errs: Errors
) -> None:
    """Check that AppArmor and mirror annotations are unchanged."""
    if not may_matter((*old, *new)):
        return
    for name, value in sorted(old.items()):
        if new.get(name) == value:
            continue
        if name.startswith(APPARMOR):
            errs.forbidden(key(path, name), "may not remove or update AppArmor annotations")
        if name == MIRROR:
            errs.forbidden(key(path, name), "may not remove or update mirror pod annotation")
    for name in sorted(new.keys() - old.keys()):
        if name.startswith(APPARMOR):
            errs.forbidden(key(path, name), "may not add AppArmor annotations")
        if name == MIRROR:
            errs.forbidden(key(path, name), "may not add mirror pod annotation")
