"""Attribute based access control: the policies of --authorization-policy-file (pkg/auth/authorizer/abac)."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authz.authorizer import ALLOW, Decision, SubjectRules
from pilothouse.logs import Logger
from pilothouse.offload import Inline, Work

log = Logger(__name__)

_AUTHENTICATED = "system:authenticated"
_VERSIONS = ("abac.authorization.kubernetes.io/v0", "abac.authorization.kubernetes.io/v1beta1")
_POLICY_BYTES = 128
"""Bytes of a policy as a rule, about."""
_READING = ("get", "list", "watch")
_NO_MATCH = Decision(allowed=False, reason="No policy matched.")
_TEXTS = ("user", "group", "apiGroup", "resource", "namespace", "nonResourcePath")


class ABACPolicyError(ValueError):
    """A policy file that cannot be used; the text is upstream's, with the line."""


class ABACPolicy(NamedTuple):
    """A user or a group, and what it may do. "*" matches all; "" matches only what is "" itself."""

    user: str = ""
    group: str = ""
    readonly: bool = False
    api_group: str = ""
    resource: str = ""
    namespace: str = ""
    path: str = ""

    def about(self, user: User) -> bool:
        """Whether user and group, of those that the policy names, are the caller's."""
        if self.user and self.user not in ("*", user.name):
            return False
        if self.group and self.group != "*" and self.group not in user.groups:
            return False
        return bool(self.user or self.group)

    def matches(self, a: AuthorizationAttributes) -> bool:
        """Whether the policy allows a request."""
        if not self.about(a.user) or (self.readonly and a.verb not in _READING):
            return False
        if not a.is_resource:
            return self.path in ("*", a.path) or (
                self.path.endswith("*") and a.path.startswith(self.path.rstrip("*"))
            )
        return (
            self.namespace in ("*", a.namespace)
            and self.resource in ("*", a.resource)
            and self.api_group in ("*", a.group)
        )


class ABACAuthorizer:
    """The first policy that matches allows; there is none that denies."""

    def __init__(self, policies: list[ABACPolicy]) -> None:
        self.policies = policies
        self.listeners: list[Callable[[], None]] = []
        """Called when other policies are in force."""

    def use(self, policies: list[ABACPolicy]) -> None:
        """Have these policies decide from now on."""
        self.policies = policies
        for listener in self.listeners:
            listener()

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        return ALLOW if any(policy.matches(attributes) for policy in self.policies) else _NO_MATCH

    def namespaces_for(self, user: User) -> set[str]:
        """The namespaces that policies about the user name."""
        return {p.namespace for p in self.policies if p.namespace not in ("", "*") and p.about(user)}

    def rules_for(self, user: User, namespace: str) -> SubjectRules:
        """The rules of the policies that are about a user, in a namespace."""
        rules = SubjectRules()
        for policy in self.policies:
            if not policy.about(user) or policy.namespace not in ("*", namespace):
                continue
            verbs = list(_READING) if policy.readonly else ["*"]
            if policy.resource:
                rules.resource.append(
                    {"verbs": verbs, "apiGroups": [policy.api_group], "resources": [policy.resource]}
                )
            if policy.path:
                rules.non_resource.append({"verbs": verbs, "nonResourceURLs": [policy.path]})
        return rules

    async def list_rules(self, user: User, namespace: str, work: Work | Inline) -> SubjectRules:
        """Like rules_for(), in the work of a request where there are many policies."""
        await work.enter(_POLICY_BYTES * len(self.policies))
        # A change of the file replaces the list as a whole, so a thread may go through it.
        rules = await work.run(self.rules_for, user, namespace)
        rules.size = _POLICY_BYTES * (len(rules.resource) + len(rules.non_resource))
        return rules


def load(path: str) -> list[ABACPolicy]:
    """The policies of a file: one JSON object a line,
    with lines that are empty or begin with `#` between them.

    ABACPolicyError names the line that cannot be used; OSError when the file cannot be read.
    """
    return parse(Path(path).read_bytes(), path)


def parse(data: bytes, path: str) -> list[ABACPolicy]:
    """Parse the content of a policy file."""
    policies = list(_read(path, data.decode(errors="replace").split("\n")))
    unversioned = sum(1 for _, versioned in policies if not versioned)
    if unversioned:
        log.warning("The policy file has policies without a version", path=path, policies=unversioned)
    return [policy for policy, _ in policies]


def _read(path: str, lines: list[str]) -> Iterator[tuple[ABACPolicy, bool]]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            yield _policy(text)
        except ValueError as err:
            raise ABACPolicyError(f"error reading policy file {path}, line {number}: {line}: {err}") from None


def _policy(text: str) -> tuple[ABACPolicy, bool]:
    """The policy of a line, and whether the line says which version it is."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("a policy must be an object")
    version = found.get("apiVersion")
    if not version or not found.get("kind"):
        return _unversioned(found), False
    if found["kind"] != "Policy" or version not in _VERSIONS:
        raise ValueError(f'no kind "{found["kind"]}" is registered for version "{version}"')
    if version == _VERSIONS[0]:
        return _unversioned(found), True
    return _versioned(found.get("spec") or {}), True


def _versioned(spec: Any) -> ABACPolicy:
    """A policy of v1beta1: a user or group of * is everybody who is authenticated."""
    policy = _members(spec)
    if "*" in (policy.user, policy.group):
        policy = policy._replace(user="", group=_AUTHENTICATED)
    return policy


def _unversioned(found: Object) -> ABACPolicy:
    """A policy of v0: what it does not name matches all."""
    policy = _members(found)
    everybody = "*" in (policy.user, policy.group) or not (policy.user or policy.group)
    return ABACPolicy(
        user="" if everybody else policy.user,
        group=_AUTHENTICATED if everybody else policy.group,
        readonly=policy.readonly,
        api_group="*",
        resource=policy.resource or "*",
        namespace=policy.namespace or "*",
        path="" if policy.namespace or policy.resource else "*",
    )


def _members(spec: Any) -> ABACPolicy:
    if not isinstance(spec, dict):
        raise ValueError("spec must be an object")
    texts = [spec.get(name) or "" for name in _TEXTS]
    readonly = spec.get("readonly") or False
    if not all(isinstance(text, str) for text in texts) or not isinstance(readonly, bool):
        raise ValueError("a member of the policy has the wrong type")
    user, group, api_group, resource, namespace, path = texts
    return ABACPolicy(
        user=user,
        group=group,
        readonly=readonly,
        api_group=api_group,
        resource=resource,
        namespace=namespace,
        path=path,
    )
