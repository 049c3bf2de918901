"""The number of pods that an owner asks for, by the scale that its resource serves."""

from typing import NamedTuple

from pilothouse.api.values.fields import Object
from pilothouse.registry.client import Client
from pilothouse.registry.resource import Resource
from pilothouse.registry.rest import dig

FALLBACK = ("spec", "replicas")


def scalable(client: Client, api_version: str, kind: str) -> Resource | None:
    """The resource of a kind, when its objects can be scaled."""
    group, _, version = api_version.rpartition("/")
    found = client.catalog.by_kind(group, version, kind)
    return found if found is not None and "scale" in found.subresources else None


def path_of(resource: Resource) -> tuple[str, ...]:
    """Where the objects of a resource say how many pods they want."""
    return tuple(resource.subresources["scale"].replicas) or FALLBACK


class WantedPods(NamedTuple):
    """The owner that decides how many pods there should be, and how many it asks for."""

    uid: str
    replicas: int


def asked_for(client: Client, owner: Object, namespace: str) -> WantedPods | None:
    """The pods that an owner asks for, given a reference to it; None when it does not say.

    For a replica set of a deployment the deployment decides.
    """
    resource = scalable(client, owner["apiVersion"], owner["kind"])
    if resource is None:
        return None
    obj = client.readers.get(resource.group_resource, namespace, owner["name"])
    if obj is None or obj["metadata"]["uid"] != owner["uid"]:
        return None
    above = next((o for o in obj["metadata"].get("ownerReferences") or () if o.get("controller")), None)
    if owner["kind"] == "ReplicaSet" and above is not None:
        found = asked_for(client, above, namespace)
        if found is not None:
            return found
    return WantedPods(owner["uid"], int(dig(obj, path_of(resource)) or 0))
