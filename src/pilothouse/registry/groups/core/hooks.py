"""How the rules of core kinds become the hooks of their strategies."""

from collections.abc import Callable

from pilothouse.api import meta
from pilothouse.api.fields import Errors, Object
from pilothouse.registry.groups.records import Validate, ValidateUpdate, pod_policy
from pilothouse.registry.strategy import WriteContext

Check = Callable[[WriteContext, Object, Errors], None]
CheckUpdate = Callable[[WriteContext, Object, Object, Errors], None]


def checked(check: Callable[..., None], *, pods: bool = False) -> Check:
    """The rules for a new object, those of its finalizers first.

    `pods`: the rules take the server's policy for pods as their argument `policy`.
    """

    def hook(ctx: WriteContext, obj: Object, errs: Errors) -> None:
        meta.validate_finalizer_names(obj, errs)
        if pods:
            check(obj, errs, policy=pod_policy(ctx))
        else:
            check(obj, errs)

    return hook


def checked_update(check: Callable[..., None] | None, *, whole: int = 1, pods: bool = False) -> CheckUpdate:
    """The rules for a change; `pods` as in checked().

    `whole` is how often upstream also asks the rules for a whole object, metadata included: each cause
    against the metadata stands there as often.
    """

    def hook(ctx: WriteContext, obj: Object, old: Object, errs: Errors) -> None:
        meta.validate_finalizer_names(obj, errs)
        for _ in range(whole):
            if errs:  # nothing to be found a second time otherwise
                meta.validate_create(obj, ctx.resource.namespaced, ctx.resource.strategy.name_check, errs)
                meta.validate_finalizer_names(obj, errs)
        if check is not None and pods:
            check(obj, old, errs, policy=pod_policy(ctx))
        elif check is not None:
            check(obj, old, errs)

    return hook


def updated(check: Validate) -> ValidateUpdate:
    """For kinds where a change is judged by the rules for new objects only."""
    return lambda obj, old, errs: check(obj, errs)


def nothing(obj: Object, errs: Errors) -> None:
    """For kinds without rules beyond those of metadata."""


def keep(target: Object, source: Object, member: str) -> None:
    """Give the target the source's member, or none when the source has none."""
    if member in source:
        target[member] = source[member]
    else:
        target.pop(member, None)
