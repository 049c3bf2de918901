"""Validates apps/v1: deployments, replica sets, stateful sets, daemon sets, controller revisions."""

from collections.abc import Callable
from typing import Any

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import equal, report, validate_annotations, validate_labels
from pilothouse.api.validate.persistentvolumeclaim import validate_claim_spec
from pilothouse.api.validate.pod.annotations import validate_pod_annotations
from pilothouse.api.validate.pod.options import PodOptions, options_for
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.validate.pod.spec import validate_pod_template_spec
from pilothouse.api.validate.shown import label_selector, sorted_map
from pilothouse.api.validate.tables.rules import Kind, Rules
from pilothouse.api.values import names, selectors
from pilothouse.api.values.equality import same
from pilothouse.api.values.fields import Errors, Object
from pilothouse.errors import BadRequest

MISMATCH = "`selector` does not match template `labels`"
STATEFUL_SET_FIXED = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_STATEFUL_SET_MUTABLE = frozenset(STATEFUL_SET_FIXED.split("'")[1::2])

rules = Rules(
    __name__,
    validate_pod_template_spec,
    claim_spec=d.apart(
        validate_claim_spec
    ),  # as of a new claim, which may keep nothing that a stored one may
    matching_template=lambda spec, path, errs: check_template_labels(
        spec.get("selector"), spec.get("template") or {}, f"{path}.template", errs
    ),
    known_management=d.holds(
        ("OrderedReady", "Parallel").__contains__, "must be 'OrderedReady' or 'Parallel'"
    ),
)


def template_options(old: Object | None, policy: PodPolicy, *path: str) -> PodOptions:
    """Exceptions for values that the stored object's template has;
    `path` is where, if not at spec.template."""
    template = d.found(old, path or ("spec", "template"), {})
    return options_for(template.get("spec"), template.get("metadata"), policy=policy)


def template_labels(template: Object) -> dict[str, str] | None:
    """The labels of a pod template; None if it has none, as messages show it."""
    return sorted_map((template.get("metadata") or {}).get("labels"))


def compile_selector(selector: Object | None) -> selectors.Selector | None:
    """Compile a LabelSelector for matching; None if it is invalid (LabelSelectorAsSelector fails)."""
    try:
        return selectors.from_label_selector(selector)
    except BadRequest:
        return None


def is_empty_selector(selector: Object) -> bool:
    return not selector.get("matchLabels") and not selector.get("matchExpressions")


def check_template_labels(selector: Object | None, template: Object, path: str, errs: Errors) -> None:
    """Check that the selector matches the labels of the template at `path`."""
    compiled = compile_selector(selector)
    if compiled is not None and not compiled.matches_labels(template_labels(template) or {}):
        errs.invalid(f"{path}.metadata.labels", template_labels(template), MISMATCH)


def only_always(kind: str) -> d.Rule:
    """Refuses pod settings that the templates of long-running workloads may not have."""
    return rules.table("api.core.v1.PodTemplateSpec")(f"""
        spec.restartPolicy               only:Always
        spec.activeDeadlineSeconds-?     : activeDeadlineSeconds in {kind} is not Supported
    """)


for _kind in ("ReplicaSet", "StatefulSet", "DaemonSet"):
    rules.add(f"in-{_kind}", only_always(_kind))


def _collisions(obj: Object, old: Object, errs: Errors) -> None:
    """The collision count is neither decreased nor removed."""
    new, before = (d.found(o, ("status", "collisionCount")) for o in (obj, old))
    if before is not None and (new is None or new < before):
        errs.invalid("status.collisionCount", new or 0, "cannot be decremented")


def status(kind: str, counts: str, within: str = "", ready: str = "") -> d.Change:
    """The rules of a kind's status with counters, which must not be negative. within: those that must not
    exceed `replicas`; ready: the name for what the available replicas must not exceed."""
    lines = [f"status.{member} >=0" for member in counts.split()]
    lines += [
        f"status.{member} <=.replicas : cannot be greater than status.replicas" for member in within.split()
    ]
    if ready:
        lines.append(f"status.availableReplicas <=.readyReplicas : cannot be greater than {ready}")
    return rules.change(kind)("\n".join(lines))


# Numbers or percentages


