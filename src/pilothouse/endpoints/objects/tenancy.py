"""Decides who may read the past of a namespace: those to whom the same namespace object grants it.

A namespace that was deleted and created again belongs to somebody else. Rights in it reach back to the
revision at which its present object was created. What is older needs the same right in all namespaces.
"""

from dataclasses import replace

from pilothouse import errors
from pilothouse.api.values.identity import AuthorizationAttributes
from pilothouse.authz.authorizer import Authorizer, forbidden, undecided
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.store import Store

REASON = "the state is older than the namespace: it needs the right in all namespaces"


class Tenancy:
    """Judges reads of the past in namespaces, by the revisions at which these were created."""

    def __init__(self, catalog: Catalog, store: Store, authorizer: Authorizer) -> None:
        self._catalog, self._store, self._authorizer = catalog, store, authorizer

    async def refresh(self) -> None:
        """Wait until the namespaces are known as they are now, where other servers write as well."""
        if self._store.fresh is not None:
            await self._store.fresh()

    def created_at(self, namespace: str) -> int | None:
        """The revision at which the present object of a namespace was created; None where that is unknown or
        there is none."""
        record = self._catalog.by_group_resource("namespaces")
        entry = self._store.entry(record, "", namespace) if record is not None else None
        return entry.create_rev if entry is not None and entry.create_rev > 0 else None

    def covers(self, namespace: str, revision: int) -> bool:
        """Whether rights in a namespace reach back to a revision.

        namespace: "" for all namespaces, and for objects without one.
        """
        if not namespace:
            return True
        created = self.created_at(namespace)
        return created is not None and created <= revision

    async def may_read_all(self, attributes: AuthorizationAttributes) -> bool:
        """Whether the user has a right in all namespaces. InternalError when an authorizer cannot say it."""
        decision = await self._authorizer.authorize(replace(attributes, namespace=""))
        if not decision.allowed and decision.error:
            raise undecided(attributes.path, decision)
        return decision.allowed

    def refusal(self, attributes: AuthorizationAttributes) -> errors.StatusError:
        """The answer to who may not read the state before a namespace was created."""
        return forbidden(attributes, REASON)
