"""Whether a request is one that a policy, a binding or a webhook is about.

Upstream: apiserver pkg/admission/plugin/policy/matching and plugin/webhook/predicates.
"""

from collections.abc import Sequence
from typing import NamedTuple

from pilothouse import errors
from pilothouse.api.values import selectors
from pilothouse.api.values._selectors import Selector
from pilothouse.api.values.fields import Object
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.readers import Readers
from pilothouse.registry.resource import Resource

REMEMBERED = 1024
"""Kinds of requests of which it is remembered which rules are about them."""


class Matched(NamedTuple):
    """The resource as which a request has matched: its own, or the same one in another version or group."""

    resource: Resource
    kind: tuple[str, str, str]


class RuleWithOperations:
    """One rule with its operations and names."""

    __slots__ = ("groups", "names", "operations", "resources", "scope", "versions")

    def __init__(self, rule: Object) -> None:
        self.operations = frozenset(rule.get("operations") or ())
        self.groups = frozenset(rule.get("apiGroups") or ())
        self.versions = frozenset(rule.get("apiVersions") or ())
        parts = [text.partition("/") for text in rule.get("resources") or ()]
        self.resources = [(plural, subresource) for plural, _, subresource in parts]
        self.scope: str = rule.get("scope") or "*"
        self.names = frozenset(rule.get("resourceNames") or ())

    def about(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Whether operation, group, version and resource are the rule's."""
        return (
            not self.operations.isdisjoint(("*", operation))
            and not self.groups.isdisjoint(("*", resource.group))
            and not self.versions.isdisjoint(("*", resource.version))
            and any(
                plural in ("*", resource.plural) and sub in ("*", subresource)
                for plural, sub in self.resources
            )
        )

    def fits(self, a: AdmissionAttributes) -> bool:
        """Whether scope and name are the rule's; objects of namespaces count as cluster-scoped."""
        if self.names and a.name not in self.names:
            return False
        if self.scope == "*":
            return True
        namespaced = a.resource.group_resource != "namespaces" and bool(a.namespace)
        return namespaced == (self.scope == "Namespaced")


class Criteria:
    """The matchConstraints of a policy, the matchResources of a binding,
    or what a webhook has of the same."""

    __slots__ = ("_known", "equivalent", "excluded", "namespace_selector", "object_selector", "rules")

    def __init__(self, spec: Object, rules: Sequence[Object] | None = None) -> None:
        """`rules` are those of a webhook; a policy and a binding have theirs in `spec`,
        and without any match all."""
        rules = spec.get("resourceRules") or () if rules is None else rules
        self.rules = [RuleWithOperations(rule) for rule in rules]
        self.excluded = [RuleWithOperations(rule) for rule in spec.get("excludeResourceRules") or ()]
        self._known: dict[
            tuple[str, Resource, str], tuple[tuple[RuleWithOperations, ...], tuple[RuleWithOperations, ...]]
        ] = {}
        self.equivalent = spec.get("matchPolicy") == "Equivalent"
        self.namespace_selector = selectors.from_label_selector(spec.get("namespaceSelector") or {})
        self.object_selector = selectors.from_label_selector(spec.get("objectSelector") or {})

    def concerns(self, operation: str, resource: Resource, subresource: str) -> bool:
        """False when no request of this operation on the resource can match."""
        if not self.rules:
            return True
        found = (resource, *(resource.siblings.values() if self.equivalent else ()))
        return any(rule.about(operation, one, subresource) for rule in self.rules for one in found)

    def match(self, a: AdmissionAttributes) -> Matched | None:
        """The resource as which the request matches, None when it does not.

        NotFound when the rules match, and the labels of its namespace cannot be read.
        """
        missing: errors.StatusError | None = None
        try:
            if not _in_namespace(self.namespace_selector, a):
                return None
        except errors.StatusError as err:
            missing = err
        if not _selected(self.object_selector, a):
            return None
        excluded, rules = self._about(a)
        if self.excluded and self._by(excluded, self.excluded, a) is not None:
            return None
        found = Matched(a.resource, a.kind) if not self.rules else self._by(rules, self.rules, a)
        if found is not None and missing is not None:
            raise missing
        return found

    def _about(
        self, a: AdmissionAttributes
    ) -> tuple[tuple[RuleWithOperations, ...], tuple[RuleWithOperations, ...]]:
        """The excluding rules and the rules that are about the request's own resource."""
        key = (a.operation, a.resource, a.subresource)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            excluded = tuple(rule for rule in self.excluded if rule.about(*key))
            found = self._known[key] = excluded, tuple(rule for rule in self.rules if rule.about(*key))
        return found

    def _by(
        self, own: tuple[RuleWithOperations, ...], rules: list[RuleWithOperations], a: AdmissionAttributes
    ) -> Matched | None:
        """The resource as which one of the rules matches;
        `own` are the rules about the request's own resource."""
        resource, sub = a.resource, a.subresource
        for rule in own:
            if rule.fits(a):
                return Matched(resource, a.kind)
        if not self.equivalent or len(resource.siblings) < 2:
            return None
        others = equivalents(resource, a.readers)
        for rule in rules:
            for other in others:
                if rule.about(a.operation, other, sub) and rule.fits(a):
                    return Matched(other, _kind_of(other, sub))
        return None


def equivalents(resource: Resource, readers: Readers) -> list[Resource]:
    """The other records, of those that are served, that serve the same objects."""
    return [
        other
        for name, other in resource.siblings.items()
        if name != resource.api_version
        and readers.by_kind(other.group, other.version, other.kind) is not None
    ]


def _kind_of(resource: Resource, subresource: str) -> tuple[str, str, str]:
    record = resource.subresources.get(subresource) or resource
    return record.group, record.version, record.kind


def _in_namespace(selector: Selector, a: AdmissionAttributes) -> bool:
    """Whether the selector matches the labels of the request's namespace; all that is in none matches."""
    namespaces = a.resource.plural == "namespaces"
    if selector is selectors.EVERYTHING or (not a.namespace and not namespaces):
        return True
    if namespaces and not a.subresource and a.operation in ("CREATE", "UPDATE"):
        return selector.matches_labels(_labels(a.obj))
    return selector.matches_labels(_labels(namespace_of(a)))


def namespace_of(a: AdmissionAttributes) -> Object:
    """The namespace of a request; NotFound."""
    found = a.readers.get("namespaces", "", a.namespace)
    if found is None:
        raise errors.not_found("", "namespaces", a.namespace)
    return found


def _selected(selector: Selector, a: AdmissionAttributes) -> bool:
    """Whether the selector matches the labels of the object, or those of the object as it was."""
    return selector is selectors.EVERYTHING or any(
        one is not None and selector.matches_labels(_labels(one)) for one in (a.obj, a.old)
    )


def _labels(obj: Object | None) -> dict[str, str]:
    return ((obj or {}).get("metadata") or {}).get("labels") or {}
