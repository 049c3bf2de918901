"""Simplifies schemas of definitions for OpenAPI v2,
so that clients that validate by it refuse nothing that is valid.

Upstream: apiextensions-apiserver pkg/controller/openapi/v2/conversion.go and builder.go (buildKubeNative).
"""

from typing import Any

from pilothouse.api.openapi.paths import Document

PRESERVE = "x-kubernetes-preserve-unknown-fields"
_JUNCTORS = ("allOf", "anyOf", "oneOf", "not")


def is_open(declared: Document) -> bool:
    """Whether nothing may be said of a kind's members:
    it has no schema, or its root preserves unknown ones."""
    return not declared or bool(declared.get(PRESERVE))


def simplified(declared: Document) -> Document:
    """A schema without what version 2 has no words for, or what kubectl cannot cope with."""
    out = {name: value for name, value in declared.items() if name not in _JUNCTORS}
    nullable = bool(out.pop("nullable", False))
    if nullable:
        out.pop("type", None)
    if nullable or out.get(PRESERVE):
        for name in ("items", "properties"):
            out.pop(name, None)
    if out.get("type") == "array" and "items" not in out:
        del out["type"]
    if out.get(PRESERVE) and out.get("type") == "object":
        del out["type"]
    _forgive(out)
    for name in ("items", "additionalProperties"):
        if isinstance(out.get(name), dict):
            out[name] = simplified(out[name])
    if isinstance(out.get("properties"), dict):
        out["properties"] = {name: simplified(member) for name, member in out["properties"].items()}
    return out


def _forgive(out: Document) -> None:
    """A member that may be null is not required."""
    members = out.get("properties") or {}
    required = [name for name in out.get("required") or () if not _nullable(members.get(name))]
    if not required or _nullable(out.get("additionalProperties")):
        out.pop("required", None)
    else:
        out["required"] = required


def _nullable(schema: Any) -> bool:
    return isinstance(schema, dict) and bool(schema.get("nullable"))
