"""Strategic merge patch (apimachinery util/strategicpatch): a merge patch that merges lists by keys.

Directives: `$patch` (replace, delete, merge), `$retainKeys`, `$deleteFromPrimitiveList/field` and
`$setElementOrder/field`. Errors for which upstream has no reason are errors.Unknown (500).
"""

from collections import deque
from functools import cache
from itertools import chain
from typing import Any

from pilothouse import errors, gotext
from pilothouse.api import codec
from pilothouse.api._schema import DecodeError
from pilothouse.api.changes.patch import PANIC, decode_object
from pilothouse.api.types.schema import Field, Type
from pilothouse.api.values import times
from pilothouse.api.values.fields import Errors, Object
from pilothouse.gotext import quote

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_DELETE = "$deleteFromPrimitiveList"
_ORDER = "$setElementOrder"
_BAD_ORDER = "invalid patch format of setElementOrder list"
_BAD_DELETE = "invalid patch format of primitive list"
_BAD_RETAIN = "invalid patch format of retainKeys"

List = list[Any]


def apply_patch(live: Object, body: bytes, type: Type, strict: bool = True) -> tuple[Any, list[str]]:
    """Merge the patch into the live object;
    returns it with the messages of strict decoding about the patch."""
    try:
        patch, notes = decode_object(body)
    except ValueError as err:
        raise errors.BadRequest(str(err)) from None
    patched = apply(live, patch or {}, type)
    try:
        check_shape(patched, type, live)
    except ValueError as err:
        errs = Errors()
        errs.invalid("patch", shown(body), str(err))
        raise errors.invalid("", "", "", errs.causes) from None
    return patched, notes if strict else []


def shown(body: bytes) -> str:
    """A patch that decodes, as messages show it."""
    return gotext.value(decode_object(body)[0] or {})


def apply(live: Object, patch: Object, type: Type) -> Object:
    """Merge `patch`, which is consumed, into `live` by the patch strategies of `type`; a new object.

    Parts of `live` that the patch does not change are shared with it.
    """
    return _merge_map(live, patch, type)


def _merge_map(live: Object, patch: Object, type: Type) -> Object:
    """Merge `patch`, which is consumed, into `live`; Go's dynamic types must be equal for values to merge."""
    if _PATCH in patch:
        return _replaced_map(patch)
    original = live.copy()
    _retain_keys(original, patch)
    _merge_ordered_lists(original, patch, type)
    for name, value in patch.items():
        deleting = name.startswith(_DELETE)
        if deleting:
            name = _field_of(name, _DELETE, _BAD_DELETE)
        if value is None:
            original.pop(name, None)
            continue
        before, kind = original.get(name, _ABSENT), value.__class__
        if before.__class__ is not kind:
            if not deleting:
                _put(original, name, _without_nulls(value))
        elif kind is dict:
            strategy, _, inner = _lookup(type, name)
            original[name] = value if strategy == "replace" else _merge_map(before, value, inner)
        elif kind is list:
            strategy, key, inner = _lookup_list(type, name)
            if strategy == "merge" or deleting:
                original[name] = _merge_list(before, value, inner, key, deleting)
            else:
                original[name] = value
        else:
            original[name] = value
    return original


_ABSENT = object()


def _replaced_map(patch: Object) -> Object:
    directive = patch[_PATCH]
    if directive == "replace":
        del patch[_PATCH]
        return patch
    if directive == "delete":
        return {}
    raise errors.Unknown(f"unknown patch type: {_go_text(directive)} in map: {gotext.value(patch)}")


def _retain_keys(original: Object, patch: Object) -> None:
    """Drop members that `$retainKeys` does not list; members set by the patch must be listed."""
    if _RETAIN not in patch:
        return
    keys = patch.pop(_RETAIN)
    if not isinstance(keys, list):
        raise errors.BadRequest(_BAD_RETAIN)
    kept = {key for key in keys if isinstance(key, str)}
    for name, value in patch.items():
        if value is not None and not name.startswith((_DELETE, _ORDER)) and name not in kept:
            raise errors.BadRequest(_BAD_RETAIN)
    for name in [name for name in original if name not in kept]:
        del original[name]


