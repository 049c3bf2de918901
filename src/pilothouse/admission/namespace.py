"""NamespaceLifecycle: refuses creates in missing or terminating namespaces;
three namespaces cannot be deleted."""

from pilothouse import errors
from pilothouse.admission.about import CREATE, DELETE, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.registry.admission import AdmissionAttributes

IMMORTAL = frozenset(("default", "kube-system", "kube-public"))
REVIEWS = frozenset(("localsubjectaccessreviews.authorization.k8s.io",))


class NamespaceLifecycle(AdmissionPlugin):
    """Runs in the mutating phase, as upstream's does: before any other plugin gets the object."""

    name = "NamespaceLifecycle"
    replaces = True
    about = (About((CREATE,), ("*/*",)), About((DELETE,), ("namespaces/*",)))

    def mutate(self, a: AdmissionAttributes) -> None:
        resource = a.resource
        if a.operation == "DELETE":
            if a.name in IMMORTAL:
                raise errors.forbidden(
                    resource.group, resource.plural, a.name, "this namespace may not be deleted"
                )
            return
        if not resource.namespaced or not a.namespace or resource.group_resource in REVIEWS:
            return
        namespace = a.readers.get("namespaces", "", a.namespace)
        if namespace is None:
            raise errors.not_found("", "namespaces", a.namespace)
        if (namespace.get("status") or {}).get("phase") != "Terminating":
            return
        err = a.refuse(
            f"unable to create new content in namespace {a.namespace} because it is being terminated"
        )
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {a.namespace} is being terminated",
            "field": "metadata.namespace",
        }
        err.details = {**(err.details or {}), "causes": [cause]}
        raise err
