"""Validates apps/v1: deployments, replica sets, daemon sets, controller revisions."""

from collections.abc import Callable

from pilothouse.api.validate import declare as d
from pilothouse.api.validate import percent, workloads
from pilothouse.api.validate.percent import int_or_percent
from pilothouse.api.validate.pod.options import PodOptions
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.validate.pod.spec import validate_pod_template_spec
from pilothouse.api.validate.shown import label_selector
from pilothouse.api.validate.tables.rules import Kind, Rules
from pilothouse.api.validate.workloads import (
    check_template_labels,
    compile_selector,
    fixed_selector,
    is_empty_selector,
    only_always,
    same_collisions,
    status,
    template_options,
)
from pilothouse.api.values.equality import same
from pilothouse.api.values.fields import Errors, Object

rules = Rules(
    __name__,
    workloads.rules,
    percent.rules,
    in_daemon_set=only_always("DaemonSet"),
    matching_template=lambda spec, path, errs: check_template_labels(
        spec.get("selector"), spec.get("template") or {}, f"{path}.template", errs
    ),
)
_in_replica_set = only_always("ReplicaSet")
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


# Deployments and replica sets


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
    _in_replica_set(template, "spec.template", errs)


@rules
def _not_both_zero(rolling: Object, path: str, errs: Errors) -> None:
    unavailable = rolling.get("maxUnavailable", 0)
    if int_or_percent(unavailable) == 0 and int_or_percent(rolling.get("maxSurge", 0)) == 0:
        errs.invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")


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
    same_collisions,
)
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
    spec.template                       pod-template-spec in-daemon-set
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
    same_collisions,
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