def _merge_ordered_lists(original: Object, patch: Object, type: Type) -> None:
    """Merge each list that has a `$setElementOrder`, and sort it into that order."""
    for directive in [name for name in patch if name.startswith(_ORDER)]:
        order = _list(patch.pop(directive))
        name = _field_of(directive, _ORDER, _BAD_ORDER)
        before = _list(original[name]) if name in original else []
        change = _list(patch[name]) if name in patch else []
        strategy, key, inner = _lookup_list(type, name)
        _check_order(change, order, key)
        if name in original and name in patch:
            merged = _merge_list(before, change, inner, key) if strategy == "merge" else change
        elif name in patch:
            merged = _without_directives(change)
        elif name in original:
            merged = before
        else:
            continue
        kind = _element_kind(before, change)
        original[name] = _in_order(merged, order, before, key, kind)
        patch.pop(name, None)


def _check_order(change: List, order: List, key: str) -> None:
    """Check that the patch's items occur in `order` in the same sequence; deleted items need not."""
    if not order or not change:
        return
    items = change
    if key:
        items = [item for item in change if _map(item).get(_PATCH) != "delete"]
    at, wanted = 0, iter(order)
    while at < len(items):
        if isinstance(items[at], dict) and _PATCH in items[at]:
            at += 1
            continue
        for entry in wanted:
            if _same_key(items[at], entry, key):
                at += 1
                break
        else:
            raise errors.Unknown(
                f"The order in patch list:\n{gotext.value(change)}\n doesn't match {_ORDER}"
                f" list:\n{gotext.value(order)}\n"
            )


def _merge_list(original: List, patch: List, type: Type, key: str, deleting: bool = False) -> List:
    if not original and not patch:
        return original
    kind = _element_kind(original, patch)
    if kind is not dict:
        if deleting:
            gone = {_id(item) for item in patch}
            return [item for item in original if _id(item) not in gone]
        merged = list({_id(item): item for item in (*original, *patch)}.values())
        return _in_order(merged, patch, original, "", kind)
    if not key:
        raise errors.Unknown(f"cannot merge lists without merge key for {_go_kind(type)}")
    original, patch = _without_special(original, patch, key)
    merged = list(original)
    places = _places(merged, key)
    for item in patch:
        found = places.setdefault(_id(_key_of(item, key)), deque())
        if not found:
            found.append(len(merged))
            merged.append(item)
            continue
        at = found[0]
        merged[at] = _merge_map(merged[at], item, type)
        if key not in merged[at]:  # the patch's item has the key, so it can be removed but not changed
            found.popleft()
    if len(patch) == 1 and len(places) == len(merged) == len(original) and key in merged[at]:
        return merged  # PERF: each item has a key of its own, and is where it belongs
    return _in_order(merged, patch, original, key, kind)


def _places(items: List, key: str) -> dict[Any, deque[int]]:
    """Merge key's value -> positions of the items with it, in order."""
    out: dict[Any, deque[int]] = {}
    for at, item in enumerate(items):
        if key in item:
            out.setdefault(_id(item[key]), deque()).append(at)
    return out


def _without_special(original: List, patch: List, key: str) -> tuple[List, List]:
    """Apply the patch's items that have a directive, and return both lists without them."""
    plain: List = []
    gone = set()
    replace = False
    for item in patch:
        if _PATCH not in item:
            plain.append(item)
            continue
        directive = item[_PATCH]
        if directive == "delete":
            gone.add(_id(_key_of(item, key)))
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise errors.Unknown("merging lists cannot yet be specified in the patch")
        else:
            raise errors.Unknown(f"unknown patch type: {_go_text(directive)} in map: {gotext.value(item)}")
    if replace:
        return plain, []
    if gone:
        original = [one for one in original if key not in one or _id(one[key]) not in gone]
    return original, plain


# Order: items in the patch have the patch's order; the others keep that of the live list, and precede an item
# of the patch if they do so in the live list.


def _in_order(merged: List, order: List, live: List, key: str, kind: type) -> List:
    named: List = []
    rest: List = []
    known = {_id(_key_of(item, key) if key else item) for item in order}
    for item in merged:
        (named if _id(_key_of(item, key) if key else item) in known else rest).append(item)
    by_key = key if kind is dict else ""
    named = _sorted(named, _positions(order, by_key), by_key)
    where = _positions(live, by_key)
    rest = _sorted(rest, where, by_key)
    out: List = []
    at = 0
    for item in named:
        place = where.get(_place_id(item, by_key), -1)
        while at < len(rest) and 0 <= where.get(_place_id(rest[at], by_key), -1) < place:
            out.append(rest[at])
            at += 1
        out.append(item)
    return out + rest[at:]


