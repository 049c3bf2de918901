"""Finds the namespaces in which a user may list or watch a resource that they may not list or watch in all
(--list-permitted-namespaces).

kube-apiserver refuses such requests, and its authors have refused to build anything else (kubernetes#48537,
#58262, #71097). What is shown is what the same request would show in each of these namespaces by itself. A
right to single names counts for nothing here.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import NamedTuple
from weakref import WeakValueDictionary

from pilothouse import errors
from pilothouse.api.values.identity import AuthorizationAttributes
from pilothouse.api.values.selectors import field_terms
from pilothouse.authz.authorizer import UnionAuthorizer, undecided
from pilothouse.gotext import quote
from pilothouse.registry.catalog import Catalog

VERBS = ("list", "watch")

TURN = 256
"""Namespaces after which other requests have their turn."""


class Namespaces:
    """Names of namespaces, in their order and as a set.
    Equal ones are the same object while somebody uses it."""

    __slots__ = ("__weakref__", "names", "ordered")

    def __init__(self, ordered: tuple[str, ...]) -> None:
        self.ordered = ordered
        self.names = frozenset(ordered)

    @property
    def digest(self) -> str:
        """A digest of these namespaces, which a continue token carries."""
        return sha256("\n".join(self.ordered).encode()).hexdigest()[:16]

    def scopes(self, prefix: str, *, own: bool) -> tuple[str, ...]:
        """The prefixes of the keys of what is in these namespaces, in the order of keys; `own`: the
        namespaces themselves, whose keys they are."""
        if own:
            return tuple(prefix + name for name in self.ordered)
        return tuple(sorted(f"{prefix}{name}/" for name in self.ordered))


class Permitted(NamedTuple):
    """The namespaces that a request is answered with,
    and when that was found out, by UnionAuthorizer.epoch."""

    namespaces: Namespaces
    epoch: int


class Finder:
    """Finds the namespaces of requests for resources of `catalog` that this server serves itself."""

    def __init__(self, authorizer: UnionAuthorizer, catalog: Catalog) -> None:
        self._authorizer = authorizer
        self._catalog = catalog
        self._known: WeakValueDictionary[tuple[str, ...], Namespaces] = WeakValueDictionary()

    async def permitted(self, attributes: AuthorizationAttributes) -> Permitted | None:
        """The namespaces in which the user may do what they may not do in all; None where there are none.

        InternalError when an authorizer cannot say it of one of them,
        as the answer would lack what may be lawful.
        """
        own = self._counts(attributes)
        if own is None:
            return None
        authorizer = self._authorizer
        epoch = authorizer.epoch
        found: list[str] = []
        probe = replace(attributes, name="")
        for i, namespace in enumerate(self._candidates(attributes, own=own)):
            if i % TURN == TURN - 1:
                await asyncio.sleep(0)
            probe.namespace = namespace
            decision = await authorizer.authorize(probe)
            if decision.allowed:
                found.append(namespace)
            elif decision.error:
                raise undecided(attributes.path, decision)
        if not found:
            return None
        ordered = tuple(found)
        namespaces = self._known.get(ordered)
        if namespaces is None:
            namespaces = self._known[ordered] = Namespaces(ordered)
        return Permitted(namespaces, epoch)

    def _counts(self, attributes: AuthorizationAttributes) -> bool | None:
        """None for a request that is refused as a whole; else whether it is for the namespaces themselves."""
        a = attributes
        if not a.is_resource or a.verb not in VERBS or a.namespace or a.subresource:
            return None
        resource = self._catalog.get(a.group, a.version, a.resource)
        if resource is None or a.verb not in resource.verbs or (a.group, a.version) in self._catalog.backends:
            return None
        own = resource.names_namespace
        return own if own or resource.namespaced else None

    def _candidates(self, attributes: AuthorizationAttributes, *, own: bool) -> Sequence[str]:
        """The namespaces to ask about, in their order."""
        known = self._authorizer.namespaces_for(attributes.user)
        field = "metadata.name" if own else "metadata.namespace"
        if known and field in attributes.field_selector:
            try:
                terms = field_terms(attributes.field_selector)
            except errors.BadRequest:
                terms = []  # the verb tells the user
            for name, op, value in terms:
                if name == field and op == "=":
                    known &= {value}
        return sorted(known)


def told(attributes: AuthorizationAttributes, namespaces: Namespaces) -> str:
    """The warning that an answer shows some namespaces only."""
    count = len(namespaces.ordered)
    where = "the namespace" if count == 1 else f"the {count} namespaces"
    what = quote(attributes.resource if not attributes.group else f"{attributes.resource}.{attributes.group}")
    return f"this answer shows {where} in which you may {attributes.verb} {what}: not in all of the cluster"
