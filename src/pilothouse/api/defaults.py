"""Defaults that no schema can say, per kind."""

from pilothouse.api.fields import Object


def apply(obj: Object, group: str, version: str, kind: str) -> None:
    """Set in place what upstream's defaulting functions set."""
