"""Read-only access to cached objects, for those who judge requests."""

from collections.abc import Callable, Iterable
from typing import Protocol

from pilothouse.api.fields import Object


class ServedKind(Protocol):
    """What readers tell of the resource that is served for a kind; a registry.resource.Resource."""

    @property
    def group_resource(self) -> str: ...
    @property
    def api_version(self) -> str: ...
    @property
    def namespaced(self) -> bool: ...
    @property
    def from_storage(self) -> Callable[[Object], Object] | None: ...


class Readers(Protocol):
    """Objects as the watch cache has them. A resource is named `pods` or `deployments.apps`.

    What is returned is shared: never change it. Decoding is remembered per object version.
    """

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """One object, None when absent; `namespace` is "" for cluster-scoped resources."""

    def list(self, resource: str, namespace: str = "") -> Iterable[Object]:
        """All objects of a resource, or those of one namespace, in key order."""

    def by_kind(self, group: str, version: str, kind: str) -> ServedKind | None:
        """The resource that is served for a kind."""

    def revision(self, resource: str) -> int:
        """The revision of the resource's last change: what a cache of answers is kept under."""

    def selected(
        self, resource: str, field: str, value: str
    ) -> Iterable[tuple[str, int, Callable[[], Object]]]:
        """Key and revision of all objects of which an indexed field has a value, and a call that decodes each."""

    def subscribe(self, resource: str, callback: Callable[[str, Object | None, Object | None], None]) -> None:
        """Call back with (key, new, old) for every object now (old None) and at every change; new None = deleted."""
