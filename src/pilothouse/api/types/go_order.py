"""Orders the members of objects as Go's encoding/json writes them:
those of structs as the type declares them, those of maps by their names."""

from typing import Any

from pilothouse.api.types.schema import Type


def in_go_order(value: Any, type: Type) -> Any:
    """A copy of a value of a built-in type in this order; members that the type does not know come last."""
    if isinstance(value, list) and type.kind == "list":
        assert type.items is not None
        return [in_go_order(item, type.items) for item in value]
    if not isinstance(value, dict):
        return value
    if type.kind == "map":
        assert type.items is not None
        return {name: in_go_order(value[name], type.items) for name in sorted(value)}
    if type.kind != "struct":
        return value
    fields = type.fields
    names = dict.fromkeys(name for name in (*type.order, *value) if name in value)
    return {
        name: in_go_order(value[name], fields[name].type) if name in fields else value[name] for name in names
    }
