"""rbac.authorization.k8s.io/v1: roles and bindings. authz/escalation.py decides who may grant which permissions."""

from pilothouse.api import names
from pilothouse.api.validate import rbac as rules
from pilothouse.registry.groups.records import on_create, on_update, resource
from pilothouse.registry.strategy import Strategy

GROUP = "rbac.authorization.k8s.io"

ROLE = Strategy(
    name_check=names.path_segment,
    create_on_update=True,
    validate=on_create(rules.validate_role),
    validate_update=on_update(rules.validate_role_update),
)
CLUSTER_ROLE = Strategy(
    name_check=names.path_segment,
    create_on_update=True,
    validate=on_create(rules.validate_cluster_role),
    validate_update=lambda ctx, obj, old, errs: rules.validate_cluster_role(obj, errs, old),
)
BINDING = Strategy(
    name_check=names.path_segment,
    create_on_update=True,
    validate=on_create(rules.validate_role_binding),
    validate_update=on_update(rules.validate_role_binding_update),
)
CLUSTER_BINDING = Strategy(
    name_check=names.path_segment,
    create_on_update=True,
    validate=on_create(rules.validate_cluster_role_binding),
    validate_update=on_update(rules.validate_cluster_role_binding_update),
)

RESOURCES = [
    resource(GROUP, "ClusterRoleBinding", "clusterrolebindings", "48tpQ8gZHFc=", CLUSTER_BINDING),
    resource(GROUP, "ClusterRole", "clusterroles", "bYE5ZWDrJ44=", CLUSTER_ROLE),
    resource(GROUP, "RoleBinding", "rolebindings", "eGsCzGH6b1g=", BINDING, namespaced=True),
    resource(GROUP, "Role", "roles", "7FuwZcIIItM=", ROLE, namespaced=True),
]
