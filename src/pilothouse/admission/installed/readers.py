"""The objects of the cluster that a plugin may read: the resources that it declares, as copies."""

from collections.abc import Collection, Iterator

from pilothouse.admission.api import NotDeclared, Object
from pilothouse.api.changes.patch import copy
from pilothouse.registry.readers import Readers


class DeclaredReaders:
    """Implements api.Readers over the server's readers."""

    __slots__ = ("_declared", "_readers")

    def __init__(self, readers: Readers, declared: Collection[str]) -> None:
        self._readers = readers
        self._declared = declared

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        self._check(resource)
        found = self._readers.get(resource, namespace, name)
        out: Object | None = copy(found) if found is not None else None
        return out

    def list(self, resource: str, namespace: str = "") -> Iterator[Object]:
        self._check(resource)
        return map(copy, self._readers.list(resource, namespace))

    def _check(self, resource: str) -> None:
        if resource not in self._declared:
            raise NotDeclared(f'the plugin reads "{resource}", which its `reads` does not name')
