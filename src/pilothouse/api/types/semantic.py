"""Semantic equality of objects (apimachinery equality.Semantic)."""

from typing import Any

from pilothouse.api.types.schema import Type
from pilothouse.api.values import quantity


def same_meaning(type: Type, a: Any, b: Any) -> bool:
    """Whether two values mean the same: 1Gi equals 1024Mi, and an empty list or map equals none."""
    if a == b:
        return True
    match type.kind:
        case "quantity":
            return _same_quantity(a, b)
        case "list" if type.items is not None:
            a, b = a or [], b or []
            items = type.items
            return len(a) == len(b) and all(same_meaning(items, x, y) for x, y in zip(a, b, strict=True))
        case "map" if type.items is not None:
            a, b = a or {}, b or {}
            items = type.items
            return a.keys() == b.keys() and all(same_meaning(items, a[k], b[k]) for k in a)
        case "struct" if isinstance(a, dict) and isinstance(b, dict):
            return all(_same_member(type, k, a.get(k), b.get(k)) for k in a.keys() | b.keys())
    return False


def _same_member(type: Type, name: str, a: Any, b: Any) -> bool:
    field = type.fields.get(name)
    return bool(a == b) if field is None else same_meaning(field.type, a, b)


def _same_quantity(a: Any, b: Any) -> bool:
    try:
        return quantity.parse(a or "0") == quantity.parse(b or "0")
    except (quantity.QuantityError, TypeError, AttributeError):
        return False