@rules
def validate_int_or_percent(value: Any, path: str, errs: Errors) -> None:
    """Check a non-negative number or a text such as `25%` (ValidatePositiveIntOrPercent)."""
    if isinstance(value, str):
        report(path, value, names.percent(value), errs)
    else:
        d.nonnegative(value or 0, path, errs)


_MAX_INT = 2**63 - 1


def _atoi(text: str) -> int:
    """The number in a text of digits; like Go's Atoi, one that is too large becomes the maximum."""
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    digits = digits.lstrip("0")
    return sign * (min(int(digits or "0"), _MAX_INT) if len(digits) < 20 else _MAX_INT)


def _percent(value: Any) -> int | None:
    if isinstance(value, str) and not names.percent(value):
        return _atoi(value[:-1])
    return None


def int_or_percent(value: Any) -> int:
    """The number, without a percent sign; other texts count as the result of Atoi."""
    percent = _percent(value)
    if percent is not None:
        return percent
    if isinstance(value, str):
        return 0 if names.decimal_integer(value) else _atoi(value)
    return value or 0


@rules
def validate_at_most_100_percent(value: Any, path: str, errs: Errors) -> None:
    percent = _percent(value)
    if percent is not None and percent > 100:
        errs.invalid(path, value, "must not be greater than 100%")


rules.add("not-zero", d.holds(int_or_percent, "cannot be 0"))

# Deployments


@rules
def _replicated_template(spec: Object, path: str, errs: Errors, options: PodOptions) -> None:
    """Template and selector of deployments and replica sets, after the selector's own rules."""
    selector, template = spec.get("selector"), spec.get("template") or {}
    if compile_selector(selector) is None:
        errs.invalid("spec.selector", label_selector(selector), "invalid label selector")
        return
    if selector is None or not is_empty_selector(selector):
        check_template_labels(selector, template, "spec.template", errs)
    validate_pod_template_spec(template, "spec.template", errs, options)
    rules["in-ReplicaSet"](template, "spec.template", errs)


@rules
def _not_both_zero(rolling: Object, path: str, errs: Errors) -> None:
    unavailable = rolling.get("maxUnavailable", 0)
    if int_or_percent(unavailable) == 0 and int_or_percent(rolling.get("maxSurge", 0)) == 0:
        errs.invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")


fixed_selector = d.fixed("spec.selector", show="label-selector")
OfWorkload = Callable[..., None]
"""Rules of (new, old or None, errors, policy for pods)."""


def _workload(rules: Kind, selector_first: bool = False) -> tuple[OfWorkload, OfWorkload]:
    """The rules of a workload for a new object and for a changed one, whose selector must not change."""

    def validate(obj: Object, old: Object | None, errs: Errors, policy: PodPolicy = STRICT) -> None:
        rules(obj, errs, template_options(old, policy))

    def validate_update(obj: Object, old: Object, errs: Errors, policy: PodPolicy = STRICT) -> None:
        if selector_first:
            fixed_selector(obj, old, errs)
        validate(obj, old, errs, policy)
        if not selector_first:
            fixed_selector(obj, old, errs)

    return validate, validate_update


validate_deployment, validate_deployment_update = _workload(
    rules.kind("apps/v1 Deployment")("""
    spec.replicas                       >=0
    spec.selector*                      label-selector
      if not matchLabels and not matchExpressions
        invalid                         show:label-selector : empty selector is invalid for deployment
    spec
      @replicated-template
    spec.strategy                       by:type show:api.apps.v1.DeploymentStrategy
      when Recreate
        rollingUpdate-?                 : may not be specified when strategy `type` is 'Recreate'
      when RollingUpdate
        rollingUpdate*                  : this should be defaulted and never be nil
          maxUnavailable                int-or-percent
          maxSurge                      int-or-percent
          @not-both-zero
          maxUnavailable                at-most-100-percent
    spec.minReadySeconds                >=0
    spec.revisionHistoryLimit           >=0
    spec.progressDeadlineSeconds        >=0
    spec.progressDeadlineSeconds        >.minReadySeconds : must be greater than minReadySeconds
""")
)
validate_deployment_status = d.change(
    status(
        "apps/v1 Deployment",
        "observedGeneration replicas updatedReplicas readyReplicas availableReplicas unavailableReplicas"
        " collisionCount",
        "updatedReplicas readyReplicas availableReplicas",
        "readyReplicas",
    ),
    _collisions,
)

# Replica sets

