"""Helpers with which the group files declare their resources and strategies."""

from collections.abc import Callable
from functools import cache
from typing import Any

from pilothouse.api.types import schema
from pilothouse.api.types.schema import Type
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.values.fields import Errors, Object
from pilothouse.registry.groups import rules
from pilothouse.registry.printers.common import Columns
from pilothouse.registry.printers.tables import scale_columns
from pilothouse.registry.resource import Action, Resource, Subresource
from pilothouse.registry.strategy import Path, Strategy, WriteContext
from pilothouse.storage.keys import ROOT

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
UNKNOWN_LABEL = '"{label}" is not a known field selector: only "metadata.name", "metadata.namespace"'
SPEC: Path = ("spec",)
STATUS: Path = ("status",)
META: Path = ("metadata",)

STATUS_APART: dict[str, Any] = {
    "reset_on_create": (STATUS,),
    "keep_on_update": (STATUS,),
    "apply_reset": (STATUS,),
}
"""Strategy fields by which a kind's main resource ignores the status, because a subresource writes it."""

COUNTS_SPEC: dict[str, Any] = {"generation_on_create": 1, "generation_fields": (SPEC,)}
"""Strategy fields of the usual generation: 1 at creation, incremented by every change of the spec."""

KEPT_METADATA: tuple[Path, ...] = tuple(
    ("metadata", member)
    for member in (
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
        "deletionTimestamp",
        "generation",
        "selfLink",
    )
)
"""Metadata that a status update keeps from the stored object (metav1.ResetObjectMetaForStatus)."""

_DEFINITIONS = {
    "": "io.k8s.api.core",
    "apiextensions.k8s.io": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    "apiregistration.k8s.io": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
}

CheckUpdate = Callable[[WriteContext, Object, Object, Errors], None]


def resource(
    group: str,
    kind: str,
    plural: str,
    storage_version_hash: str,
    strategy: Strategy,
    *,
    version: str = "v1",
    verbs: tuple[str, ...] = ALL_VERBS,
    key_prefix: str = "",
    subresources: tuple[Subresource, ...] = (),
    status: Strategy | None = None,
    status_tables: bool = True,
    field_error: str = UNKNOWN_LABEL,
    namespaced: bool = False,
    **more: Any,
) -> Resource:
    """Declare a stored resource; `status` is the strategy of the `status` subresource, if any, and
    `status_tables` whether its answers may be Tables."""
    named = {sub.name: sub for sub in subresources}
    if status is not None:
        named["status"] = own("status", group, version, kind, status, tables=status_tables)
    return Resource(
        group=group,
        version=version,
        plural=plural,
        kind=kind,
        singular=kind.lower(),
        namespaced=namespaced,
        verbs=verbs,
        storage_version_hash=storage_version_hash,
        key_prefix=key_prefix or f"{ROOT}{plural}/",
        type_of=type_of(group, version, kind),
        strategy=strategy,
        field_error=field_error,
        subresources=named,
        **more,
    )


def own(
    name: str, group: str, version: str, kind: str, strategy: Strategy, *, tables: bool = True
) -> Subresource:
    """Declare a subresource whose body is the object itself."""
    return Subresource(name=name, kind=kind, group=group, version=version, strategy=strategy, tables=tables)


def scale(
    read: Callable[[Object], Object],
    write: Callable[[Object, Object], None],
    replicas: Path = ("spec", "replicas"),
    columns: Callable[[], Columns] = scale_columns,
    **more: Any,
) -> Subresource:
    """Declare the scale subresource by two functions: one makes a Scale of an object, the other sets the
    object's replicas. columns: makes those of its Table."""
    return Subresource(
        name="scale",
        kind="Scale",
        group="autoscaling",
        version="v1",
        read=read,
        write=write,
        replicas=replicas,
        columns=columns,
        **more,
    )


def _check_scale(obj: Object, errs: Errors) -> None:
    rules.autoscaling.validate_scale(obj, errs)


def workload_scale(read: Callable[[Object], Object], write: Callable[[Object, Object], None]) -> Subresource:
    """Declare the scale subresource of a built-in workload, which checks the Scale by itself."""
    return scale(read, write, validate=_check_scale)


def review(
    group: str,
    kind: str,
    plural: str,
    action: Action,
    namespaced: bool = False,
) -> Resource:
    """Declare a review: a resource that is created, answered and not stored."""
    return Resource(
        group=group,
        version="v1",
        plural=plural,
        kind=kind,
        singular=kind.lower(),
        namespaced=namespaced,
        verbs=("create",),
        type_of=type_of(group, "v1", kind),
        strategy=Strategy(name_check=any_name),
        action=action,
    )


def type_of(group: str, version: str, kind: str) -> Callable[[], Type]:
    """Returns a function that loads the type tree of a built-in kind."""
    base = _DEFINITIONS.get(group) or f"io.k8s.api.{group.split('.', maxsplit=1)[0]}"
    return cache(lambda: schema.builtin(f"{base}.{version}.{kind}"))


def status_strategy(main: Strategy, check: CheckUpdate | None = None, **more: Any) -> Strategy:
    """The strategy of `status`: it keeps the stored spec and otherwise follows the main strategy."""
    more.setdefault("keep_on_update", (SPEC,))
    more.setdefault("apply_reset", (SPEC,))
    more.setdefault("finalizer_checks", main.finalizer_checks)
    return Strategy(
        name_check=main.name_check,
        unconditional_update=main.unconditional_update,
        validate_update=check,
        **more,
    )


def pod_policy(ctx: WriteContext) -> PodPolicy:
    """The server's policy for pods (for example --allow-privileged)."""
    if ctx.services is None:
        return STRICT
    return ctx.services.pod_policy


def spec_of(obj: Object) -> Object:
    """The object's spec, {} if it has none."""
    return obj.get("spec") or {}


def any_name(name: str, prefix: bool = False) -> list[str]:
    """Name check that accepts everything, for kinds that check names elsewhere."""
    return []
