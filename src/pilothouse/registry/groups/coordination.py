"""coordination.k8s.io/v1: leases."""

from pilothouse.api.values.fields import Object
from pilothouse.registry._renewal import RenewedTime
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import resource, spec_of
from pilothouse.registry.strategy import Strategy, WriteContext

GROUP = "coordination.k8s.io"

_ELECTION = ("strategy", "preferredHolder")
"""Members of the disabled feature CoordinatedLeaderElection; they are dropped from new objects."""


def _prepare(ctx: WriteContext, obj: Object) -> None:
    for member in _ELECTION:
        spec_of(obj).pop(member, None)


def _prepare_update(ctx: WriteContext, obj: Object, old: Object) -> None:
    if not any(spec_of(old).get(m) is not None for m in _ELECTION):
        _prepare(ctx, obj)


LEASE = Strategy(
    finalizer_checks=frozenset(),
    create_on_update=True,
    unconditional_update=False,
    prepare_create=_prepare,
    prepare_update=_prepare_update,
    validate=lambda ctx, obj, errs: rules.coordination.validate_lease(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.coordination.validate_lease_update(obj, old, errs),
    renewal=RenewedTime("spec", "renewTime"),
)

RESOURCES = [
    resource(
        GROUP,
        "Lease",
        "leases",
        "gqkMMb/YqFM=",
        LEASE,
        namespaced=True,
    ),
]
