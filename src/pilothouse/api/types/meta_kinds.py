"""Types of kinds that occur only in answers and in no OpenAPI document: partial metadata, discovery."""

from functools import cache

from pilothouse.api.types import schema
from pilothouse.api.types.schema import Field, Type

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_TEXT = Type("string", go="string")
_TEXTS = Type("list", items=_TEXT, go="[]string")


def for_answer(group: str, version: str, kind: str) -> Type:
    """The type of any kind of answer; raises KeyError."""
    made = _own().get((group, kind))
    if made is not None:
        return made
    return schema.for_kind(group, version or "v1", kind)


@cache
def _own() -> dict[tuple[str, str], Type]:
    partial = _struct(_META + "PartialObjectMetadata", metadata=schema.builtin(_META + "ObjectMeta"))
    lists = _list(_META + "PartialObjectMetadataList", partial)
    return {
        ("meta.k8s.io", "PartialObjectMetadata"): partial,
        ("meta.k8s.io", "PartialObjectMetadataList"): lists,
        ("apidiscovery.k8s.io", "APIGroupDiscoveryList"): _discovery(),
    }


def _discovery() -> Type:
    prefix = "io.k8s.api.apidiscovery.v2."
    kind = _struct(_META + "GroupVersionKind", group=_TEXT, version=_TEXT, kind=_TEXT)
    subresource = _struct(
        prefix + "APISubresourceDiscovery",
        subresource=_TEXT,
        responseKind=kind,
        acceptedTypes=_many(kind),
        verbs=_TEXTS,
    )
    resource = _struct(
        prefix + "APIResourceDiscovery",
        resource=_TEXT,
        responseKind=kind,
        scope=_TEXT,
        singularResource=_TEXT,
        verbs=_TEXTS,
        shortNames=_TEXTS,
        categories=_TEXTS,
        subresources=_many(subresource),
    )
    resource.fields["responseKind"].pointer = subresource.fields["responseKind"].pointer = True
    version = _struct(
        prefix + "APIVersionDiscovery", version=_TEXT, resources=_many(resource), freshness=_TEXT
    )
    group = _struct(
        prefix + "APIGroupDiscovery", metadata=schema.builtin(_META + "ObjectMeta"), versions=_many(version)
    )
    return _list(prefix + "APIGroupDiscoveryList", group)


def _struct(name: str, **members: Type) -> Type:
    return Type("struct", name, {member: Field(member, type) for member, type in members.items()}, go=name)


def _many(items: Type) -> Type:
    return Type("list", items=items, go="[]" + items.go)


def _list(name: str, items: Type) -> Type:
    return _struct(name, metadata=schema.builtin(_META + "ListMeta"), items=_many(items))
