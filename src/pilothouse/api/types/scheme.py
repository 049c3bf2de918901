"""Groups, versions and kinds: which are registered, which are served, and their names in Go.

More is registered than served: a body in an old version of a kind (apps/v1beta1) is decoded and then refused
because of its version; one in an unknown version cannot be decoded.
"""

import functools
from typing import Any

from pilothouse.api.types import schema
from pilothouse.gotext import quote
from pilothouse.process.frozen import frozen

GroupVersionKind = tuple[str, str, str]

INTERNAL = "__internal"
"""The version of Go's internal types, into which kube-apiserver converts what it reads."""

OPTION_KINDS = frozenset(
    {
        "CreateOptions",
        "DeleteOptions",
        "GetOptions",
        "ListOptions",
        "PatchOptions",
        "UpdateOptions",
        "WatchEvent",
    }
)
"""Kinds that Go registers in every group version (metav1.AddToGroupVersion)."""

UNVERSIONED_KINDS = frozenset({"APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "Status"})
"""Kinds that every scheme knows in any group version."""

_UNREGISTERED_GROUPS = frozenset({"admission.k8s.io", "apidiscovery.k8s.io", "meta.k8s.io"})
_SCHEMES = {
    "apiextensions.k8s.io": "pkg/apiserver/apiserver.go:55",
    "apiregistration.k8s.io": "pkg/apiserver/scheme/scheme.go:28",
}
_SCHEME = "pkg/api/legacyscheme/scheme.go:30"

# Kinds of the group `extensions` share the internal types of these groups.
_EXTENSIONS_KINDS = {"NetworkPolicy": "networking", "Ingress": "networking", "PodSecurityPolicy": "policy"}


@frozen
class ServedResource:
    """One entry of discovery: a resource or subresource in one group version."""

    group: str
    version: str
    resource: str
    subresource: str
    kind: str
    response_group: str
    response_version: str
    namespaced: bool
    singular: str
    short_names: tuple[str, ...]
    categories: tuple[str, ...]
    verbs: tuple[str, ...]
    storage_version_hash: str


def group_version(group: str, version: str) -> str:
    """The apiVersion of an object: `apps/v1`, or `v1` in the core group."""
    return f"{group}/{version}" if group else version


def parse_group_version(text: str) -> tuple[str, str]:
    """Split an apiVersion into group and version; raises ValueError with upstream's message."""
    group, slash, version = text.rpartition("/")
    if slash and "/" in group:
        raise ValueError(f"unexpected GroupVersion string: {text}")
    return (group, version) if text != "/" else ("", "")


def _registered() -> dict[str, Any]:
    found: dict[str, Any] = schema.index()["registered"]
    return found


def is_registered(scheme_group: str, group: str, version: str, kind: str) -> bool:
    """Whether the scheme to which `scheme_group` belongs knows a kind."""
    if kind in UNVERSIONED_KINDS:
        return True
    core = not group and version == "v1"
    if kind in OPTION_KINDS and core:
        return True
    found = _registered().get(group_version(group, version))
    if found is None or group in _UNREGISTERED_GROUPS or scheme_name(group) != scheme_name(scheme_group):
        return False
    return kind in OPTION_KINDS or kind in found["kinds"] or (core and kind == "List")


def definition_name(group: str, version: str, kind: str) -> str:
    """The OpenAPI name of a kind; raises KeyError if it has no definition."""
    return schema.for_kind(group, version, kind).name


def scheme_name(group: str) -> str:
    """The name of the group's Go scheme in messages."""
    return _SCHEMES.get(group, _SCHEME)


def not_registered(scheme_group: str, group: str, version: str, kind: str) -> str:
    """Upstream's message for a kind that the scheme of `scheme_group` does not know."""
    return not_in_scheme(scheme_name(scheme_group), group, version, kind)


def not_in_scheme(scheme: str, group: str, version: str, kind: str) -> str:
    """Upstream's message for a kind that the scheme of this name does not know."""
    where = f"version {quote(group_version(group, version))}"
    if version == INTERNAL:
        where = f"the internal version of group {quote(group)}"
    return f'no kind {quote(kind)} is registered for {where} in scheme "{scheme}"'


def internal_package(group: str, version: str, kind: str) -> str:
    """The Go package of a kind's internal type: `core`, `apps`.
    Kinds with the same one convert to each other."""
    found = _registered().get(group_version(group, version))
    package: str = found["package"].rsplit(".", 2)[-2] if found else group.partition(".")[0]
    if package == "events":
        return "core"
    if package == "extensions":
        return _EXTENSIONS_KINDS.get(kind, "apps")
    return package


def same_internal_type(one: GroupVersionKind, other: GroupVersionKind) -> bool:
    """Whether objects of one kind can be converted to the other through their internal type."""
    return one[2] == other[2] and internal_package(*one) == internal_package(*other)


def unknown_conversion(actual: GroupVersionKind, expected: GroupVersionKind) -> str:
    """Upstream's message for a body of another kind."""
    package = internal_package(*expected)
    return f"converting ({actual[1]}.{actual[2]}) to ({package}.{expected[2]}): unknown conversion"


@functools.cache
def served() -> tuple[ServedResource, ...]:
    """All entries of discovery in the default configuration, in order."""
    return tuple(_served(row) for row in schema.index()["resources"])


def _served(row: dict[str, Any]) -> ServedResource:
    return ServedResource(
        group=row["group"],
        version=row["version"],
        resource=row["resource"],
        subresource=row["subresource"] or "",
        kind=row["kind"],
        response_group=row["responseGroup"] or "",
        response_version=row["responseVersion"] or "",
        namespaced=row["namespaced"],
        singular=row["singular"] or "",
        short_names=tuple(row["shortNames"] or ()),
        categories=tuple(row["categories"] or ()),
        verbs=tuple(row["verbs"]),
        storage_version_hash=row.get("storageVersionHash") or "",
    )
