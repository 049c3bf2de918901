"""Refuses clusters by which their writer would read or write more than the writer may.

A copy shows all objects of its source, and `kubeconfigSecret` has the server write a Secret. Both are judged
by the rights of the user who writes the object, as RBAC judges `escalate` and `bind`.
"""

from collections.abc import Callable
from typing import Any

from pilothouse.admission.about import CREATE, WRITES, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values.fields import Object
from pilothouse.authz.authorizer import Authorizer, is_allowed
from pilothouse.clusters.definition import GROUP, NAME, PLURAL, SOURCE_UID
from pilothouse.gotext import quote
from pilothouse.registry.admission import AdmissionAttributes

COPY_VERBS = ("get", "copy")
"""The verbs on a cluster that a copy of it needs."""


class ClusterRights(AdmissionPlugin):
    """403 for a copy of a cluster that the user may not copy, and for a Secret that the user may not create.

    uid_of: returns the UID of the cluster of a name, "" when there is none.
    """

    name = "ClusterRights"
    about = (About(WRITES, (NAME,)),)

    def __init__(self, authorizer: Authorizer, uid_of: Callable[[str], str]) -> None:
        self._authorizer = authorizer
        self._uid_of = uid_of

    def mutate(self, a: AdmissionAttributes) -> None:
        """Note the UID of the source. No client can choose it."""
        source = _member(a.obj, "copyOf")
        if a.operation == CREATE:
            uid = self._uid_of(source) if source else ""
        else:
            uid = _annotations(a.old).get(SOURCE_UID, "")
        assert a.obj is not None
        if _annotations(a.obj).get(SOURCE_UID, "") == uid:
            return
        a.part()
        annotations = {key: text for key, text in _annotations(a.obj).items() if key != SOURCE_UID}
        if uid:
            annotations[SOURCE_UID] = uid
        a.obj["metadata"]["annotations"] = annotations
        a.changed("metadata.annotations")

    async def validate(self, a: AdmissionAttributes) -> None:
        source, place = _member(a.obj, "copyOf"), _member(a.obj, "kubeconfigSecret")
        if source and source != _member(a.old, "copyOf"):
            for verb in COPY_VERBS:
                if not await is_allowed(
                    self._authorizer, a.user, verb, group=GROUP, resource=PLURAL, name=source
                ):
                    raise a.refuse(
                        f"user {quote(a.user.name)} cannot copy the cluster {quote(source)}: a copy needs the"
                        f' verbs "get" and "copy" on resource "{PLURAL}" in API group "{GROUP}"'
                    )
        if place and place != _member(a.old, "kubeconfigSecret"):
            namespace = place["namespace"]
            if not await is_allowed(
                self._authorizer, a.user, "create", group="", resource="secrets", namespace=namespace
            ):
                raise a.refuse(
                    f"user {quote(a.user.name)} cannot have a kubeconfig in a Secret: it needs the verb"
                    f' "create" on resource "secrets" in API group "" in the namespace {quote(namespace)}'
                )


def _member(obj: Object | None, name: str) -> Any:
    return ((obj or {}).get("spec") or {}).get(name)


def _annotations(obj: Object | None) -> Object:
    found: Object = ((obj or {}).get("metadata") or {}).get("annotations") or {}
    return found
