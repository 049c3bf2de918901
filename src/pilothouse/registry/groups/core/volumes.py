"""Strategies of persistent volumes and their claims (registry/core)."""

from pilothouse.api.values.fields import Object
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import STATUS_APART, status_strategy
from pilothouse.registry.strategy import WHOLE_WITHIN, Strategy, UpdateCheck, WriteContext


def _prepare_volume(ctx: WriteContext, obj: Object) -> None:
    obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": ctx.now}


def _prepare_volume_status(ctx: WriteContext, obj: Object, old: Object) -> None:
    """Set the time of a phase change unless the client sets it (KEP-3762)."""
    status, before = obj.setdefault("status", {}), old.get("status") or {}
    member = "lastPhaseTransitionTime"
    given, known = status.get(member), before.get(member)
    if status.get("phase") != before.get("phase"):
        if given is None or given == known:
            status[member] = ctx.now
    elif given is None and known is not None:
        status[member] = known


VOLUME = Strategy(
    **STATUS_APART,
    prepare_create=_prepare_volume,
    validate=lambda ctx, obj, errs: rules.persistentvolume.validate_volume(obj, errs),
    validate_anew=lambda ctx, obj, old, errs: rules.persistentvolume.validate_volume(obj, errs, old),
    validate_update=lambda ctx, obj, old, errs: rules.persistentvolume.validate_volume_update(obj, old, errs),
    update_order=(UpdateCheck.METADATA, UpdateCheck.ANEW, UpdateCheck.METADATA, UpdateCheck.RULES),
    warnings=lambda ctx, obj, old: rules.persistentvolume.volume_warnings(obj),
    return_deleted=True,
)
VOLUME_STATUS = status_strategy(VOLUME, None, prepare_update=_prepare_volume_status)


def _prepare_claim(ctx: WriteContext, obj: Object) -> None:
    obj["status"] = {"phase": "Pending"}
    _drop_cross_namespace(obj, None)
    _drop_unsupported(obj.get("spec") or {})
    _same_sources(obj.get("spec") or {})


def _prepare_claim_update(ctx: WriteContext, obj: Object, old: Object) -> None:
    """Set dataSourceRef on an old claim without it as well, so that the two versions compare equal."""
    before = old.get("spec") or {}
    _drop_cross_namespace(obj, old)
    if before.get("dataSource") is None and before.get("dataSourceRef") is None:
        _drop_unsupported(obj.get("spec") or {})
    _same_sources(obj.get("spec") or {})
    _same_sources(before)


def _drop_cross_namespace(obj: Object, old: Object | None) -> None:
    """Drop a reference to another namespace, unless the stored claim has a reference: the alpha feature
    CrossNamespaceVolumeDataSource is off."""
    before = ((old or {}).get("spec") or {}).get("dataSourceRef")
    reference = (obj.get("spec") or {}).get("dataSourceRef")
    if reference is not None and before is None and reference.get("namespace"):
        del obj["spec"]["dataSourceRef"]


def _drop_unsupported(spec: Object) -> None:
    """Drop a lone dataSource of an unsupported kind (EnforceDataSourceBackwardsCompatibility)."""
    source = spec.get("dataSource")
    if source is not None and spec.get("dataSourceRef") is None and not _supported_source(source):
        del spec["dataSource"]


def _same_sources(spec: Object) -> None:
    """Copy dataSource to dataSourceRef or back."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None and reference is None:
        spec["dataSourceRef"] = dict(source)
    elif reference is not None and source is None and not reference.get("namespace"):
        spec["dataSource"] = {m: reference[m] for m in ("apiGroup", "kind", "name") if m in reference}


def _supported_source(source: Object) -> bool:
    """Whether `dataSource` names a claim or a volume snapshot, the only kinds that it supports."""
    kind, group = source.get("kind"), source.get("apiGroup") or ""
    return (kind == "PersistentVolumeClaim" and not group) or (
        kind == "VolumeSnapshot" and group == "snapshot.storage.k8s.io"
    )


CLAIM = Strategy(
    **STATUS_APART,
    prepare_create=_prepare_claim,
    prepare_update=_prepare_claim_update,
    validate=lambda ctx, obj, errs: rules.persistentvolumeclaim.validate_claim(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.persistentvolumeclaim.validate_claim_update(
        obj, old, errs
    ),
    update_order=WHOLE_WITHIN,
    defaults_not_stored=lambda obj: True,  # the phase
    warnings=lambda ctx, obj, old: rules.persistentvolumeclaim.claim_warnings(obj),
    return_deleted=True,
)
CLAIM_STATUS = status_strategy(
    CLAIM,
    lambda ctx, obj, old, errs: rules.persistentvolumeclaim.validate_claim_status_update(obj, old, errs),
)
