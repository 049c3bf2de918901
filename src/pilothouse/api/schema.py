"""The type tree of an object: what decoding, defaulting, patching and server-side apply walk.

Built-in kinds come from the generated data in schemas/ (`builtin`), custom resources from their structural schema.
A struct type is made once and shared wherever it is used; lists and maps belong to the field that holds them.
"""

from typing import Any


class Type:
    """One node.

    kind: struct (known `fields`), map (string keys, values of `items`), list (of `items`), string, int32, int64,
    number, bool, bytes (base64 text), time, microtime, duration, quantity, intorstring, any (whatever JSON).
    name: the OpenAPI definition's name for a struct, else "".
    list_type: atomic | set | map; list_keys: the keys of a `map` list, in order. "" counts as atomic.
    map_type: atomic | granular ("" counts as granular), for structs and maps.
    """

    __slots__ = ("fields", "items", "kind", "list_keys", "list_type", "map_type", "name", "preserve_unknown", "rules")

    def __init__(
        self,
        kind: str,
        name: str = "",
        fields: "dict[str, Field] | None" = None,
        items: "Type | None" = None,
        list_type: str = "",
        list_keys: tuple[str, ...] = (),
        map_type: str = "",
        preserve_unknown: bool = False,
        rules: Any = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.fields = fields if fields is not None else {}
        self.items = items
        self.list_type = list_type
        self.list_keys = list_keys
        self.map_type = map_type
        self.preserve_unknown = preserve_unknown
        self.rules = rules


class Field:
    """A member of a struct.

    omit: left out of JSON when zero (Go omitempty); pointer: may be absent, and an empty value is kept.
    A field that is neither is always written, with its zero value when nothing was given.
    default: the schema's plain default, None where there is none. patch_strategy: merge | replace | retainKeys or a
    comma-separated pair; patch_merge_key: the key of a strategic-merge list.
    """

    __slots__ = ("default", "name", "omit", "patch_merge_key", "patch_strategy", "pointer", "required", "type")

    def __init__(
        self,
        name: str,
        type: Type,
        omit: bool = True,
        pointer: bool = False,
        default: Any = None,
        required: bool = False,
        patch_strategy: str = "",
        patch_merge_key: str = "",
    ) -> None:
        self.name = name
        self.type = type
        self.omit = omit
        self.pointer = pointer
        self.default = default
        self.required = required
        self.patch_strategy = patch_strategy
        self.patch_merge_key = patch_merge_key


def builtin(name: str) -> Type:
    """The type of an OpenAPI definition, for example `io.k8s.api.core.v1.Pod`; KeyError when there is none."""
    raise NotImplementedError
