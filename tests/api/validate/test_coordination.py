"""Validation of leases (pkg/apis/coordination/validation)."""

from rules import at, table, valid

from pilothouse.api.validate import coordination as rules

LEASE = rules.validate_lease
lease = at({}, "spec", {})
test_leases = table([
    *valid(LEASE, {}, lease(leaseDurationSeconds=1, leaseTransitions=0), lease(strategy="OldestEmulationVersion", preferredHolder="a"), lease(strategy="a.example.com/own")),
    (LEASE, lease(leaseDurationSeconds=0, leaseTransitions=-1), "spec.leaseDurationSeconds : must be greater than 0", "spec.leaseTransitions : <not negative>"),
    (LEASE, lease(strategy="Newest"), "spec.strategy |OldestEmulationVersion"),
    (LEASE, lease(strategy="A_/own"), "spec.strategy : prefix part <RFC 1123 subdomain>"),
    (LEASE, lease(strategy="a/b/c"), "spec.strategy : must be a fully qualified name"),
    (LEASE, lease(preferredHolder="a"), "spec.preferredHolder- : may only be specified if `strategy` is defined"),
    (rules.validate_lease_update, (lease(leaseTransitions=-1), lease()), "spec.leaseTransitions : <not negative>"),
])  # fmt: skip
