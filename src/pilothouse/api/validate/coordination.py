"""Validates coordination.k8s.io/v1: leases."""

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import declare as d


def _strategy(strategy: str, path: str, errs: Errors) -> None:
    """The built-in one, or a qualified name with a prefix."""
    if "/" not in strategy:
        d.one_of("OldestEmulationVersion")(strategy, path, errs)
    elif strategy.count("/") == 1:
        d.matches(names.qualified_name)(strategy, path, errs)
    else:
        errs.invalid(path, strategy, "must be a fully qualified name")


def _preferred_holder(spec: Object, path: str, errs: Errors) -> None:
    if spec.get("preferredHolder") and not spec.get("strategy"):
        errs.forbidden(f"{path}.preferredHolder", "may only be specified if `strategy` is defined")


validate_lease = d.whole(
    d.given("spec.leaseDurationSeconds", d.at_least(1, "must be greater than 0")),
    d.given("spec.leaseTransitions", d.nonnegative),
    d.given("spec.strategy", _strategy),
    d.inside("spec", _preferred_holder),
)
validate_lease_update = d.anew(validate_lease)