def _positions(items: List, key: str) -> dict[Any, int]:
    out: dict[Any, int] = {}
    for i, item in enumerate(items):
        out.setdefault(_place_id(item, key), i)
    return out


def _place_id(item: Any, key: str) -> Any:
    return _id(_key_of(item, key)) if key else _id(item)


def _sorted(items: List, where: dict[Any, int], key: str) -> List:
    """Stable sort that puts items with `$patch: delete` last."""
    last = [item for item in items if isinstance(item, dict) and item.get(_PATCH) == "delete"]
    first = [item for item in items if not (isinstance(item, dict) and item.get(_PATCH) == "delete")]
    return sorted(first, key=lambda item: where.get(_place_id(item, key), -1)) + last


# Conditions for decoding the patched object into its type (runtime unstructured converter).


def check_shape(value: Any, type: Type | None, live: Any = None) -> None:
    """Raise ValueError with upstream's message for the first value that does not fit its type.

    Parts that the value has in common with `live`, which fits, are passed over.
    """
    if value is None or type is None or value is live:
        return
    kind = type.kind
    if kind == "struct":
        if not isinstance(value, dict):
            raise ValueError(f"cannot restore struct from: {_reflect_kind(value)}")
        before = live if isinstance(live, dict) else {}
        for name, member in _members(type):
            inner = value.get(name)
            if inner is not None and inner is not (same := before.get(name)):
                check_shape(inner, member.type, same)
    elif kind == "bytes":
        _check_bytes(value)
    elif kind == "map":
        if not isinstance(value, dict):
            raise ValueError(f"cannot restore map from {_reflect_kind(value)}")
        before = live if isinstance(live, dict) else {}
        for name, item in value.items():
            check_shape(item, type.items, before.get(name))
    elif kind == "list":
        if not isinstance(value, list):
            raise ValueError(f"cannot restore slice from {_reflect_kind(value)}")
        shared = set(map(id, live)) if isinstance(live, list) else ()
        for item in value:
            if id(item) not in shared:
                check_shape(item, type.items)
    elif kind in _SCALARS:
        if value.__class__ is not _USUAL[kind]:
            _check_scalar(value, type)
    elif kind in _OWN:
        try:
            codec.decode_value(value, type)
        except DecodeError as err:
            raise ValueError(str(err)) from None


@cache
def _members(type: Type) -> tuple[tuple[str, Field], ...]:
    """The members of a struct in the order of the Go type."""
    return tuple((name, type.fields[name]) for name in dict.fromkeys((*type.order, *type.fields)))


def _check_bytes(value: Any) -> None:
    if isinstance(value, list):
        return  # its items are checked when the object is decoded
    if not isinstance(value, str):
        raise ValueError(f"cannot restore slice from {_reflect_kind(value)}")
    try:
        times.base64(value)
    except ValueError as err:
        raise ValueError(f"error decoding from json: {err}") from None


def _check_scalar(value: Any, type: Type) -> None:
    have, want = _reflect_kind(value), _SCALARS[type.kind]
    number = have in {"int64", "float64"}
    if have == want or (number and want == "float64") or (have == "int64" and want == "int32"):
        return
    if have == "float64" and want in {"int32", "int64"}:
        if value.is_integer():
            return
    elif not (have == "int64" and want == "string"):
        raise ValueError(f"unrecognized type: {want}")
    raise ValueError(f"cannot convert {have} to {type.go or want}")


_OWN = frozenset(("time", "microtime", "quantity", "duration", "intorstring"))
"""Kinds whose Go types decode themselves."""

_SCALARS = {"string": "string", "bool": "bool", "int32": "int32", "int64": "int64", "number": "float64"}

_USUAL = {"string": str, "bool": bool, "int32": int, "int64": int, "number": float}
"""The type of nearly all values."""


def _reflect_kind(value: Any) -> str:
    return "map" if isinstance(value, dict) else "slice" if isinstance(value, list) else _go_type(value)


# Lookups in the type


def _lookup(type: Type, name: str) -> tuple[str, str, Type]:
    """Patch strategy, merge key and type of a member."""
    found = _strategies(type).get(name)
    if found is not None:
        return found
    if type.kind != "struct" and not type.fields and type.kind != "any":
        raise errors.Unknown(
            f"merging an object in json but data type is not struct, instead is: {_go_kind(type)}"
        )
    folded = name.casefold()
    for known, strategy in _strategies(type).items():
        if known.casefold() == folded:
            return strategy
    struct = type.name.rpartition(".")[2]
    raise errors.Unknown(f"unable to find api field in struct {struct} for the json field {quote(name)}")


