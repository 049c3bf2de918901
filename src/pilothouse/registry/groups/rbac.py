"""rbac.authorization.k8s.io/v1: roles and bindings; authz/escalation.py decides who may grant what."""

from pilothouse.api.values import names
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import resource
from pilothouse.registry.strategy import WHOLE_FIRST, Strategy, UpdateCheck

GROUP = "rbac.authorization.k8s.io"
_ORDER = (UpdateCheck.METADATA, UpdateCheck.RULES, UpdateCheck.METADATA_CHANGE)

ROLE = Strategy(
    name_check=names.path_segment,
    create_on_update=True,
    validate=lambda ctx, obj, errs: rules.rbac.validate_role(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.rbac.validate_role_update(obj, old, errs),
    update_order=_ORDER,
)
CLUSTER_ROLE = Strategy(
    name_check=names.path_segment,
    create_on_update=True,
    validate=lambda ctx, obj, errs: rules.rbac.validate_cluster_role(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.rbac.validate_cluster_role(obj, errs, old),
    update_order=_ORDER,
)
BINDING = Strategy(
    name_check=names.path_segment,
    create_on_update=True,
    validate=lambda ctx, obj, errs: rules.rbac.validate_role_binding(obj, errs),
    validate_anew=lambda ctx, obj, old, errs: rules.rbac.validate_role_binding(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.rbac.validate_role_binding_update(obj, old, errs),
    update_order=WHOLE_FIRST,
)
CLUSTER_BINDING = Strategy(
    name_check=names.path_segment,
    create_on_update=True,
    validate=lambda ctx, obj, errs: rules.rbac.validate_cluster_role_binding(obj, errs),
    validate_anew=lambda ctx, obj, old, errs: rules.rbac.validate_cluster_role_binding(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.rbac.validate_cluster_role_binding_update(
        obj, old, errs
    ),
    update_order=WHOLE_FIRST,
)

RESOURCES = [
    resource(
        GROUP,
        "ClusterRoleBinding",
        "clusterrolebindings",
        "48tpQ8gZHFc=",
        CLUSTER_BINDING,
        escalation_checked=True,
    ),
    resource(GROUP, "ClusterRole", "clusterroles", "bYE5ZWDrJ44=", CLUSTER_ROLE, escalation_checked=True),
    resource(
        GROUP,
        "RoleBinding",
        "rolebindings",
        "eGsCzGH6b1g=",
        BINDING,
        namespaced=True,
        escalation_checked=True,
    ),
    resource(GROUP, "Role", "roles", "7FuwZcIIItM=", ROLE, namespaced=True, escalation_checked=True),
]
