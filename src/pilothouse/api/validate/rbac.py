"""Validates rbac.authorization.k8s.io/v1: roles and role bindings."""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import selector_has_invalid_value
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.validate.workloads import compile_selector
from pilothouse.api.values.fields import Errors, Object

GROUP = "rbac.authorization.k8s.io"
_binding = f"""
    roleRef.apiGroup                    only:{GROUP}
    roleRef.kind                        {{kinds}}
    roleRef.name!                       path-segment
    subjects[]
      name!
      if kind == ServiceAccount
        name+                           dns-subdomain
        apiGroup                        only:
        {{namespace}}
      else
        if kind in User|Group
          apiGroup                      only:{GROUP}
        else
          kind                          ServiceAccount|User|Group
"""
rules = Rules(__name__)


@rules
def _compiles(selector: Object, path: str, errs: Errors) -> None:
    if compile_selector(selector) is None:
        errs.invalid(path, None, "invalid label selector.")


_rules = """
    rules[]
      verbs!                            : verbs must contain at least one value
      if nonResourceURLs
        {namespaced}
        if apiGroups or resources or resourceNames
          nonResourceURLs               never : rules cannot apply to both regular resources and non-resource URLs
      else
        apiGroups!                      : resource rules must supply at least one api group
        resources!                      : resource rules must supply at least one resource
"""
validate_role = rules.kind("rbac.authorization.k8s.io/v1 Role")(
    _rules.format(namespaced="nonResourceURLs never : namespaced rules cannot apply to non-resource URLs")
)
validate_role_update = d.anew(validate_role)
_cluster_role = rules.kind("rbac.authorization.k8s.io/v1 ClusterRole")(f"""
    {_rules.format(namespaced="")}
    if aggregationRule given
      aggregationRule.clusterRoleSelectors[]! $?any-selector:label-selector compiles : at least one clusterRoleSelector required if aggregationRule is non-nil
""")
validate_role_binding = rules.kind("rbac.authorization.k8s.io/v1 RoleBinding")(
    _binding.format(kinds="Role|ClusterRole", namespace="")
)
validate_cluster_role_binding = rules.kind("rbac.authorization.k8s.io/v1 ClusterRoleBinding")(
    _binding.format(kinds="only:ClusterRole", namespace="namespace!")
)
validate_role_binding_update = validate_cluster_role_binding_update = d.fixed(
    "roleRef", {}, show="api.rbac.v1.RoleRef", why="cannot change roleRef"
)


def validate_cluster_role(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a cluster role; a changed one may keep invalid label values of its selectors."""
    before = d.found(old, ("aggregationRule", "clusterRoleSelectors"), ())
    _cluster_role(obj, errs, any(map(selector_has_invalid_value, before)))
