"""OwnerReferencesPermissionEnforcement:
who makes an object depend on another may delete it, and block its owner."""

from collections.abc import Awaitable, Iterator
from typing import Protocol

from pilothouse.admission.about import WRITES, About
from pilothouse.admission.authorization import AccessAuthorizer
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.validate.common import equal
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import AuthorizationAttributes
from pilothouse.gotext import quote
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.resource import Resource


class RESTMapper(Protocol):
    """Finds the resource that serves a kind (registry/catalog.py)."""

    def by_kind(self, group: str, version: str, kind: str) -> Resource | None: ...


class OwnerReferencesPermissionEnforcement(AdmissionPlugin):
    name = "OwnerReferencesPermissionEnforcement"
    about = (About(WRITES, ("*/*",), but=("pods/status",)),)

    def __init__(self, authorizer: AccessAuthorizer, kinds: RESTMapper) -> None:
        self._authorizer = authorizer
        self._kinds = kinds

    def validate(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        new, old = _owners(a.obj), _owners(a.old)
        return None if equal(new, old) else self._check(a, list(_newly_blocking(new, old)))

    async def _check(self, a: AdmissionAttributes, blocking: list[Object]) -> None:
        if a.operation != "CREATE":
            resource = a.resource
            deletes = AuthorizationAttributes(
                a.user,
                "delete",
                is_resource=True,
                group=resource.group,
                version="*",
                resource=resource.plural,
                subresource=a.subresource,
                namespace=a.namespace,
                name=a.name,
            )
            decision = await self._authorizer.authorize(deletes)
            if not decision.allowed:
                raise a.refuse(
                    f"cannot set an ownerRef on a resource you can't delete: {decision.reason}, <nil>"
                )
        if not blocking or await self._may_finalize(a, "*", "*", "", "*") is None:
            return
        for owner in blocking:
            group, _, version = owner.get("apiVersion", "").rpartition("/")
            kind = owner.get("kind", "")
            found = self._kinds.by_kind(group, version, kind)
            if found is None:
                raise a.refuse(
                    "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for"
                    f" APIVersion {owner.get('apiVersion', '')} Kind {kind}: no matches for kind"
                    f" {quote(kind)} in version {quote(owner.get('apiVersion', ''))}"
                )
            namespace = a.namespace if found.namespaced else ""
            why = await self._may_finalize(a, found.group, found.plural, namespace, owner.get("name", ""))
            if why is not None:
                raise a.refuse(
                    "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set "
                    f"finalizers on: {why}, <nil>"
                )

    async def _may_finalize(
        self, a: AdmissionAttributes, group: str, plural: str, namespace: str, name: str
    ) -> str | None:
        """None when the user may set finalizers on an object, otherwise the authorizer's reason."""
        asked = AuthorizationAttributes(
            a.user,
            "update",
            is_resource=True,
            group=group,
            version="*",
            resource=plural,
            subresource="finalizers",
            namespace=namespace,
            name=name,
        )
        decision = await self._authorizer.authorize(asked)
        return None if decision.allowed else decision.reason


def _owners(obj: Object | None) -> list[Object]:
    owners: list[Object] = ((obj or {}).get("metadata") or {}).get("ownerReferences") or []
    return owners


def _newly_blocking(new: list[Object], old: list[Object]) -> Iterator[Object]:
    """The references that keep their owner from being deleted, and did not do so before."""
    before = {owner.get("uid"): owner for owner in old}
    for owner in new:
        if owner.get("blockOwnerDeletion") and not before.get(owner.get("uid"), {}).get("blockOwnerDeletion"):
            yield owner
