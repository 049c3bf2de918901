"""Validates coordination.k8s.io/v1: leases."""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values.fields import Errors

rules = Rules(__name__)


@rules
def _strategy(strategy: str, path: str, errs: Errors) -> None:
    """The built-in one, or a qualified name with a prefix."""
    if "/" not in strategy:
        d.one_of("OldestEmulationVersion")(strategy, path, errs)
    elif strategy.count("/") == 1:
        d.qualified_name(strategy, path, errs)
    else:
        errs.invalid(path, strategy, "must be a fully qualified name")


validate_lease = rules.kind("coordination.k8s.io/v1 Lease")("""
    spec.leaseDurationSeconds           >=1 : must be greater than 0
    spec.leaseTransitions               >=0
    spec.strategy                       strategy
    if not spec.strategy
      spec.preferredHolder-             : may only be specified if `strategy` is defined
""")
validate_lease_update = d.anew(validate_lease)