validate_replica_set, validate_replica_set_update = _workload(
    rules.kind("apps/v1 ReplicaSet")("""
    spec.replicas                       >=0
    spec.minReadySeconds                >=0
    spec.selector*                      label-selector
      if not matchLabels and not matchExpressions
        invalid                         show:label-selector : empty selector is invalid for deployment
    spec
      @replicated-template
""")
)
validate_replica_set_status = status(
    "apps/v1 ReplicaSet|v1 ReplicationController",
    "replicas fullyLabeledReplicas readyReplicas availableReplicas observedGeneration",
    "fullyLabeledReplicas readyReplicas availableReplicas",
    "readyReplicas",
)

# Stateful sets


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
    rules["in-StatefulSet"](template, "spec.template", errs)


def _template_metadata_again(template: Object, errs: Errors) -> None:
    """The template's labels and annotations once more,
    as upstream does (ValidatePodTemplateSpecForStatefulSet)."""
    metadata = template.get("metadata") or {}
    annotations, path = metadata.get("annotations") or {}, "spec.template.annotations"
    validate_labels(metadata.get("labels"), "spec.template.labels", errs)
    validate_annotations(annotations, path, errs)
    validate_pod_annotations(annotations, template.get("spec") or {}, path, errs)


def _template_faulty(old: Object, policy: PodPolicy) -> bool:
    """Whether the stored template breaks the rules:
    from before they were applied, so that it stays allowed."""
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
    new, before = (
        {k: v for k, v in (o.get("spec") or {}).items() if k not in _STATEFUL_SET_MUTABLE} for o in (obj, old)
    )
    if not equal(new, before):
        errs.forbidden("spec", STATEFUL_SET_FIXED)


validate_stateful_set_status = d.change(
    status(
        "apps/v1 StatefulSet",
        "replicas readyReplicas currentReplicas updatedReplicas availableReplicas observedGeneration"
        " collisionCount",
        "readyReplicas currentReplicas updatedReplicas availableReplicas",
        "status.readyReplicas",
    ),
    _collisions,
)

# Daemon sets


@rules
def _either(rolling: Object, path: str, errs: Errors) -> None:
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    if int_or_percent(unavailable) and int_or_percent(surge):
        errs.invalid(f"{path}.maxSurge", surge, "may not be set when maxUnavailable is non-zero")
    elif not int_or_percent(unavailable) and not int_or_percent(surge):
        errs.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")


validate_daemon_set, validate_daemon_set_update = _workload(
    rules.kind("apps/v1 DaemonSet")("""
    spec.selector                       $allow_invalid_selector_values?any-selector:label-selector
    spec
      @matching-template
    if spec.selector given
      spec.selector
        if not matchLabels and not matchExpressions
          invalid                       show:label-selector : empty selector is invalid for daemonset
    spec.template                       pod-template-spec in-DaemonSet
    spec.minReadySeconds                >=0
    spec.updateStrategy                 by:type show:api.apps.v1.DaemonSetUpdateStrategy
      when RollingUpdate
        rollingUpdate*
          maxUnavailable                int-or-percent
          maxSurge                      int-or-percent
          maxUnavailable                at-most-100-percent
          maxSurge                      at-most-100-percent
          @either
      when OnDelete
    spec.revisionHistoryLimit           >=0
"""),
    selector_first=True,
)
validate_daemon_set_status = d.change(
    status(
        "apps/v1 DaemonSet",
        "currentNumberScheduled numberMisscheduled desiredNumberScheduled numberReady observedGeneration"
        " updatedNumberScheduled numberAvailable numberUnavailable collisionCount",
    ),
    _collisions,
)

# Controller revisions

_revision = rules.kind("apps/v1 ControllerRevision")("revision >=0")


def validate_controller_revision(obj: Object, errs: Errors) -> None:
    """A new one; data is an object."""
    _revision(obj, errs)
    data = obj.get("data")
    if data is None:
        errs.required("data", "data is mandatory")
    elif not isinstance(data, dict):
        errs.required("data", "data must be a valid JSON object")


def validate_controller_revision_update(obj: Object, old: Object, errs: Errors) -> None:
    """Data is what it was: earlier versions have stored anything."""
    _revision(obj, errs)
    if not same(obj.get("data"), old.get("data")):
        errs.invalid("data", obj.get("data"), "field is immutable")
