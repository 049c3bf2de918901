"""Validates coordination.k8s.io/v1: leases."""

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import report, validate_nonnegative, validate_qualified_name


def validate_lease(obj: Object, errs: Errors) -> None:
    spec = obj.get("spec") or {}
    seconds, strategy = spec.get("leaseDurationSeconds"), spec.get("strategy")
    if seconds is not None and seconds <= 0:
        errs.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    validate_nonnegative(spec.get("leaseTransitions") or 0, "spec.leaseTransitions", errs)
    if strategy is not None:
        _strategy(strategy, errs)
    if spec.get("preferredHolder") and not strategy:
        errs.forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined")


def _strategy(strategy: str, errs: Errors) -> None:
    """The strategy must be the built-in one or a qualified name."""
    if "/" not in strategy:
        if strategy != "OldestEmulationVersion":
            errs.not_supported("spec.strategy", strategy, ("OldestEmulationVersion",))
    elif strategy.count("/") == 1:
        validate_qualified_name(strategy, "spec.strategy", errs)
    else:
        report("spec.strategy", strategy, ["must be a fully qualified name"], errs)


def validate_lease_update(obj: Object, old: Object, errs: Errors) -> None:
    validate_lease(obj, errs)
