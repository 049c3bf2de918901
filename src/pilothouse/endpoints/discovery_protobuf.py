"""Aggregated discovery in protobuf (k8s.io/api apidiscovery/v2), which no OpenAPI schema describes."""

from typing import Any

from pilothouse.api.openapi_protobuf import Fields, field, message, text
from pilothouse.api.protobuf import MAGIC


def encode(document: dict[str, Any]) -> bytes:
    """An APIGroupDiscoveryList in the envelope of a body."""
    meta = field(1, document["apiVersion"].encode()) + field(2, document["kind"].encode())
    return MAGIC + field(1, meta) + field(2, message(document, _LIST))


def _response_kind(value: dict[str, Any]) -> bytes:
    return message(value, {"group": (1, text), "version": (2, text), "kind": (3, text)})


def _metadata(value: dict[str, Any]) -> bytes:
    return message(value, {"name": (1, text)})


_SUBRESOURCE: Fields = {"subresource": (1, text), "responseKind": (2, _response_kind), "verbs": (4, text)}
_RESOURCE: Fields = {
    "resource": (1, text),
    "responseKind": (2, _response_kind),
    "scope": (3, text),
    "singularResource": (4, text),
    "verbs": (5, text),
    "shortNames": (6, text),
    "categories": (7, text),
    "subresources": (8, lambda value: message(value, _SUBRESOURCE)),
}
_VERSION: Fields = {
    "version": (1, text),
    "resources": (2, lambda value: message(value, _RESOURCE)),
    "freshness": (3, text),
}
_GROUP: Fields = {"metadata": (1, _metadata), "versions": (2, lambda value: message(value, _VERSION))}
_LIST: Fields = {"metadata": (1, _metadata), "items": (2, lambda value: message(value, _GROUP))}
