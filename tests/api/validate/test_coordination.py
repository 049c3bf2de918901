"""Validation of leases (pkg/apis/coordination/validation)."""

from rules import at, table

from pilothouse.api.validate import coordination as rules

LEASE = rules.validate_lease


lease = at({}, "spec", {})
test_leases = table([
    (LEASE, {}, []),
    (LEASE, lease(leaseDurationSeconds=1, leaseTransitions=0), []),
    (LEASE, lease(leaseDurationSeconds=0, leaseTransitions=-1), ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0", "spec.leaseTransitions: Invalid value: -1: <not negative>"]),
    (LEASE, lease(strategy="OldestEmulationVersion", preferredHolder="a"), []),
    (LEASE, lease(strategy="Newest"), ['spec.strategy: Unsupported value: "Newest": supported values: "OldestEmulationVersion"']),
    (LEASE, lease(strategy="a.example.com/own"), []),
    (LEASE, lease(strategy="A_/own"), ['spec.strategy: Invalid value: "A_/own": prefix part <RFC 1123 subdomain>']),
    (LEASE, lease(strategy="a/b/c"), ['spec.strategy: Invalid value: "a/b/c": must be a fully qualified name']),
    (LEASE, lease(preferredHolder="a"), ["spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined"]),
    (rules.validate_lease_update, (lease(leaseTransitions=-1), lease()), ["spec.leaseTransitions: Invalid value: -1: <not negative>"]),
])  # fmt: skip
