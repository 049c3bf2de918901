"""Turns the validation functions of core kinds into strategy hooks."""

from collections.abc import Callable

from pilothouse.api.values.fields import Errors, Object
from pilothouse.registry.groups.records import Validate, ValidateUpdate, pod_policy
from pilothouse.registry.strategy import WriteContext


def pods_checked(check: Callable[..., None]) -> Callable[[WriteContext, Object, Errors], None]:
    """Hook that validates a new object; the check takes the server's pod policy as its argument `policy`."""
    return lambda ctx, obj, errs: check(obj, errs, policy=pod_policy(ctx))


def pods_checked_update(check: Callable[..., None]) -> Callable[[WriteContext, Object, Object, Errors], None]:
    """Hook that validates an update; the check takes the server's pod policy as its argument `policy`."""
    return lambda ctx, obj, old, errs: check(obj, old, errs, policy=pod_policy(ctx))


def updated(check: Validate) -> ValidateUpdate:
    """Validate an update by the rules for new objects only."""
    return lambda obj, old, errs: check(obj, errs)


def nothing(obj: Object, errs: Errors) -> None:
    """Do nothing: the hook of kinds that validate nothing but metadata."""


def keep(target: Object, source: Object, member: str) -> None:
    """Copy a member from the source to the target, or remove it if the source does not have it."""
    if member in source:
        target[member] = source[member]
    else:
        target.pop(member, None)
