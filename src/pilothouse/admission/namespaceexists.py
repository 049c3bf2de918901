"""NamespaceExists and NamespaceAutoProvision: writes to a missing namespace are refused, or create it."""

from typing import Protocol

from pilothouse import errors
from pilothouse.admission.about import CREATE, DELETE, UPDATE, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values.fields import Object
from pilothouse.registry.admission import AdmissionAttributes


class NamespaceCreator(Protocol):
    """Creates objects as the server itself (registry/client.py)."""

    async def ensure(self, resource: str, obj: Object) -> None:
        """Create an object unless it is there; by then readers see it."""


class NamespaceExists(AdmissionPlugin):
    """Nothing is written or deleted in a namespace that is missing."""

    name = "NamespaceExists"
    about = (About((CREATE, UPDATE, DELETE), ("*/*",)),)

    def wants(self, a: AdmissionAttributes) -> bool:
        return _is_in_namespace(a)

    def validate(self, a: AdmissionAttributes) -> None:
        if a.readers.get("namespaces", "", a.namespace) is None:
            raise errors.not_found("", "namespaces", a.namespace)


class NamespaceAutoProvision(AdmissionPlugin):
    """A namespace that is missing is created for the first object in it."""

    name = "NamespaceAutoProvision"
    about = (About((CREATE,), ("*/*",)),)

    def __init__(self, creator: NamespaceCreator) -> None:
        self._creator = creator

    def wants(self, a: AdmissionAttributes) -> bool:
        return not a.dry_run and _is_in_namespace(a)

    async def mutate(self, a: AdmissionAttributes) -> None:
        if a.readers.get("namespaces", "", a.namespace) is not None:
            return
        try:
            await self._creator.ensure("namespaces", {"metadata": {"name": a.namespace}, "status": {}})
        except errors.StatusError as err:
            raise a.refuse(err.message) from err


def _is_in_namespace(a: AdmissionAttributes) -> bool:
    return bool(a.namespace) and a.kind[::2] != ("", "Namespace")
