"""The resource catalog: the groups, versions and resources that a server serves, and their order."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib import import_module

from pilothouse.registry.resource import AggregatedServer, Resource
from pilothouse.registry.runtime_config import RuntimeConfig
from pilothouse.registry.versions import version_key

_PRIORITIES: dict[str, tuple[int, dict[str, int]]] = {
    "": (18000, {"v1": 1}),
    "apiregistration.k8s.io": (20000, {"v1": 15}),
    "apps": (17800, {"v1": 15}),
    "events.k8s.io": (17750, {"v1": 15}),
    "authentication.k8s.io": (17700, {"v1": 15}),
    "authorization.k8s.io": (17600, {"v1": 15}),
    "autoscaling": (17500, {"v2": 30, "v1": 15}),
    "batch": (17400, {"v1": 15}),
    "certificates.k8s.io": (17300, {"v1": 15}),
    "networking.k8s.io": (17200, {"v1": 15}),
    "policy": (17100, {"v1": 15}),
    "rbac.authorization.k8s.io": (17000, {"v1": 15}),
    "storage.k8s.io": (16800, {"v1": 15}),
    "admissionregistration.k8s.io": (16700, {"v1": 15}),
    "apiextensions.k8s.io": (16700, {"v1": 15}),
    "scheduling.k8s.io": (16600, {"v1": 15}),
    "coordination.k8s.io": (16500, {"v1": 15}),
    "node.k8s.io": (16300, {"v1": 15}),
    "discovery.k8s.io": (16200, {"v1": 15}),
    "resource.k8s.io": (16200, {"v1": 21}),
    "flowcontrol.apiserver.k8s.io": (16100, {"v1": 21}),
}
"""Group -> (group priority, version priorities) of built-in APIs,
as in the APIServices that upstream registers.

