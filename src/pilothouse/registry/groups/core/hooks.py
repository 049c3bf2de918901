"""Turns the validation functions of core kinds into strategy hooks."""

from collections.abc import Callable

from pilothouse.api import meta
from pilothouse.api.fields import Errors, Object
from pilothouse.registry.groups.records import Validate, ValidateUpdate, pod_policy
from pilothouse.registry.strategy import WriteContext

Check = Callable[[WriteContext, Object, Errors], None]
CheckUpdate = Callable[[WriteContext, Object, Object, Errors], None]


def checked(check: Callable[..., None], *, pods: bool = False) -> Check:
    """Hook that validates a new object, its finalizers first.

    With `pods`, `check` also takes the server's pod policy as its argument `policy`.
    """

    def hook(ctx: WriteContext, obj: Object, errs: Errors) -> None:
        meta.validate_finalizer_names(obj, errs)
        if pods:
            check(obj, errs, policy=pod_policy(ctx))
        else:
            check(obj, errs)

    return hook


def checked_update(check: Callable[..., None] | None, *, whole: int = 1, pods: bool = False) -> CheckUpdate:
    """Hook that validates an update; `pods` as in checked().

    `whole` is the number of times that upstream also runs the validation of new objects on an update: errors
    about metadata are reported once more for each.
    """

    def hook(ctx: WriteContext, obj: Object, old: Object, errs: Errors) -> None:
        meta.validate_finalizer_names(obj, errs)
        for _ in range(whole):
            if errs:  # a second run reports the same errors, so it is needed only if there are any
                meta.validate_create(obj, ctx.resource.namespaced, ctx.resource.strategy.name_check, errs)
                meta.validate_finalizer_names(obj, errs)
        if check is not None and pods:
            check(obj, old, errs, policy=pod_policy(ctx))
        elif check is not None:
            check(obj, old, errs)

    return hook


def updated(check: Validate) -> ValidateUpdate:
    """Validate an update by the rules for new objects only."""
    return lambda obj, old, errs: check(obj, errs)


def nothing(obj: Object, errs: Errors) -> None:
    """For kinds that validate nothing but metadata."""


def keep(target: Object, source: Object, member: str) -> None:
    """Copy a member from the source to the target, or remove it if the source does not have it."""
    if member in source:
        target[member] = source[member]
    else:
        target.pop(member, None)
