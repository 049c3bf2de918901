"""apps/v1: deployments, replica sets, stateful sets, daemon sets, controller revisions."""

from pilothouse.api.convert.kinds import set_template_generation, template_generation
from pilothouse.api.validate.common import equal
from pilothouse.api.values import names
from pilothouse.api.values.fields import Object
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    SPEC,
    STATUS_APART,
    pod_policy,
    resource,
    spec_of,
    status_strategy,
    workload_scale,
)
from pilothouse.registry.groups.workloads import pod_template_warnings, scale_of, set_scale, workload_warnings
from pilothouse.registry.strategy import WHOLE_WITHIN, Strategy, WriteContext

__all__ = ["RESOURCES", "scale_of", "set_scale"]

GROUP = "apps"


def _prepare_daemon_set(ctx: WriteContext, obj: Object) -> None:
    set_template_generation(obj, max(1, template_generation(obj)))


def _prepare_daemon_set_update(ctx: WriteContext, obj: Object, old: Object) -> None:
    """Increment the template generation, which clients cannot set, whenever the template changes."""
    changed = not equal(spec_of(obj).get("template"), spec_of(old).get("template"))
    set_template_generation(obj, template_generation(old) + changed)


def _prepare_daemon_set_status(ctx: WriteContext, obj: Object, old: Object) -> None:
    set_template_generation(obj, template_generation(old))


def _daemon_set_warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    return pod_template_warnings(obj, old)


def _max_unavailable(obj: Object) -> Object:
    return (spec_of(obj).get("updateStrategy") or {}).get("rollingUpdate") or {}


def _prepare_stateful_set(ctx: WriteContext, obj: Object) -> None:
    """Drop maxUnavailable, because its feature gate MaxUnavailableStatefulSet is off,
    unless the old object has it."""
    _max_unavailable(obj).pop("maxUnavailable", None)


def _prepare_stateful_set_update(ctx: WriteContext, obj: Object, old: Object) -> None:
    if _max_unavailable(old).get("maxUnavailable") is None:
        _prepare_stateful_set(ctx, obj)


def _stateful_set_warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    out = pod_template_warnings(obj, old)
    for i, claim in enumerate(spec_of(obj).get("volumeClaimTemplates") or ()):
        out += rules.persistentvolumeclaim.claim_spec_warnings(
            claim.get("spec") or {}, f"spec.volumeClaimTemplates[{i}]"
        )
    if (spec_of(obj).get("revisionHistoryLimit") or 0) < 0:
        out.append(
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; "
            "a value >= 0 is recommended"
        )
    return out


DEPLOYMENT = Strategy(
    shared_on_update=("spec",),
    generation_on_create=1,
    generation_fields=(SPEC, ("metadata", "annotations")),
    validate=lambda ctx, obj, errs: rules.apps.validate_deployment(obj, None, errs, pod_policy(ctx)),
    validate_update=lambda ctx, obj, old, errs: rules.apps.validate_deployment_update(
        obj, old, errs, pod_policy(ctx)
    ),
    warnings=workload_warnings,
    **STATUS_APART,
)
REPLICA_SET = Strategy(
    shared_on_update=("spec",),
    validate=lambda ctx, obj, errs: rules.apps.validate_replica_set(obj, None, errs, pod_policy(ctx)),
    validate_update=lambda ctx, obj, old, errs: rules.apps.validate_replica_set_update(
        obj, old, errs, pod_policy(ctx)
    ),
    warnings=workload_warnings,
    **COUNTS_SPEC,
    **STATUS_APART,
)
STATEFUL_SET = Strategy(
    shared_on_update=("spec",),
    name_check=names.dns_label,
    prepare_create=_prepare_stateful_set,
    prepare_update=_prepare_stateful_set_update,
    validate=lambda ctx, obj, errs: rules.stateful_set.validate_stateful_set(
        obj, None, errs, pod_policy(ctx)
    ),
    validate_update=lambda ctx, obj, old, errs: rules.stateful_set.validate_stateful_set_update(
        obj, old, errs, pod_policy(ctx)
    ),
    warnings=_stateful_set_warnings,
    **COUNTS_SPEC,
    **STATUS_APART,
)
DAEMON_SET = Strategy(
    shared_on_update=("spec",),
    prepare_create=_prepare_daemon_set,
    prepare_update=_prepare_daemon_set_update,
    validate=lambda ctx, obj, errs: rules.apps.validate_daemon_set(obj, None, errs, pod_policy(ctx)),
    validate_update=lambda ctx, obj, old, errs: rules.apps.validate_daemon_set_update(
        obj, old, errs, pod_policy(ctx)
    ),
    warnings=_daemon_set_warnings,
    **COUNTS_SPEC,
    **STATUS_APART,
)
REVISION = Strategy(
    validate=lambda ctx, obj, errs: rules.apps.validate_controller_revision(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.apps.validate_controller_revision_update(
        obj, old, errs
    ),
    update_order=WHOLE_WITHIN,
)
_DEPLOYMENT_STATUS_KEEPS = (SPEC, ("metadata", "labels"))

RESOURCES = [
    resource(GROUP, "ControllerRevision", "controllerrevisions", "85nkx63pcBU=", REVISION, namespaced=True),
    resource(
        GROUP,
        "DaemonSet",
        "daemonsets",
        "dd7pWHUlMKQ=",
        DAEMON_SET,
        namespaced=True,
        short_names=("ds",),
        categories=("all",),
        status=status_strategy(
            DAEMON_SET,
            lambda ctx, obj, old, errs: rules.apps.validate_daemon_set_status(obj, old, errs),
            prepare_update=_prepare_daemon_set_status,
        ),
    ),
    resource(
        GROUP,
        "Deployment",
        "deployments",
        "8aSe+NMegvE=",
        DEPLOYMENT,
        namespaced=True,
        short_names=("deploy",),
        categories=("all",),
        subresources=(workload_scale(scale_of, set_scale),),
        status=status_strategy(
            DEPLOYMENT,
            lambda ctx, obj, old, errs: rules.apps.validate_deployment_status(obj, old, errs),
            keep_on_update=_DEPLOYMENT_STATUS_KEEPS,
            apply_reset=_DEPLOYMENT_STATUS_KEEPS,
        ),
    ),
    resource(
        GROUP,
        "ReplicaSet",
        "replicasets",
        "P1RzHs8/mWQ=",
        REPLICA_SET,
        namespaced=True,
        short_names=("rs",),
        categories=("all",),
        subresources=(workload_scale(scale_of, set_scale),),
        status=status_strategy(
            REPLICA_SET, lambda ctx, obj, old, errs: rules.apps.validate_replica_set_status(obj, old, errs)
        ),
    ),
    resource(
        GROUP,
        "StatefulSet",
        "statefulsets",
        "H+vl74LkKdo=",
        STATEFUL_SET,
        namespaced=True,
        short_names=("sts",),
        categories=("all",),
        subresources=(workload_scale(scale_of, set_scale),),
        status=status_strategy(
            STATEFUL_SET,
            lambda ctx, obj, old, errs: rules.stateful_set.validate_stateful_set_status(obj, old, errs),
        ),
    ),
]
