"""What is answered when no handler takes a request: each 404 and 405 of upstream, in its own words."""

from pilothouse import errors
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Response

NOT_FOUND = "the server could not find the requested resource"
METHOD_NOT_ALLOWED = "the server does not allow this method on the requested resource"


def path_not_found() -> errors.NotFound:
    """The 404 of a path that does not exist in a group that is served."""
    return errors.NotFound(NOT_FOUND, details={})


def page_not_found() -> Response:
    """The 404 of a path that no handler claims."""
    return Response(
        404,
        b"404 page not found\n",
        "text/plain; charset=utf-8",
        [("X-Content-Type-Options", "nosniff")],
    )


def method_not_allowed() -> errors.MethodNotAllowed:
    """The 405 of the router: the path exists, the method does not."""
    return errors.MethodNotAllowed(METHOD_NOT_ALLOWED, details={})


def verb_not_supported(resource: Resource, verb: str) -> errors.MethodNotAllowed:
    """The 405 of the handler of custom resources, which names the resource."""
    return errors.MethodNotAllowed(
        f'{verb} is not supported on resources of kind "{resource.group_resource}"',
        details={"group": resource.group, "kind": resource.plural},
    )
