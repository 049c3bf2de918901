"""Read-only access to cached objects, for code that judges requests."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Protocol, Self, TypeVar

from pilothouse.api.values.fields import Object


class ServedKind(Protocol):
    """The facts that readers tell about the resource that is served for a kind;
    a registry.resource.Resource."""

    @property
    def group_resource(self) -> str: ...
    @property
    def api_version(self) -> str: ...
    @property
    def namespaced(self) -> bool: ...

    async def presented(self, stored: Object) -> Object:
        """A stored object in the version that is served."""


class FollowingIndex(Protocol):
    """An index of the objects of some resources."""

    def put(self, resource: str, key: str, new: Object | None, old: Object | None) -> None:
        """Take in an object (`old` is what was there), or one that is deleted (`new` is None)."""

    def copy(self) -> Self:
        """One that changes by itself."""


T = TypeVar("T", bound=FollowingIndex)
J = TypeVar("J")


class Readers(Protocol):
    """Objects from the watch cache. A resource is named like `pods` or `deployments.apps`.

    Returned objects are shared and must not be changed. Each version of an object is decoded once.
    """

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """One object, None if it does not exist; `namespace` is "" for cluster-scoped resources."""

    def list(self, resource: str, namespace: str = "") -> Iterable[Object]:
        """All objects of a resource, or those of one namespace, in key order."""

    def by_kind(self, group: str, version: str, kind: str) -> ServedKind | None:
        """The resource that is served for a kind."""

    def revision(self, resource: str) -> int:
        """The revision of the resource's last change; callers key their own caches by it."""

    def selected(
        self, resource: str, field: str, value: str
    ) -> Iterable[tuple[str, int, Callable[[], Object]]]:
        """(key, revision, decode) for each object whose indexed `field` has the value;
        `decode` returns the object."""

    def subscribe(self, resource: str, callback: Callable[[str, Object | None, Object | None], None]) -> None:
        """Call back with (key, new, old): at once for each object (old None),
        then per change (new None: deleted). Subscribers share these objects as well."""

    def indexed(self, name: str, resources: Sequence[str], make: Callable[[], T]) -> T:
        """An index of the objects of some resources, which follows them from now on. `name` is its own.
        Logical clusters that begin with the same state begin with copies of one index."""

    def follow(
        self, resource: str, callback: Callable[[str, Object | None, Object | None], None]
    ) -> Iterable[Object]:
        """Like subscribe(), but call back per change alone, and return the objects that are there."""

    def judged(self, name: Hashable, resources: Sequence[str], judge: Callable[[], J]) -> J | None:
        """The finding of `judge` about the objects of some resources, made once for all logical clusters that
        begin with the same state. None where one of these objects has changed since, or no state is shared.

        The finding must depend on these objects and on `name` alone. It is shared, and must not be changed.
        """
