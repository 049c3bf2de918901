"""Declares which requests a plugin is asked about;
what is declared is looked at once for each kind of request."""

from collections.abc import Iterable

from pilothouse.registry.resource import Resource

CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"
WRITES = (CREATE, UPDATE)
OPERATIONS = (CREATE, UPDATE, DELETE, CONNECT)


class About:
    """Operations on some resources.

    A resource is named like `pods`, `pods/status`, `deployments.apps` or `deployments.apps/scale`. `pods/*`
    stands for pods and all their subresources, `*` for every resource, `*/*` for every resource and
    subresource. `but` names those that are left out all the same.
    """

    def __init__(self, operations: Iterable[str], resources: Iterable[str], but: Iterable[str] = ()) -> None:
        self.operations = frozenset(operations)
        self.resources = frozenset(resources)
        self.but = frozenset(but)

    def covers(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Whether the declaration covers a request."""
        if operation not in self.operations:
            return False
        named = names(resource, subresource)
        return not self.resources.isdisjoint(named) and self.but.isdisjoint(named)


def names(resource: Resource, subresource: str) -> tuple[str, ...]:
    """The names that stand for a resource, or for a subresource of it."""
    plain = resource.group_resource
    if subresource:
        return f"{plain}/{subresource}", f"{plain}/*", "*/*"
    return plain, f"{plain}/*", "*", "*/*"


EVERYTHING = (About(OPERATIONS, ("*/*",)),)
