"""Differences between the OpenAPI documents of built-in and custom resources, which upstream builds in two places."""

from dataclasses import dataclass

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
TYPED = (JSON, YAML, PROTOBUF)
UNSTRUCTURED = (JSON, YAML)
STREAMS = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch")
ANY_TYPE = ("*/*",)
_PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """The properties of a group version's document besides its resources.

    media_types: of answers. stream_types: added to a list's media types by its watch. body_types,
    patch_types: accepted in requests. patch_codes: the statuses of a successful patch. watch_paths: the
    deprecated paths below /watch/ are listed, and a list's description mentions watch. group_paths: the
    discovery paths of the group and the group version are listed. subresource_kinds: operations on a
    subresource name the kind of its body instead of the resource's kind.
    """

    title: str
    version: str
    media_types: tuple[str, ...]
    stream_types: tuple[str, ...]
    body_types: tuple[str, ...]
    patch_types: tuple[str, ...]
    patch_codes: tuple[int, ...]
    watch_paths: bool
    group_paths: bool
    subresource_kinds: bool


INSTALLED = Flavour(
    title="Kubernetes",
    version="v1.36.0",
    media_types=TYPED,
    stream_types=STREAMS,
    body_types=ANY_TYPE,
    patch_types=(*_PATCHES, "application/strategic-merge-patch+json"),
    patch_codes=(200, 201),
    watch_paths=True,
    group_paths=True,
    subresource_kinds=True,
)
"""Built-in resources, as described by apiserver's endpoints/installer.go."""

DEFINED = Flavour(
    title="Kubernetes CRD Swagger",
    version="v0.1.0",
    media_types=UNSTRUCTURED,
    stream_types=(),
    body_types=UNSTRUCTURED,
    patch_types=_PATCHES,
    patch_codes=(200,),
    watch_paths=False,
    group_paths=False,
    subresource_kinds=False,
)
"""Custom resources, as described by apiextensions' controller/openapi/builder."""
