"""Short forms in which the group files write down their records and strategies."""

from collections.abc import Callable
from typing import Any

from pilothouse.api import schema
from pilothouse.api.fields import Errors, Object
from pilothouse.api.schema import Type
from pilothouse.api.validate.autoscaling import validate_scale
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.registry.resource import Action, Resource, Subresource
from pilothouse.registry.strategy import Path, Strategy, WriteContext

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
"""What the main resource of a kind with a status subresource does with that status."""

COUNTS_SPEC: dict[str, Any] = {"generation_on_create": 1, "generation_fields": (SPEC,)}
"""The usual generation: 1 at first, one more for each change of the spec."""

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
"""What metav1.ResetObjectMetaForStatus takes from the stored object."""

_DEFINITIONS = {
    "apiextensions.k8s.io": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    "apiregistration.k8s.io": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
}

Validate = Callable[[Object, Errors], None]
ValidateUpdate = Callable[[Object, Object, Errors], None]


def resource(
    group: str,
    kind: str,
    plural: str,
    storage_version_hash: str,
    strategy: Strategy,
    *,
    version: str = "v1",
    key_prefix: str = "",
    subresources: tuple[Subresource, ...] = (),
    status: Strategy | None = None,
    field_error: str = UNKNOWN_LABEL,
    namespaced: bool = False,
    **more: Any,
) -> Resource:
    """A stored resource with all verbs; `status` adds the subresource of that name."""
    named = {sub.name: sub for sub in subresources}
    if status is not None:
        named["status"] = own("status", group, version, kind, status)
    return Resource(
        group=group,
        version=version,
        plural=plural,
        kind=kind,
        singular=kind.lower(),
        namespaced=namespaced,
        verbs=ALL_VERBS,
        storage_version_hash=storage_version_hash,
        key_prefix=key_prefix or f"/registry/{plural}/",
        type_of=type_of(group, version, kind),
        strategy=strategy,
        field_error=field_error,
        subresources=named,
        **more,
    )


def own(name: str, group: str, version: str, kind: str, strategy: Strategy) -> Subresource:
    """A subresource whose body is the object itself."""
    return Subresource(name=name, kind=kind, group=group, version=version, strategy=strategy)


def scale(
    read: Callable[[Object], Object], write: Callable[[Object, Object], None], **more: Any
) -> Subresource:
    """The scale subresource: how a Scale is made of an object, and how its replicas are set in the object."""
    return Subresource(
        name="scale", kind="Scale", group="autoscaling", version="v1", read=read, write=write, **more
    )


def workload_scale(read: Callable[[Object], Object], write: Callable[[Object, Object], None]) -> Subresource:
    """The scale subresource of a built-in workload, which checks the Scale by itself."""
    return scale(read, write, validate=validate_scale)


def review(
    group: str,
    kind: str,
    plural: str,
    action: Action,
    validate: Validate | None = None,
    namespaced: bool = False,
) -> Resource:
    """A question: created, answered and not stored."""
    return Resource(
        group=group,
        version="v1",
        plural=plural,
        kind=kind,
        singular=kind.lower(),
        namespaced=namespaced,
        verbs=("create",),
        type_of=type_of(group, "v1", kind),
        strategy=Strategy(name_check=any_name, validate=validate and on_create(validate)),
        action=action,
    )


def type_of(group: str, version: str, kind: str) -> Callable[[], Type]:
    """Gives the type tree of a built-in kind when it is first asked for."""
    base = _DEFINITIONS.get(group) or f"io.k8s.api.{group.split('.', maxsplit=1)[0]}"
    return lambda: schema.builtin(f"{base}.{version}.{kind}")


def status_strategy(main: Strategy, check: ValidateUpdate | None = None, **more: Any) -> Strategy:
    """The strategy of `status`: spec stays as it is stored, the rest by the main strategy's rules."""
    more.setdefault("keep_on_update", (SPEC,))
    more.setdefault("apply_reset", (SPEC,))
    return Strategy(
        name_check=main.name_check,
        unconditional_update=main.unconditional_update,
        validate_update=check and on_update(check),
        **more,
    )


def on_create(check: Validate) -> Callable[[WriteContext, Object, Errors], None]:
    """A rule that looks at nothing but the object, as a hook."""
    return lambda ctx, obj, errs: check(obj, errs)


def on_update(check: ValidateUpdate) -> Callable[[WriteContext, Object, Object, Errors], None]:
    """A rule that looks at the new and the old object, as a hook."""
    return lambda ctx, obj, old, errs: check(obj, old, errs)


def pod_policy(ctx: WriteContext) -> PodPolicy:
    """The server's policy for pods."""
    if ctx.services is None:
        return STRICT
    return ctx.services.pod_policy


def spec_of(obj: Object) -> Object:
    """The spec, empty when the object has none."""
    return obj.get("spec") or {}


def any_name(name: str, prefix: bool = False) -> list[str]:
    """The name rule of kinds that leave the name to another rule."""
    return []
