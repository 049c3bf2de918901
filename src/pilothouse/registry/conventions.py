"""How a resource is served where kube-apiserver's two kinds of resources differ: one value for each kind.

Resources that are compiled in have a route for each path and method and pass through Go types. Custom
resources share one handler and stay unstructured (apiextensions-apiserver customresource_handler.go). A
record refers to its value, and everybody else asks about the one thing that matters to them.
"""

from collections.abc import Callable

from pilothouse.api.openapi import flavour
from pilothouse.api.openapi.flavour import Flavour
from pilothouse.api.values.identity import RequestInfo
from pilothouse.process.frozen import frozen
from pilothouse.registry.printers import tables
from pilothouse.registry.printers.common import Columns, Printed

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


@frozen(kw_only=True)
class Conventions:
    """The differences between resources that are compiled in and custom ones.

    routed: a router stands in front of the handlers. It answers 404, 405 and 406 for what has no route, in
    general words, and tells an object's methods from a collection's by the path. Without it one handler goes
    by the verb alone, and its errors name the resource.
    path_exists: whether a path below the resource exists, given whether the resource is namespaced.
    patch_types: media types of patches, as messages list them. patch_types_listed_for: media types of which
    the 415 lists those that are accepted; the others are refused by the router.
    protobuf: objects have a protobuf form.
    by_version: rules and columns are declared for each version and see objects in it; without it they are
    written for the version that is stored.
    go_types: objects pass through Go types, which drop empty members and know quantities of the same meaning.
    go_type: the Go type that messages name, by group, kind and "" or "List".
    list_items_typed: items of lists carry kind and apiVersion.
    list_continue: a list's metadata always has `continue`.
    api_service: the APIService of the group version comes and goes with its resources.
    full_kinds: aggregated discovery names group and version of the kind, too. sorted_subresources: discovery
    lists subresources by name instead of as they were declared.
    table_columns: where the columns of a Table come from.
    openapi: how OpenAPI documents describe the resource.
    """

    routed: bool
    path_exists: Callable[[RequestInfo, bool], bool]
    patch_types: tuple[str, ...]
    patch_types_listed_for: frozenset[str]
    protobuf: bool
    by_version: bool
    go_types: bool
    go_type: Callable[[str, str, str], str]
    list_items_typed: bool
    list_continue: bool
    api_service: bool
    full_kinds: bool
    sorted_subresources: bool
    table_columns: Callable[[Printed], Columns]
    openapi: Flavour


def _has_route(info: RequestInfo, namespaced: bool) -> bool:
    """Whether the router of built-in resources has a route for a path:
    it names the scope and goes no deeper. Its parameters match empty names too."""
    parts = info.parts
    in_namespace = bool(info.namespace) or info.unnamed_namespace
    if not namespaced and in_namespace and (parts[0] != "namespaces" or len(parts) == 1):
        return False
    if namespaced and info.name and not in_namespace:
        return False
    if info.verb == "watch" and len(parts) > 2:
        return False
    if "" in parts and not (len(parts) == 3 and info.subresource):
        return False
    return len(parts) <= 3 or info.subresource == "proxy"


def _in_scope(info: RequestInfo, namespaced: bool) -> bool:
    """Whether a path names a custom resource in its scope; only lists and watches go across namespaces."""
    if not namespaced:
        return not info.namespace
    return bool(info.namespace) or info.verb in ("list", "watch")


def _internal_type(group: str, kind: str, suffix: str) -> str:
    """Upstream's internal type: events have one for both of their groups, which core declares."""
    package = "core" if group in ("", "events.k8s.io") else group.partition(".")[0]
    return f"*{package}.{kind}{suffix}"


def _unstructured_type(group: str, kind: str, suffix: str) -> str:
    return f"*unstructured.Unstructured{suffix}"


BUILT_IN = Conventions(
    routed=True,
    path_exists=_has_route,
    patch_types=(JSON_PATCH, MERGE_PATCH, STRATEGIC, APPLY),
    patch_types_listed_for=frozenset(),
    protobuf=True,
    by_version=False,
    go_types=True,
    go_type=_internal_type,
    list_items_typed=False,
    list_continue=False,
    api_service=False,
    full_kinds=False,
    sorted_subresources=True,
    table_columns=tables.columns_of_release,
    openapi=flavour.INSTALLED,
)

CUSTOM = Conventions(
    routed=False,
    path_exists=_in_scope,
    patch_types=(JSON_PATCH, MERGE_PATCH, APPLY),
    patch_types_listed_for=frozenset((STRATEGIC, "application/json", "")),
    protobuf=False,
    by_version=True,
    go_types=False,
    go_type=_unstructured_type,
    list_items_typed=True,
    list_continue=True,
    api_service=True,
    full_kinds=True,
    sorted_subresources=False,
    table_columns=tables.columns_of_definition,
    openapi=flavour.DEFINED,
)
