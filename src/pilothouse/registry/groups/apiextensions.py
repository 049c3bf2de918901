"""apiextensions.k8s.io/v1: custom resource definitions."""

from dataclasses import replace

from pilothouse.api.values.fields import Errors, Object
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    SPEC,
    STATUS_APART,
    any_name,
    resource,
    status_strategy,
)
from pilothouse.registry.strategy import Strategy, WriteContext
from pilothouse.storage.keys import ROOT

GROUP = "apiextensions.k8s.io"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""The finalizer that keeps a definition until its objects are deleted."""


def _prepare_create(ctx: WriteContext, obj: Object) -> None:
    """Reset the status of a new definition to `storedVersions` with the stored version only."""
    stored = [v.get("name", "") for v in obj["spec"].get("versions") or () if v.get("storage")][:1]
    obj["status"] = {
        "acceptedNames": {"kind": "", "plural": ""},
        "conditions": None,
        "storedVersions": stored or None,
    }


def _prepare_update(ctx: WriteContext, obj: Object, old: Object) -> None:
    """Add the storage version to `status.storedVersions`, which keeps every version that was ever stored."""
    status = obj["status"]
    for version in obj["spec"].get("versions") or ():
        if version.get("storage"):
            stored = status.get("storedVersions") or []
            if version.get("name") not in stored:
                obj["status"] = {**status, "storedVersions": [*stored, version.get("name", "")]}
            break


def _validate(ctx: WriteContext, obj: Object, errs: Errors) -> None:
    for member in ("generateName", "name"):
        name = obj["metadata"].get(member)
        for wrong in (
            rules.crd_definition.definition_name(name, obj["spec"], member == "generateName") if name else ()
        ):
            errs.invalid(f"metadata.{member}", name, wrong)
    rules.crd_definition.validate_create(obj, errs)


def _validate_update(ctx: WriteContext, obj: Object, old: Object, errs: Errors) -> None:
    rules.crd_update.validate_update(obj, old, errs)


def _validate_status(ctx: WriteContext, obj: Object, old: Object, errs: Errors) -> None:
    rules.crd_definition.validate_status_update(obj, errs)


def _warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    return rules.crd_definition.warnings(obj, old)


def _mark_deleting(ctx: WriteContext, obj: Object) -> bool:
    """Mark the definition as terminating; the cleanup finalizer keeps it until its objects are deleted."""
    metadata = obj["metadata"]
    if any(c.get("type") == "Terminating" for c in obj["status"].get("conditions") or ()):
        return False
    metadata.setdefault("deletionTimestamp", ctx.now)
    finalizers = metadata.get("finalizers") or []
    if CLEANUP not in finalizers:
        metadata["finalizers"] = [*finalizers, CLEANUP]
    message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
    set_condition(obj, "Terminating", "True", "InstanceDeletionPending", message, ctx.now)
    return True


def set_condition(obj: Object, kind: str, status: str, reason: str, message: str, now: str) -> None:
    """Set a condition; its transition time changes only when its status does."""
    conditions = obj["status"]["conditions"] = list(obj["status"].get("conditions") or ())
    new = {"type": kind, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}
    for i, condition in enumerate(conditions):
        if condition.get("type") == kind:
            if condition.get("status") == status and condition.get("lastTransitionTime"):
                new["lastTransitionTime"] = condition["lastTransitionTime"]
            conditions[i] = {**condition, **new}
            return
    conditions.append(new)


DEFINITION = Strategy(
    name_check=any_name,
    unconditional_update=False,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    validate=_validate,
    validate_update=_validate_update,
    finalizer_checks=frozenset(),
    warnings=_warnings,
    mark_deleting=_mark_deleting,
    **COUNTS_SPEC,
    **STATUS_APART,
)
DEFINITION_STATUS = replace(
    status_strategy(DEFINITION, _validate_status), apply_reset=(SPEC,), keep_on_update=(SPEC,)
)

RESOURCES = [
    resource(
        GROUP,
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "jfWCUB31mvA=",
        DEFINITION,
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        key_prefix=f"{ROOT}apiextensions.k8s.io/customresourcedefinitions/",
        status=DEFINITION_STATUS,
        status_tables=False,
    ),
]