@cache
def _strategies(type: Type) -> dict[str, tuple[str, str, Type]]:
    """The answers of _lookup() for the members, by their names."""
    return {
        name: (_strategy(field), field.patch_merge_key, field.type) for name, field in type.fields.items()
    }


def _strategy(field: Field) -> str:
    return next((text for text in field.patch_strategy.split(",") if text != "retainKeys"), "")


def _lookup_list(type: Type, name: str) -> tuple[str, str, Type]:
    """Patch strategy, merge key and item type of a member that is a list."""
    strategy, key, found = _lookup(type, name)
    if found.kind == "list" and found.items is not None:
        if found.items.kind == "list":
            raise errors.Unknown("unexpected slice of slice")
        return strategy, key, found.items
    if found.kind in {"bytes", "any"}:
        return strategy, key, found
    raise errors.Unknown(f"expected slice or array type, but got: {_go_kind(type)}")


def _field_of(directive: str, prefix: str, wrong: str) -> str:
    """The field to which a directive such as `$setElementOrder/containers` refers."""
    head, slash, name = directive.partition("/")
    if not slash or head != prefix:
        raise errors.BadRequest(wrong)
    return name


# Values


def _put(original: Object, name: str, value: Any) -> None:
    if isinstance(value, dict) and _PATCH in value:
        original.pop(name, None)
    else:
        original[name] = _without_directives(value)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _without_directives(value: Any) -> Any:
    """A value that replaces the old one as a whole, without maps that have a directive."""
    if isinstance(value, dict):
        return {name: _without_directives(member) for name, member in value.items() if not _special(member)}
    if isinstance(value, list):
        return [_without_directives(item) for item in value if not _special(item)]
    return value


def _special(value: Any) -> bool:
    return isinstance(value, dict) and _PATCH in value


def _element_kind(*lists: List) -> type:
    """The common type of all elements; upstream panics if the first is null."""
    found: type | None = None
    for item in chain.from_iterable(lists):
        if found is None:
            if item is None:
                raise errors.InternalError(PANIC)
            if isinstance(item, list):
                raise errors.Unprocessable("lists of lists are not supported", details={})
            found = type(item)
        elif type(item) is not found:
            raise errors.Unknown(f"list element types are not identical: {gotext.value(list(lists))}")
    if found is None:
        raise errors.Unknown("no elements in any of the given slices")
    return found


def _list(value: Any) -> List:
    if not isinstance(value, list):
        raise errors.Unknown(f"expected a []interface {{}}, but received a {_go_type(value)}")
    return value


def _map(value: Any) -> Object:
    if not isinstance(value, dict):
        raise errors.Unknown(f"expected a map[string]interface {{}}, but received a {_go_type(value)}")
    return value


def _key_of(item: Any, key: str) -> Any:
    if key not in _map(item):
        raise errors.Unknown(f"map: {gotext.value(item)} does not contain declared merge key: {key}")
    return item[key]


def _same_key(a: Any, b: Any, key: str) -> bool:
    one, other = (_key_of(a, key), _key_of(b, key)) if key else (a, b)
    if type(one) is not type(other):  # Go compares the types first
        return False
    return bool(_id(one) == _id(other))


def _id(value: Any) -> Any:
    """A hashable key for a scalar, in which 1, 1.0 and true differ. Go panics for maps and lists."""
    if isinstance(value, (dict, list)):
        raise errors.InternalError(PANIC)
    return (type(value), value)


def _go_text(value: Any) -> str:
    if isinstance(value, (str, dict, list)):
        return gotext.value(value)
    return "%!s(<nil>)" if value is None else f"%!s({_go_type(value)}={gotext.value(value)})"


def _go_type(value: Any) -> str:
    """The text of a value's reflected type for %s."""
    return "%!s(<nil>)" if value is None else gotext.type_name(value)


def _go_kind(type: Type) -> str:
    kinds = {"list": "slice", "bytes": "slice", "number": "float64"}
    structs = {"time", "microtime", "duration", "quantity", "intorstring", "any", "schemaor"}
    return "struct" if type.kind in structs else kinds.get(type.kind, type.kind)
