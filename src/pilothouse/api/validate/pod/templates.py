"""Compares pods with those of the same template that were found valid, so that what they share is judged once."""

import orjson

from pilothouse.api.values._structs import alike, all_alike, without
from pilothouse.api.values.fields import Object

OWN = frozenset(("volumes", "affinity", "nodeName", "hostname", "containers", "initContainers"))
"""Members of a spec that often differ among the pods of one template."""
OWN_OF_CONTAINERS = frozenset(("env", "volumeMounts", "volumeDevices"))
"""Members of its containers that do."""


class Template:
    """The members that valid pods of one template have in common.

    facts: whether all amounts of bytes in containers are whole numbers, and the warnings about their ports;
    None until they are known (warnings.py).
    """

    __slots__ = ("_containers", "_init", "_spec", "facts")

    def __init__(self, spec: Object) -> None:
        """Of a spec without ephemeral containers; it is copied."""
        self._spec = without(spec, OWN)
        self._containers = [without(c, OWN_OF_CONTAINERS) for c in spec.get("containers") or ()]
        self._init = [without(c, OWN_OF_CONTAINERS) for c in spec.get("initContainers") or ()]
        self.facts: tuple[bool, list[str]] | None = None

    def fits(self, spec: Object) -> bool:
        """Whether a spec differs in members of its own alone."""
        return (
            alike(spec, self._spec, OWN)
            and all_alike(spec.get("containers") or [], self._containers, OWN_OF_CONTAINERS)
            and all_alike(spec.get("initContainers") or [], self._init, OWN_OF_CONTAINERS)
        )

    def bytes(self) -> int:
        """The memory that it takes, about."""
        return MEMORY * len(orjson.dumps([self._spec, self._containers, self._init]))


MEMORY = 8
"""Bytes that a character of JSON takes once it is decoded, about."""


def key(spec: Object) -> tuple[str, ...]:
    """The images of the containers: nearly all pods that have the same ones are of one template."""
    return tuple([container.get("image", "") for container in spec.get("containers") or ()])
