"""Validates what workloads have in common: selectors, pod templates, and the counters of their status."""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.pod.options import PodOptions, options_for
from pilothouse.api.validate.pod.policy import PodPolicy
from pilothouse.api.validate.pod.spec import validate_pod_template_spec
from pilothouse.api.validate.shown import sorted_map
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import selectors
from pilothouse.api.values.fields import Errors, Object
from pilothouse.errors import BadRequest

MISMATCH = "`selector` does not match template `labels`"
rules = Rules(__name__, validate_pod_template_spec)
fixed_selector = d.fixed("spec.selector", show="label-selector")


def template_options(old: Object | None, policy: PodPolicy, *path: str) -> PodOptions:
    """Exceptions for what the stored object's template has; `path` is where, if not at spec.template."""
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


def same_collisions(obj: Object, old: Object, errs: Errors) -> None:
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
