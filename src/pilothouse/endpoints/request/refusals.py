"""The 404 and 405 errors for requests that no handler serves, with upstream's messages."""

from pilothouse import errors
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Response

NOT_FOUND = "the server could not find the requested resource"
METHOD_NOT_ALLOWED = "the server does not allow this method on the requested resource"


def page_not_found() -> Response:
    """The 404 of a path that no handler claims."""
    return Response(
        404,
        b"404 page not found\n",
        "text/plain; charset=utf-8",
        [("X-Content-Type-Options", "nosniff")],
    )


def path_not_found() -> errors.NotFound:
    """The 404 of a path that does not exist in a group that is served."""
    return errors.NotFound(NOT_FOUND, details={})


def method_not_allowed() -> errors.MethodNotAllowed:
    """The 405 of the router: the path exists, the method does not."""
    return errors.MethodNotAllowed(METHOD_NOT_ALLOWED, details={})


def outside(resource: Resource) -> Response:
    """The answer to a path that names a resource in the wrong scope, or goes on behind it."""
    if resource.conventions.routed:
        raise path_not_found()
    return page_not_found()


def proxy_of_old(resource: Resource) -> errors.StatusError:
    """The answer to a path below /proxy/ in front of the resource, as the right to the path is no right
    to the object."""
    return path_not_found() if resource.conventions.routed else _not_supported(resource, "proxy")


def unknown_subresource(resource: Resource, name: str) -> errors.NotFound:
    """The 404 of a subresource that the object of this name does not have."""
    if resource.conventions.routed:
        return path_not_found()
    return errors.not_found(resource.group, resource.plural, name)


def subresource_verb(resource: Resource, verb: str) -> errors.MethodNotAllowed:
    """The 405 of a verb that a subresource does not have."""
    return method_not_allowed() if resource.conventions.routed else _not_supported(resource, verb)


def _not_supported(resource: Resource, verb: str) -> errors.MethodNotAllowed:
    return errors.MethodNotAllowed(
        f'{verb} is not supported on resources of kind "{resource.group_resource}"',
        details={"group": resource.group, "kind": resource.plural},
    )