apiregistration.k8s.io has no APIService; it is served before all others."""

CUSTOM_GROUP_PRIORITY, CUSTOM_VERSION_PRIORITY = 1000, 100
"""The priorities that upstream registers for the groups and versions of custom resources."""

_FILES = (
    "core.resources",
    "apiregistration",
    "apps",
    "events",
    "authentication",
    "authorization",
    "autoscaling",
    "batch",
    "certificates",
    "networking",
    "policy",
    "rbac",
    "storage",
    "admissionregistration",
    "apiextensions",
    "scheduling",
    "coordination",
    "node",
    "discovery",
    "dra",
    "flowcontrol",
)


def built_in() -> list[Resource]:
    """All built-in resources in discovery order. The records are immutable, so all servers share them."""
    out: list[Resource] = []
    for file in _FILES:
        out += import_module(f"pilothouse.registry.groups.{file}").RESOURCES
    return out


class Catalog:
    """The resources served now. Each callback in `changed` is called with (group, version) after a change."""

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._versions: dict[tuple[str, str], dict[str, Resource]] = {}
        self._groups: dict[str, set[str]] = {}
        self._kinds: dict[tuple[str, str, str], Resource] = {}
        self._priorities: dict[tuple[str, str], tuple[int, int]] = {}
        self._preferred: dict[str, dict[str, Resource]] = {}
        """Group -> plural -> what `by_group_resource` has found. Copies share it while they are the same: the
        first change gives a catalog one of its own."""
        self.changed: list[Callable[[str, str], None]] = []
        self.backends: dict[tuple[str, str], AggregatedServer] = {}
        """Group versions that aggregated servers answer;
        they take precedence over this server's own resources."""
        for resource in resources:
            self.add(resource)

    def copy(self) -> "Catalog":
        """One that changes by itself, and calls nobody back yet."""
        out = Catalog()
        out._versions = {version: dict(found) for version, found in self._versions.items()}
        out._groups = {group: set(versions) for group, versions in self._groups.items()}
        out._kinds, out._priorities = dict(self._kinds), dict(self._priorities)
        out._preferred = self._preferred
        out.backends = dict(self.backends)
        return out

    def get(self, group: str, version: str, plural: str) -> Resource | None:
        found = self._versions.get((group, version))
        return found.get(plural) if found is not None else None

    def by_kind(self, group: str, version: str, kind: str) -> Resource | None:
        return self._kinds.get((group, version, kind))

    def by_group_resource(self, name: str) -> Resource | None:
        """The resource named like `pods` or `deployments.apps`, in its preferred version."""
        plural, _, group = name.partition(".")
        known = self._preferred.get(group)
        if known is not None and plural in known:
            return known[plural]
        found = self._groups.get(group, ())
        versions = found if len(found) < 2 else self.versions(group)
        preferred = next((r for v in versions if (r := self.get(group, v, plural)) is not None), None)
        if preferred is not None:
            self._preferred.setdefault(group, {})[plural] = preferred
        return preferred

    def groups(self) -> list[str]:
        """All groups except the core group "", in the order of /apis."""
        best: dict[str, int] = {}
        for group, version in self._versions:
            if group:
                best[group] = max(best.get(group, 0), self.priority(group, version)[0])
        return sorted(best, key=lambda g: (-best[g], g))

    def versions(self, group: str) -> list[str]:
        """The versions of a group, the preferred one first."""
        found = self._groups.get(group, ())
        return sorted(found, key=lambda v: (self.priority(group, v)[1], version_key(v)), reverse=True)

    def resources(self, group: str, version: str) -> list[Resource]:
        """The resources of a group and version, sorted by name."""
        found = self._versions.get((group, version), {})
        return [found[plural] for plural in sorted(found)]

    def first(self, group: str, version: str) -> Resource | None:
        """The first of the resources of a group and version; None where nothing is served."""
        found = self._versions.get((group, version))
        return found[min(found)] if found else None

    def group_versions(self) -> list[tuple[str, str]]:
        """All groups with their versions, in the order in which they came to be served."""
        return [version for version, found in self._versions.items() if found]

    def all(self) -> list[Resource]:
        return [r for found in self._versions.values() for r in found.values()]

    def priority(self, group: str, version: str) -> tuple[int, int]:
        """(group priority, version priority), as in an APIService."""
        own = self._priorities.get((group, version))
        if own is not None:
            return own
        built = _PRIORITIES.get(group)
        if built is not None and version in built[1]:
            return built[0], built[1][version]
        return CUSTOM_GROUP_PRIORITY, CUSTOM_VERSION_PRIORITY

    def set_priority(self, group: str, version: str, group_priority: int, version_priority: int) -> None:
        """Set the priorities from an APIService; they stay when the resources are removed."""
        self._priorities[group, version] = (group_priority, version_priority)
        self._notify(group, version)

    def set_backend(self, group: str, version: str, backend: AggregatedServer | None) -> None:
        """Have an aggregated server answer a group version; None: no longer."""
        known = self.backends.pop((group, version), None)
        if backend is not None:
            self.backends[group, version] = backend
        if (known is None) != (backend is None):
            self._notify(group, version)

    def add(self, resource: Resource) -> None:
        """Serve a resource; replaces one with the same group, version and plural."""
        group, version = resource.group, resource.version
        found = self._versions.setdefault((group, version), {})
        self._groups.setdefault(group, set()).add(version)
        previous = found.get(resource.plural)
        if previous is not None:
            self._kinds.pop((group, version, previous.kind), None)
        found[resource.plural] = resource
        self._kinds[group, version, resource.kind] = resource
        self._notify(group, version)

    def remove(self, group: str, version: str, plural: str) -> Resource | None:
        """Stop serving a resource and return it; None if it was not served."""
        found = self._versions.get((group, version), {})
        resource = found.pop(plural, None)
        if resource is None:
            return None
        if self._kinds.get((group, version, resource.kind)) is resource:
            del self._kinds[group, version, resource.kind]
        if not found:
            del self._versions[group, version]
            self._groups[group].discard(version)
        self._notify(group, version)
        return resource

    def _notify(self, group: str, version: str) -> None:
        self._preferred = {name: found for name, found in self._preferred.items() if name != group}
        for callback in self.changed:
            callback(group, version)


def default_catalog(runtime_config: Mapping[str, str] | None = None) -> Catalog:
    """The built-in resources that --runtime-config enables; raises RuntimeConfigError."""
    return _enabled(tuple((runtime_config or {}).items())).copy()


@lru_cache(maxsize=4)
def _enabled(runtime_config: tuple[tuple[str, str], ...]) -> Catalog:
    """The same for all logical clusters. Nobody changes it."""
    resources = built_in()
    config = RuntimeConfig(dict(runtime_config), resources)
    return Catalog(r for r in resources if config.enabled(r))
