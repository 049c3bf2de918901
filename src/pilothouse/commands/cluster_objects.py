"""Asks the server's own cluster for the objects that stand for logical clusters."""

from urllib.parse import quote

from pilothouse.api.values.fields import Object
from pilothouse.clusters.definition import GROUP, PLURAL, VERSION
from pilothouse.commands.api import JSON, Api, ApiError

COLLECTION = f"/apis/{GROUP}/{VERSION}/{PLURAL}"


def call(api: Api, method: str, name: str = "", body: Object | None = None, accept: str = JSON) -> Object:
    """Ask for a cluster, or for all; ApiError tells of a server without logical clusters."""
    path = f"{COLLECTION}/{quote(name, safe='')}" if name else COLLECTION
    try:
        return api.call(method, path, body, accept=accept)
    except ApiError as error:
        if error.status == 404 and not error.details.get("name"):
            raise ApiError(
                f"{api.config.server} serves no logical clusters: start it with --clusters", error.status
            ) from None
        raise
