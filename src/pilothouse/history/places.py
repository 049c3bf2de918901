"""Which resource, namespace and name a key of the store stands for."""

from collections.abc import Callable
from typing import NamedTuple

from pilothouse.registry import encoding
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.resource import Resource
from pilothouse.storage import keys


class Place(NamedTuple):
    """The place of an object. resource: as `pods` or `deployments.apps`, "" for what no API serves."""

    resource: str
    namespace: str
    name: str


def places(catalog: Catalog) -> Callable[[str], Place]:
    """Returns a function from a key to its place."""
    resource_of = encoding.resources_by_key(catalog)
    prefixes = {r.group_resource: r.key_prefix for r in stored(catalog)}

    def place_of(key: str) -> Place:
        resource = resource_of(key)
        if resource in encoding.RANGES.values():
            return Place("", "", "")
        plural, _, group = resource.partition(".")
        rest = key[len(prefixes.get(resource) or f"{keys.ROOT}{group}/{plural}/") :]
        namespace, _, name = rest.rpartition("/")
        return Place(resource, namespace, name)

    return place_of


def stored(catalog: Catalog) -> list[Resource]:
    """The built-in resources whose objects are stored under a prefix of their own."""
    return [r for r in catalog.all() if not r.virtual and r.storage is None and r.key_prefix]
