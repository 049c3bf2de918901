"""The shortest role that would have allowed a request, with its binding, ready to be applied."""

import re

from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import AuthorizationAttributes
from pilothouse.api.yaml import text as yaml

GROUP = "rbac.authorization.k8s.io"
_ACCOUNT = "system:serviceaccount:"


def rule_for(a: AuthorizationAttributes) -> Object:
    """The PolicyRule that grants a request and nothing else: of an object that it names, that one only."""
    if not a.is_resource:
        return {"nonResourceURLs": [a.path], "verbs": [a.verb]}
    resource = f"{a.resource}/{a.subresource}" if a.subresource else a.resource
    rule: Object = {"apiGroups": [a.group], "resources": [resource], "verbs": [a.verb]}
    if a.name:
        rule["resourceNames"] = [a.name]
    return rule


def role_for(a: AuthorizationAttributes) -> list[Object]:
    """The role with that rule and its binding to the user: of a namespace when the request is about one."""
    kind = "Role" if a.is_resource and a.namespace else "ClusterRole"
    what = "-".join(filter(None, (a.verb, a.resource or a.path, a.subresource)))
    role, binding = _name(what), _name(f"{what}-{a.user.name.removeprefix(_ACCOUNT)}")
    place = {"namespace": a.namespace} if kind == "Role" else {}
    version = f"{GROUP}/v1"
    return [
        {
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": role, **place},
            "rules": [rule_for(a)],
        },
        {
            "apiVersion": version,
            "kind": f"{kind}Binding",
            "metadata": {"name": binding, **place},
            "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role},
            "subjects": [_subject(a.user.name)],
        },
    ]


def yaml_for(a: AuthorizationAttributes) -> str:
    """The role and its binding of role_for() as YAML."""
    return "---\n".join(yaml.dump(obj).decode() for obj in role_for(a))


def _subject(user: str) -> Object:
    namespace, _, name = user.removeprefix(_ACCOUNT).partition(":")
    if user.startswith(_ACCOUNT) and name:
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"apiGroup": GROUP, "kind": "User", "name": user}


def _name(text: str) -> str:
    """A name for an object out of any text."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")[:200] or "allowed"
