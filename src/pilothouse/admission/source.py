"""Follows the objects that configure admission, and finds those that a request may be about."""

from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from pilothouse.admission.about import UPDATE
from pilothouse.admission.matching import Criteria
from pilothouse.api.values.fields import Object
from pilothouse.registry.readers import Readers
from pilothouse.registry.resource import Resource

GROUP = "admissionregistration.k8s.io"
POLICIES = frozenset(
    f"{plural}.{GROUP}"
    for plural in (
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
    )
)
"""The resources that configure policies:
no policy is evaluated for it, since a wrong one could not be removed otherwise."""
REMEMBERED = 4096
"""Kinds of requests of which it is remembered what is about them."""


class Judging(Protocol):
    """A policy, or a webhook."""

    @property
    def criteria(self) -> Criteria: ...


J = TypeVar("J", bound=Judging)


class HookSource(Generic[J]):
    """The hooks that some resources configure, in order, as the readers have them.
    Nothing is done where there is no change."""

    def __init__(self, readers: Readers, resources: Sequence[str], exempt: frozenset[str]) -> None:
        """`resources` are followed; no request on an `exempt` one is judged."""
        self._readers = readers
        self._exempt = exempt
        self._hooks: tuple[J, ...] = ()
        self._concerned: dict[tuple[str, str, Resource], tuple[J, ...]] = {}
        self._stale = False
        self.none = True
        """Whether there is surely none: none was found, and nothing has changed since."""
        for name in resources:
            readers.subscribe(name, self._changed)

    def gather(self) -> Iterable[J]:
        """Read all hooks anew from the readers."""
        raise NotImplementedError

    def _changed(self, key: str, new: Object | None, old: Object | None) -> None:
        self._stale = True
        self.none = False

    @property
    def hooks(self) -> tuple[J, ...]:
        """All hooks."""
        if self._stale:
            self._stale = False
            self._hooks = tuple(self.gather())
            self.none = not self._hooks
            self._concerned = {}
        return self._hooks

    def about(self, operation: str, resource: Resource, subresource: str) -> tuple[J, ...]:
        """The hooks that a request of this operation on the resource may match."""
        hooks = self.hooks
        if not hooks or resource.virtual or resource.group_resource in self._exempt:
            return ()
        key = (operation, subresource, resource)
        try:
            return self._concerned[key]
        except KeyError:
            if len(self._concerned) >= REMEMBERED:
                self._concerned.clear()
            found = tuple(hook for hook in hooks if hook.criteria.concerns(operation, resource, subresource))
            self._concerned[key] = found
            return found

    def passes_renewal(self, resource: Resource) -> bool | None:
        """The word of a plugin on a renewal (AdmissionPlugin.passes_renewal): a hook may look at anything."""
        return False if self.about(UPDATE, resource, "") else None
