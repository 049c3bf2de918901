"""Differences between the OpenAPI documents of built-in and custom resources,
which upstream builds in two places."""

from pilothouse.process.frozen import frozen

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
TYPED = (JSON, YAML, PROTOBUF)
UNSTRUCTURED = (JSON, YAML)
STREAMS = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch")
ANY_TYPE = ("*/*",)
JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC_PATCH, APPLY_PATCH = "application/strategic-merge-patch+json", "application/apply-patch+yaml"


@frozen(kw_only=True)
class Flavour:
    """The properties of a group version's document besides its resources.

    media_types: of answers. stream_types: added to a list's media types by its watch. consumes: the media
    types of requests; patch_types: those of patches. patch_codes: the statuses of a successful patch.
    watch_paths: the deprecated paths below /watch/ are listed, and a list's description mentions watch.
    group_paths: the discovery paths of the group and the group version are listed. subresource_kinds:
    operations on a subresource name the kind of its body instead of the resource's kind. delete_options:
    deletes of a collection take the options of deletes, without it those of lists. security: documents of
    version 3 tell how clients authenticate.
    """

    title: str
    version: str
    media_types: tuple[str, ...]
    stream_types: tuple[str, ...]
    consumes: tuple[str, ...]
    patch_types: tuple[str, ...]
    patch_codes: tuple[int, ...]
    watch_paths: bool
    group_paths: bool
    subresource_kinds: bool
    delete_options: bool
    security: bool


INSTALLED = Flavour(
    title="Kubernetes",
    version="v1.36.0",
    media_types=TYPED,
    stream_types=STREAMS,
    consumes=ANY_TYPE,
    patch_types=(JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH),
    patch_codes=(200, 201),
    watch_paths=True,
    group_paths=True,
    subresource_kinds=True,
    delete_options=True,
    security=True,
)
"""Built-in resources, as described by apiserver's endpoints/installer.go."""

DEFINED = Flavour(
    title="Kubernetes CRD Swagger",
    version="v0.1.0",
    media_types=UNSTRUCTURED,
    stream_types=(),
    consumes=UNSTRUCTURED,
    patch_types=(JSON_PATCH, MERGE_PATCH, APPLY_PATCH),
    patch_codes=(200,),
    watch_paths=False,
    group_paths=False,
    subresource_kinds=False,
    delete_options=False,
    security=False,
)
"""Custom resources, as described by apiextensions' controller/openapi/builder."""
