"""Parts of the hooks of core kinds."""

from pilothouse.api.values.fields import Object


def keep(target: Object, source: Object, member: str) -> None:
    """Copy a member from the source to the target, or remove it if the source does not have it."""
    if member in source:
        target[member] = source[member]
    else:
        target.pop(member, None)
