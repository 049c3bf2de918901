"""The one resource catalog: which groups, versions and resources are served, in which order."""

import re
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module

from pilothouse.registry.groups import events
from pilothouse.registry.resource import Backend, Resource

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
"""Group and version priorities of what is built in: the APIServices that upstream registers for itself.

apiregistration.k8s.io has no APIService; it is served in front of all others."""

CUSTOM_GROUP_PRIORITY, CUSTOM_VERSION_PRIORITY = 1000, 100
"""What upstream registers for a custom resource's group and version."""

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
_VERSION = re.compile(r"v([1-9][0-9]*)(?:(alpha|beta)([1-9][0-9]*))?")
_STAGES = {"alpha": 0, "beta": 1, None: 2}
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


def built_in() -> list[Resource]:
    """Every built-in resource, in the order of discovery."""
    out: list[Resource] = []
    for file in _FILES:
        out += import_module(f"pilothouse.registry.groups.{file}").RESOURCES
    events.store_as(next(r for r in out if r.group_resource == "events"))
    return out


def version_key(version: str) -> tuple[int, int, int, str]:
    """Sorts by upstream's preference: v1alpha1 < v1beta1 < v1 < v2; other names come before, z first."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return (-1, 0, 0, "".join(chr(0x10FFFF - ord(c)) for c in version) + chr(0x10FFFF))
    major, stage, minor = match.groups()
    return (_STAGES[stage], int(major), int(minor or 0), "")


class RuntimeConfigError(ValueError):
    """`--runtime-config` cannot be understood; the message is upstream's."""


class RuntimeConfig:
    """`--runtime-config`: which of the built-in versions and resources are on."""

    def __init__(self, settings: Mapping[str, str], resources: Iterable[Resource]) -> None:
        self._settings = dict(settings)
        self._known = {(r.group, r.version) for r in resources}
        for key in self._settings:
            self._check(key)

    def enabled(self, resource: Resource) -> bool:
        """Whether a resource is served: its own setting first, its version's next, then the sweeping ones."""
        prefix = f"{resource.group}/{resource.version}"
        for key in (f"{prefix}/{resource.plural}", prefix):
            if key in self._settings:
                return _truth(key, self._settings[key])
        out = True
        for key, applies in _sweeping(resource.version):
            if applies and key in self._settings:
                out = self._settings[key] == "true"
        return out

    def _check(self, key: str) -> None:
        value = self._settings[key]
        if key in ("api/all", "api/ga", "api/beta", "api/alpha"):
            if value not in ("true", "false"):
                raise RuntimeConfigError(f"invalid value {key}={value}")
            return
        tokens = key.split("/")
        if len(tokens) not in (2, 3):
            raise RuntimeConfigError(f"runtime-config invalid key {key}")
        group, version = tokens[:2]
        if not any(g == group for g, _ in self._known):
            raise RuntimeConfigError(f"unknown api groups {group}")
        if (group, version) not in self._known:
            raise RuntimeConfigError(f"group version {group}/{version} that has not been registered")
        _truth(key, value)
        if len(tokens) == 3 and tokens[2].lower() != tokens[2]:
            raise RuntimeConfigError(
                f"invalid key {key}: group/version/resource and resource is always lowercase plural, "
                f'not "{tokens[2]}"'
            )


def _sweeping(version: str) -> list[tuple[str, bool]]:
    """The settings that speak of many versions, weakest first, and whether they speak of this one."""
    match = _VERSION.fullmatch(version)
    stage = match.group(2) if match else ""
    return [
        ("api/all", True),
        ("api/ga", match is not None and stage is None),
        ("api/beta", stage == "beta"),
        ("api/alpha", stage == "alpha"),
    ]


def _truth(key: str, value: str) -> bool:
    if value == "" or value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise RuntimeConfigError(
        f'invalid value of {key}: {value}, err: strconv.ParseBool: parsing "{value}": invalid syntax'
    )


class Catalog:
    """The resources that are served now. `changed` are called with (group, version) after every change."""

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._versions: dict[tuple[str, str], dict[str, Resource]] = {}
        self._groups: dict[str, set[str]] = {}
        self._kinds: dict[tuple[str, str, str], Resource] = {}
        self._priorities: dict[tuple[str, str], tuple[int, int]] = {}
        self.changed: list[Callable[[str, str], None]] = []
        self.backends: dict[tuple[str, str], Backend] = {}
        """Group versions that other servers answer; those come before our own resources."""
        for resource in resources:
            self.add(resource)

    def get(self, group: str, version: str, plural: str) -> Resource | None:
        found = self._versions.get((group, version))
        return found.get(plural) if found is not None else None

    def by_kind(self, group: str, version: str, kind: str) -> Resource | None:
        return self._kinds.get((group, version, kind))

    def by_group_resource(self, name: str) -> Resource | None:
        """`pods` or `deployments.apps`, in the version that is preferred."""
        plural, _, group = name.partition(".")
        return next((r for v in self.versions(group) if (r := self.get(group, v, plural)) is not None), None)

    def groups(self) -> list[str]:
        """The named groups (not the core group ""), in the order of /apis."""
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
        """The resources of a group and version, by name."""
        found = self._versions.get((group, version), {})
        return [found[plural] for plural in sorted(found)]

    def all(self) -> list[Resource]:
        return [r for found in self._versions.values() for r in found.values()]

    def priority(self, group: str, version: str) -> tuple[int, int]:
        """(group priority, version priority) as in an APIService."""
        own = self._priorities.get((group, version))
        if own is not None:
            return own
        built = _PRIORITIES.get(group)
        if built is not None and version in built[1]:
            return built[0], built[1][version]
        return CUSTOM_GROUP_PRIORITY, CUSTOM_VERSION_PRIORITY

    def set_priority(self, group: str, version: str, group_priority: int, version_priority: int) -> None:
        """What an APIService says; it stays after the resources are gone."""
        self._priorities[group, version] = (group_priority, version_priority)
        self._tell(group, version)

    def add(self, resource: Resource) -> None:
        """Serve a resource, in place of one of the same name."""
        group, version = resource.group, resource.version
        found = self._versions.setdefault((group, version), {})
        self._groups.setdefault(group, set()).add(version)
        previous = found.get(resource.plural)
        if previous is not None:
            self._kinds.pop((group, version, previous.kind), None)
        found[resource.plural] = resource
        resource.by_kind = self.by_kind
        self._kinds[group, version, resource.kind] = resource
        self._tell(group, version)

    def remove(self, group: str, version: str, plural: str) -> Resource | None:
        """Serve it no longer; None when it was not served."""
        found = self._versions.get((group, version), {})
        resource = found.pop(plural, None)
        if resource is None:
            return None
        if self._kinds.get((group, version, resource.kind)) is resource:
            del self._kinds[group, version, resource.kind]
        if not found:
            del self._versions[group, version]
            self._groups[group].discard(version)
        self._tell(group, version)
        return resource

    def _tell(self, group: str, version: str) -> None:
        for callback in self.changed:
            callback(group, version)


def default_catalog(runtime_config: Mapping[str, str] | None = None) -> Catalog:
    """The built-in resources that the settings leave on; raises RuntimeConfigError."""
    resources = built_in()
    config = RuntimeConfig(runtime_config or {}, resources)
    return Catalog(r for r in resources if config.enabled(r))


def is_custom(resource: Resource) -> bool:
    """Whether a resource comes from a CustomResourceDefinition."""
    return resource.list_items_typed
