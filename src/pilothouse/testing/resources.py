"""Finds the paths of objects by their kinds, from what the server says that it serves."""

from pilothouse.api.values.fields import Object
from pilothouse.testing.client import KubeClient, RefusedError


class UnknownKind(Exception):
    """The server does not serve a kind."""


def path_of(client: KubeClient, api_version: str, kind: str, name: str, namespace: str) -> str:
    """The path of an object; `namespace` counts for kinds that are in one. UnknownKind."""
    base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    for one in _resources(client, base):
        if one["kind"] == kind and "/" not in one["name"]:
            scope = f"namespaces/{namespace}/" if one["namespaced"] else ""
            return f"{base}/{scope}{one['name']}/{name}"
    raise UnknownKind(f"the server has no kind {kind} in {api_version}")


def _resources(client: KubeClient, base: str) -> list[Object]:
    try:
        return list(client.call("GET", base)["resources"])
    except RefusedError as error:
        if error.code != 404:
            raise
        return []
