"""An index of roles and bindings: by their names, and bindings by subject as well."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import field

from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.gotext import quote
from pilothouse.process.frozen import frozen
from pilothouse.process.record import record

GROUP = "rbac.authorization.k8s.io"
ROLES = ("roles", "clusterroles")
RESOURCES = tuple(f"{plural}.{GROUP}" for plural in (*ROLES, "rolebindings", "clusterrolebindings"))
"""The resources of which an index is told."""

Rule = Object
"""A PolicyRule: verbs, apiGroups, resources, resourceNames, nonResourceURLs."""


@frozen
class RBACBinding:
    name: str
    namespace: str
    role_kind: str
    role_name: str
    subjects: tuple[Object, ...]

    def describe(self, subject: int) -> str:
        """Why a rule of this binding applies: for reviews and audit."""
        kind = "RoleBinding" if self.namespace else "ClusterRoleBinding"
        own = f"{self.name}/{self.namespace}" if self.namespace else self.name
        to = self.subjects[subject]
        name = to.get("name", "")
        if to.get("kind") == "ServiceAccount":
            name += "/" + (to.get("namespace") or self.namespace)
        role = f"{self.role_kind} {quote(self.role_name)}"
        return f"{kind} {quote(own)} of {role} to {to.get('kind')} {quote(name)}"


_Places = tuple[str, int] | dict[str, int]
"""The bindings that name a subject, each with the index of the first subject that is it.
Most subjects have one binding, and a pair takes a quarter of the memory of a dict."""


@record
class _Scope:
    """The bindings of one namespace (or of the cluster), and where each subject stands first in them."""

    bindings: dict[str, RBACBinding] = field(default_factory=dict)
    by_subject: dict[tuple[str, str], _Places] = field(default_factory=dict)

    def copy(self) -> "_Scope":
        """One that changes by itself."""
        subjects = self.by_subject.items()
        own = {key: dict(at) if isinstance(at, dict) else at for key, at in subjects}
        return _Scope(dict(self.bindings), own)

    def add(self, binding: RBACBinding) -> None:
        self.bindings[binding.name] = binding
        for i, key in enumerate(_subject_keys(binding)):
            if key is None:
                continue
            known = self.by_subject.get(key)
            if known is None:
                self.by_subject[key] = (binding.name, i)
            elif isinstance(known, dict):
                known.setdefault(binding.name, i)
            elif known[0] != binding.name:
                self.by_subject[key] = {known[0]: known[1], binding.name: i}

    def remove(self, name: str) -> None:
        binding = self.bindings.pop(name, None)
        if binding is None:
            return
        for key in _subject_keys(binding):
            places = self.by_subject.get(key) if key is not None else None
            if key is None or places is None:
                continue
            if isinstance(places, dict):
                places.pop(name, None)
                if not places:
                    del self.by_subject[key]
            elif places[0] == name:
                del self.by_subject[key]

    def places_of(self, user: User) -> Iterator[_Places]:
        """The places of the bindings to a user and to each of their groups."""
        for key in (("User", user.name), *(("Group", group) for group in user.groups)):
            places = self.by_subject.get(key)
            if places is not None:
                yield places

    def of(self, user: User) -> list[tuple[RBACBinding, int]]:
        """The bindings that apply to a user, by name, each with the index of the first subject that does."""
        found: dict[str, int] = {}
        for places in self.places_of(user):
            for name, i in places.items() if isinstance(places, dict) else (places,):
                if i < found.get(name, i + 1):
                    found[name] = i
        return [(self.bindings[name], found[name]) for name in sorted(found)]


def _subject_keys(binding: RBACBinding) -> Iterator[tuple[str, str] | None]:
    for subject in binding.subjects:
        kind, name = subject.get("kind", ""), subject.get("name", "")
        if kind == "ServiceAccount":
            namespace = subject.get("namespace") or binding.namespace
            user = sys.intern(f"system:serviceaccount:{namespace}:{name}")  # the same in many clusters
            yield ("User", user) if namespace else None
        else:
            yield (kind, name)


class RBACIndex:
    """Roles and bindings as they are. `changed` is called after each change."""

    def __init__(self) -> None:
        self.roles: dict[tuple[str, str], list[Rule]] = {}
        """The rules of roles, by namespace and name."""
        self._scopes: dict[str, _Scope] = {}
        self._places: dict[tuple[str, str], dict[str, int]] = {}
        """The number of bindings to each subject, by namespace."""
        self.changed: Callable[[], None] = lambda: None

    def copy(self) -> "RBACIndex":
        """One that changes by itself. Roles and bindings are shared."""
        out = RBACIndex()
        out.roles = dict(self.roles)
        out._scopes = {namespace: scope.copy() for namespace, scope in self._scopes.items()}
        out._places = {subject: dict(places) for subject, places in self._places.items()}
        return out

    def put(self, resource: str, key: str, new: Object | None, old: Object | None) -> None:
        """Take in a role or a binding; `new` is None when it is deleted."""
        obj = new or old or {}
        metadata = obj["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        if resource.startswith(ROLES):
            if new is None:
                self.roles.pop((namespace, name), None)
            else:
                self.roles[namespace, name] = new.get("rules") or []
        else:
            self._bind(namespace, name, new)
        self.changed()

    def of(self, user: User, namespace: str) -> list[tuple[RBACBinding, int]]:
        """The bindings of a namespace ("" = the cluster) that apply to a user, by name, each with the index
        of the first subject that does."""
        scope = self._scopes.get(namespace)
        return scope.of(user) if scope is not None else []

    def binding(self, namespace: str, name: str) -> RBACBinding | None:
        """A binding of a namespace ("" = the cluster)."""
        scope = self._scopes.get(namespace)
        return scope.bindings.get(name) if scope is not None else None

    def has_bindings(self, user: User, namespace: str) -> bool:
        """Whether a binding of a namespace ("" = the cluster) applies to a user."""
        scope = self._scopes.get(namespace)
        return scope is not None and next(scope.places_of(user), None) is not None

    def names_of(self, user: User, namespace: str) -> set[str]:
        """The names of the bindings of a namespace ("" = the cluster) that apply to a user."""
        found: set[str] = set()
        scope = self._scopes.get(namespace)
        for places in scope.places_of(user) if scope is not None else ():
            found.update(places if isinstance(places, dict) else places[:1])
        return found

    def namespaces_of(self, user: User) -> set[str]:
        """The namespaces with a binding to a user or one of their groups."""
        keys = [("User", user.name), *(("Group", group) for group in user.groups)]
        return {namespace for key in keys for namespace in self._places.get(key, ())}

    def _bind(self, namespace: str, name: str, new: Object | None) -> None:
        scope = self._scopes.setdefault(namespace, _Scope())
        self._place(namespace, scope.bindings.get(name), -1)
        scope.remove(name)
        if new is not None:
            ref = new.get("roleRef") or {}
            subjects = tuple(new.get("subjects") or ())
            scope.add(RBACBinding(name, namespace, ref.get("kind", ""), ref.get("name", ""), subjects))
            self._place(namespace, scope.bindings[name], 1)
        elif not scope.bindings:
            del self._scopes[namespace]

    def _place(self, namespace: str, binding: RBACBinding | None, count: int) -> None:
        """Count a binding of a namespace, or count it no longer, for each of its subjects."""
        if not namespace or binding is None:
            return
        for key in {key for key in _subject_keys(binding) if key is not None}:
            places = self._places.setdefault(key, {})
            left = places[namespace] = places.get(namespace, 0) + count
            if not left:
                del places[namespace]
                if not places:
                    del self._places[key]
