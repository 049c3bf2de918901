"""How the OpenAPI documents of a group version read: upstream makes them in two places, which differ in details."""

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
    """What the document of a group version says beside the names of its resources.

    media_types: of answers. stream_types: those that a watch adds to a list's. body_types, patch_types: what requests
    may bring. patch_codes: the statuses of a patch that succeeds.
    watch_paths: the deprecated paths below /watch/ are listed, and a list is said to be a watch as well.
    group_paths: the paths that describe the group and the group version themselves are listed.
    subresource_kinds: the operations of a subresource name the kind of its body, instead of the resource's.
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
"""As apiserver's endpoints/installer.go describes what is compiled in."""

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
"""As apiextensions' controller/openapi/builder describes what definitions add."""
