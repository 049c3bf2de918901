"""The parameters of a policy: which objects a binding names
(apiserver plugin/policy/generic CollectParams)."""

from pilothouse.api.types import scheme
from pilothouse.api.values import selectors
from pilothouse.api.values.fields import Object
from pilothouse.registry.readers import Readers, ServedKind


class PolicyConfigurationError(Exception):
    """A policy or a binding cannot be used as it is configured; the text is upstream's."""


def param_resource(readers: Readers, kind: Object) -> ServedKind:
    """The resource that serves the paramKind of a policy; PolicyConfigurationError when none does."""
    group, version = scheme.parse_group_version(kind.get("apiVersion") or "")
    found = readers.by_kind(group, version, kind.get("kind") or "")
    if found is None:
        named = f"{group}/{version}, Kind={kind.get('kind', '')}"
        raise PolicyConfigurationError(f"failed to find resource referenced by paramKind: '{named}'")
    return found


async def collect(
    readers: Readers, kind: Object | None, resource: ServedKind | None, ref: Object | None, namespace: str
) -> list[Object | None]:
    """The parameters with which a policy is evaluated, once for each;
    [None] for a binding or a policy without any.

    `namespace` is that of the request. PolicyConfigurationError in upstream's words.
    """
    if kind is None or ref is None or resource is None:
        return [None]
    place = ref.get("namespace") or ""
    if not resource.namespaced:
        if place:
            raise PolicyConfigurationError(
                "paramRef.namespace must not be provided for a cluster-scoped `paramKind`"
            )
    elif not place:
        place = namespace
        if not place:
            raise PolicyConfigurationError(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
            )
    found = _find(readers, resource, ref, place)
    if not found and ref.get("parameterNotFoundAction") == "Deny":
        raise PolicyConfigurationError(
            "no params found for policy binding with `Deny` parameterNotFoundAction"
        )
    return [await _served(resource, one) for one in found]


def _find(readers: Readers, resource: ServedKind, ref: Object, place: str) -> list[Object]:
    name = resource.group_resource
    if ref.get("name"):
        one = readers.get(name, place, ref["name"])
        return [one] if one is not None else []
    selector = selectors.from_label_selector(ref.get("selector"))
    return [
        one
        for one in readers.list(name, place)
        if selector.matches_labels(one["metadata"].get("labels") or {})
    ]


async def _served(resource: ServedKind, obj: Object) -> Object:
    """A stored object in the version that the policy names."""
    return obj if obj.get("apiVersion") == resource.api_version else await resource.presented(obj)
