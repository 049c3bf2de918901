"""rbac.authorization.k8s.io/v1: roles and bindings; who may grant what is decided by the authorizer."""

from pilothouse.api import names
from pilothouse.registry.groups.records import resource
from pilothouse.registry.strategy import Strategy

GROUP = "rbac.authorization.k8s.io"

ROLE = Strategy(name_check=names.path_segment, create_on_update=True)
BINDING = Strategy(name_check=names.path_segment, create_on_update=True)

RESOURCES = [
    resource(GROUP, "v1", "ClusterRoleBinding", "clusterrolebindings", "48tpQ8gZHFc=", BINDING),
    resource(GROUP, "v1", "ClusterRole", "clusterroles", "bYE5ZWDrJ44=", ROLE),
    resource(GROUP, "v1", "RoleBinding", "rolebindings", "eGsCzGH6b1g=", BINDING, namespaced=True),
    resource(GROUP, "v1", "Role", "roles", "7FuwZcIIItM=", ROLE, namespaced=True),
]
