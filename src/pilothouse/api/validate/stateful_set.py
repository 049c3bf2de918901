"""Validates stateful sets (apis/apps/validation)."""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate import percent
from pilothouse.api.validate.common import equal, validate_annotations, validate_labels
from pilothouse.api.validate.percent import int_or_percent
from pilothouse.api.validate.persistentvolumeclaim import validate_claim_spec
from pilothouse.api.validate.pod.annotations import validate_pod_annotations
from pilothouse.api.validate.pod.options import PodOptions
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.validate.pod.spec import validate_pod_template_spec
from pilothouse.api.validate.shown import label_selector
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.validate.workloads import (
    check_template_labels,
    compile_selector,
    is_empty_selector,
    only_always,
    same_collisions,
    status,
    template_options,
)
from pilothouse.api.values.fields import Errors, Object

_FIXED = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_MUTABLE = frozenset(_FIXED.split("'")[1::2])
rules = Rules(
    __name__,
    percent.rules,
    # The spec of a new claim, which may keep none of the faults that a stored one may keep.
    claim_spec=d.apart(validate_claim_spec),
    known_management=d.holds(
        ("OrderedReady", "Parallel").__contains__, "must be 'OrderedReady' or 'Parallel'"
    ),
    not_zero=d.holds(int_or_percent, "cannot be 0"),
)
_long_running = only_always("StatefulSet")
_stateful_set = rules.kind("apps/v1 StatefulSet")("""
    spec.podManagementPolicy!           known-management
    spec.updateStrategy
      if not type
        required
      elif type == OnDelete
        rollingUpdate                   never show:api.apps.v1.RollingUpdateStatefulSetStrategy : only allowed for updateStrategy 'RollingUpdate'
      elif type != RollingUpdate
        invalid                         show:api.apps.v1.StatefulSetUpdateStrategy : must be 'RollingUpdate' or 'OnDelete'
      else
        rollingUpdate
          partition                     >=0
          maxUnavailable                int-or-percent not-zero at-most-100-percent
    spec.persistentVolumeClaimRetentionPolicy
      whenDeleted                       Retain|Delete
      whenScaled                        Retain|Delete
    if $
      spec.volumeClaimTemplates[]
        spec
          @claim-spec
    spec.replicas                       >=0
    spec.minReadySeconds                >=0
    spec.ordinals.start                 >=0
    if $
      spec.serviceName+                 dns-label
    spec.selector*                      label-selector
      if not matchLabels and not matchExpressions
        invalid                         show:label-selector : empty selector is invalid for statefulset
""")
"""Rules of a StatefulSet's spec up to its selector; `around` is whether it is new."""


def validate_stateful_set(obj: Object, old: Object | None, errs: Errors, policy: PodPolicy = STRICT) -> None:
    """Validates a new stateful set; with `old`, a changed one."""
    _stateful_set(obj, errs, old is None)
    spec = obj.get("spec") or {}
    selector, template = spec.get("selector"), spec.get("template") or {}
    if compile_selector(selector) is None:
        errs.invalid("spec.selector", label_selector(selector), "")
    else:
        if selector is None or not is_empty_selector(selector):
            check_template_labels(selector, template, "spec.template", errs)
        if old is None or not _template_faulty(old, policy):
            _stateful_set_template(spec, errs, template_options(old, policy))
        _template_metadata_again(template, errs)
    _long_running(template, "spec.template", errs)


def _template_metadata_again(template: Object, errs: Errors) -> None:
    """Labels and annotations of the template once more (ValidatePodTemplateSpecForStatefulSet)."""
    metadata = template.get("metadata") or {}
    annotations, path = metadata.get("annotations") or {}, "spec.template.annotations"
    validate_labels(metadata.get("labels"), "spec.template.labels", errs)
    validate_annotations(annotations, path, errs)
    validate_pod_annotations(annotations, template.get("spec") or {}, path, errs)


def _template_faulty(old: Object, policy: PodPolicy) -> bool:
    """Whether the stored template is older than its rules and breaks them, so that it stays allowed."""
    errs = Errors()
    _stateful_set_template(old.get("spec") or {}, errs, template_options(old, policy))
    return bool(errs)


def _stateful_set_template(spec: Object, errs: Errors, options: PodOptions) -> None:
    """The template with the claims as volumes, as pods will have it."""
    template = dict(spec.get("template") or {})
    claims = spec.get("volumeClaimTemplates") or ()
    if claims:
        pod = dict(template.get("spec") or {})
        named = dict.fromkeys((c.get("metadata") or {}).get("name", "") for c in claims)
        kept = [v for v in pod.get("volumes") or () if v.get("name", "") not in named]
        made = [{"name": n, "persistentVolumeClaim": {"claimName": n}} for n in named]
        template["spec"] = pod | {"volumes": made + kept}
    validate_pod_template_spec(template, "spec.template", errs, options)


def validate_stateful_set_update(obj: Object, old: Object, errs: Errors, policy: PodPolicy = STRICT) -> None:
    validate_stateful_set(obj, old, errs, policy)
    new, before = ({k: v for k, v in (o.get("spec") or {}).items() if k not in _MUTABLE} for o in (obj, old))
    if not equal(new, before):
        errs.forbidden("spec", _FIXED)


validate_stateful_set_status = d.change(
    status(
        "apps/v1 StatefulSet",
        "replicas readyReplicas currentReplicas updatedReplicas availableReplicas observedGeneration"
        " collisionCount",
        "readyReplicas currentReplicas updatedReplicas availableReplicas",
        "status.readyReplicas",
    ),
    same_collisions,
)
