"""Merges strategic merge patches, and finds what does not fit its type. strategic.py has the rules' names.

Errors are those of apimachinery's util/strategicpatch and of its converter of unstructured objects.
"""

from cpython.dict cimport PyDict_GetItemWithError, PyDict_Next
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_READ_CHAR

from collections import deque

from pilothouse import errors, gotext
from pilothouse.api.changes import strategies

include "pilothouse/api/_turn.pxi"

cdef str PATCH = "$patch"
cdef str RETAIN = "$retainKeys"
cdef str DELETE = "$deleteFromPrimitiveList"
cdef str ORDER = "$setElementOrder"
cdef str BAD_ORDER = "invalid patch format of setElementOrder list"
cdef str BAD_DELETE = "invalid patch format of primitive list"
cdef str BAD_RETAIN = "invalid patch format of retainKeys"

# The Python types of nearly all values, by the kinds of their types.
cdef dict SCALARS = {"string": str, "bool": bool, "int32": int, "int64": int, "number": float}


# Maps

cpdef dict merge_map(dict live, dict patch, object type):
    """Merge `patch`, which is consumed, into `live`; Go's dynamic types must be equal for values to merge.

    Parts of `live` that the patch does not change are shared with the result.
    """
    cdef dict original
    cdef PyObject *found
    cdef bint special, deleting
    step()
    special = directed(patch)
    if special and PATCH in patch:
        return replaced_map(patch)
    original = live.copy()
    if special:
        retain_keys(original, patch)
        merge_ordered_lists(original, patch, type)
    for name, value in patch.items():
        step()
        deleting = special and (<str>name).startswith(DELETE)
        if deleting:
            name = field_of(name, DELETE, BAD_DELETE)
        if value is None:
            original.pop(name, None)
            continue
        found = PyDict_GetItemWithError(original, name)
        if found is NULL or (<object>found).__class__ is not value.__class__:
            if not deleting:
                put(original, name, without_nulls(value))
        elif isinstance(value, dict):
            strategy, _, inner = strategies.lookup(type, name)
            original[name] = value if strategy == "replace" else merge_map(<dict>found, <dict>value, inner)
        elif isinstance(value, list):
            strategy, key, inner = strategies.lookup_list(type, name)
            if deleting or strategy == "merge":
                original[name] = merge_list(<list>found, <list>value, inner, key, deleting)
            else:
                original[name] = value
        else:
            original[name] = value
    return original


cdef bint directed(dict patch) except -1:
    """Whether a member of a patch may be a directive."""
    cdef PyObject *name
    cdef PyObject *value
    cdef Py_ssize_t at = 0
    while PyDict_Next(patch, &at, &name, &value):
        step()
        if len(<str>name) and PyUnicode_READ_CHAR(<str>name, 0) == u"$":
            return True
    return False


cdef dict replaced_map(dict patch):
    directive = patch[PATCH]
    if directive == "replace":
        del patch[PATCH]
        return patch
    if directive == "delete":
        return {}
    text = strategies.text_of(directive)
    raise errors.Unknown(f"unknown patch type: {text} in map: {gotext.value(patch)}")


cdef retain_keys(dict original, dict patch):
    """Drop members that `$retainKeys` does not list; members set by the patch must be listed."""
    if RETAIN not in patch:
        return
    keys = patch.pop(RETAIN)
    if not isinstance(keys, list):
        raise errors.BadRequest(BAD_RETAIN)
    kept = {key for key in keys if isinstance(key, str)}
    for name, value in patch.items():
        step()
        if value is not None and not name.startswith((DELETE, ORDER)) and name not in kept:
            raise errors.BadRequest(BAD_RETAIN)
    for name in list(original):
        step()
        if name not in kept:
            del original[name]


cdef merge_ordered_lists(dict original, dict patch, object type):
    """Merge each list that has a `$setElementOrder`, and sort it into that order."""
    for directive in list(patch):
        step()
        if not directive.startswith(ORDER):
            continue
        order = strategies.as_list(patch.pop(directive))
        name = field_of(directive, ORDER, BAD_ORDER)
        before = strategies.as_list(original[name]) if name in original else []
        change = strategies.as_list(patch[name]) if name in patch else []
        strategy, key, inner = strategies.lookup_list(type, name)
        check_order(change, order, key)
        if name in original and name in patch:
            merged = merge_list(before, change, inner, key, False) if strategy == "merge" else change
        elif name in patch:
            merged = without_directives(change)
        elif name in original:
            merged = before
        else:
            continue
        kind = element_kind(before, change)
        original[name] = in_order(merged, order, before, key, kind)
        patch.pop(name, None)


cdef check_order(list change, list order, str key):
    """Check that the patch's items occur in `order` in the same sequence; deleted items need not."""
    cdef list items = change
    cdef Py_ssize_t at = 0
    if not order or not change:
        return
    if key:
        items = [item for item in change if strategies.as_map(item).get(PATCH) != "delete"]
    wanted = iter(order)
    while at < len(items):
        step()
        if isinstance(items[at], dict) and PATCH in items[at]:
            at += 1
            continue
        for entry in wanted:
            if same_key(items[at], entry, key):
                at += 1
                break
        else:
            raise errors.Unknown(
                f"The order in patch list:\n{gotext.value(change)}\n doesn't match {ORDER}"
                f" list:\n{gotext.value(order)}\n"
            )


cdef str field_of(str directive, str prefix, str wrong):
    """The field to which a directive such as `$setElementOrder/containers` refers."""
    head, slash, name = directive.partition("/")
    if not slash or head != prefix:
        raise errors.BadRequest(wrong)
    return name


# Lists

cdef list merge_list(list original, list patch, object type, str key, bint deleting):
    cdef list merged
    cdef dict places
    cdef Py_ssize_t at = 0
    if not original and not patch:
        return original
    kind = element_kind(original, patch)
    if kind is not dict:
        return merge_scalars(original, patch, kind, deleting)
    if not key:
        raise errors.Unknown(f"cannot merge lists without merge key for {strategies.go_kind(type)}")
    original, patch = without_special(original, patch, key)
    merged = list(original)
    places = places_of(merged, key)
    for item in patch:
        step()
        found = places.setdefault(identity(key_of(item, key)), deque())
        if not found:
            found.append(len(merged))
            merged.append(item)
            continue
        at = found[0]
        merged[at] = merge_map(merged[at], item, type)
        if key not in merged[at]:  # the patch's item has the key, so it can be removed but not changed
            found.popleft()
    if len(patch) == 1 and len(places) == len(merged) == len(original) and key in merged[at]:
        return merged  # PERF: each item has a key of its own, and is where it belongs
    return in_order(merged, patch, original, key, kind)


cdef list merge_scalars(list original, list patch, object kind, bint deleting):
    if deleting:
        gone = {identity(item) for item in patch}
        return [item for item in original if identity(item) not in gone]
    merged = list({identity(item): item for item in (*original, *patch)}.values())
    return in_order(merged, patch, original, "", kind)


cdef dict places_of(list items, str key):
    """Merge key's value -> positions of the items with it, in order."""
    cdef dict out = {}
    cdef Py_ssize_t at = 0
    for item in items:
        step()
        if key in <dict>item:
            out.setdefault(identity((<dict>item)[key]), deque()).append(at)
        at += 1
    return out


cdef tuple without_special(list original, list patch, str key):
    """Apply the patch's items that have a directive, and return both lists without them."""
    cdef list plain = []
    cdef set gone = set()
    cdef bint replace = False
    for item in patch:
        step()
        if PATCH not in <dict>item:
            plain.append(item)
            continue
        directive = (<dict>item)[PATCH]
        if directive == "delete":
            gone.add(identity(key_of(item, key)))
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise errors.Unknown("merging lists cannot yet be specified in the patch")
        else:
            text = strategies.text_of(directive)
            raise errors.Unknown(f"unknown patch type: {text} in map: {gotext.value(item)}")
    if replace:
        return plain, []
    if gone:
        original = [one for one in original if key not in one or identity(one[key]) not in gone]
    return original, plain


# Order: items in the patch have the patch's order; the others keep that of the live list, and precede an item
# of the patch if they do so in the live list.

cdef list in_order(list merged, list order, list live, str key, object kind):
    cdef list named = []
    cdef list rest = []
    cdef list out = []
    cdef set known = {place_id(item, key) for item in order}
    cdef str by_key = key if kind is dict else ""
    cdef dict where
    cdef Py_ssize_t at = 0
    for item in merged:
        step()
        (named if place_id(item, key) in known else rest).append(item)
    named = in_places(named, positions(order, by_key), len(order), by_key)
    where = positions(live, by_key)
    rest = in_places(rest, where, len(live), by_key)
    for item in named:
        step()
        place = where.get(place_id(item, by_key), -1)
        while at < len(rest) and 0 <= where.get(place_id(rest[at], by_key), -1) < place:
            out.append(rest[at])
            at += 1
        out.append(item)
    return out + rest[at:]


cdef dict positions(list items, str key):
    cdef dict out = {}
    cdef Py_ssize_t at = 0
    for item in items:
        step()
        out.setdefault(place_id(item, key), at)
        at += 1
    return out


cdef object place_id(object item, str key):
    return identity(key_of(item, key)) if key else identity(item)


cdef list in_places(list items, dict where, Py_ssize_t places, str key):
    """The items in the order of their places, those without one first and those with `$patch: delete` last;
    those of one place keep their order."""
    cdef list slots = [None] * (places + 1)
    cdef list out = []
    cdef list last = []
    cdef Py_ssize_t at
    for item in items:
        step()
        if isinstance(item, dict) and (<dict>item).get(PATCH) == "delete":
            last.append(item)
            continue
        at = where.get(place_id(item, key), -1) + 1
        if slots[at] is None:
            slots[at] = []
        (<list>slots[at]).append(item)
    for slot in slots:
        step()
        if slot is not None:
            out.extend(<list>slot)
    return out + last


# Values

cdef put(dict original, str name, object value):
    if isinstance(value, dict) and PATCH in <dict>value:
        original.pop(name, None)
    else:
        original[name] = without_directives(value)


cdef object without_nulls(object value):
    step()
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in (<dict>value).items() if member is not None}
    return [without_nulls(item) for item in <list>value] if isinstance(value, list) else value


cdef object without_directives(object value):
    """A value that replaces the old one as a whole, without maps that have a directive."""
    step()
    if isinstance(value, dict):
        return {
            name: without_directives(member)
            for name, member in (<dict>value).items()
            if not (isinstance(member, dict) and PATCH in member)
        }
    if isinstance(value, list):
        return [
            without_directives(item)
            for item in <list>value
            if not (isinstance(item, dict) and PATCH in item)
        ]
    return value


cdef object element_kind(list one, list other):
    """The common type of all elements; upstream panics if the first is null."""
    found = None
    for items in (one, other):
        for item in <list>items:
            step()
            if found is None:
                if item is None:
                    raise errors.InternalError(strategies.PANIC)
                if isinstance(item, list):
                    raise errors.Unprocessable("lists of lists are not supported", details={})
                found = item.__class__
            elif item.__class__ is not found:
                text = gotext.value([one, other])
                raise errors.Unknown(f"list element types are not identical: {text}")
    if found is None:
        raise errors.Unknown("no elements in any of the given slices")
    return found


cdef object key_of(object item, str key):
    cdef PyObject *found = NULL
    if isinstance(item, dict):
        found = PyDict_GetItemWithError(item, key)
    else:
        strategies.as_map(item)
    if found is NULL:
        raise errors.Unknown(f"map: {gotext.value(item)} does not contain declared merge key: {key}")
    return <object>found


cdef bint same_key(object a, object b, str key) except -1:
    one, other = (key_of(a, key), key_of(b, key)) if key else (a, b)
    if one.__class__ is not other.__class__:  # Go compares the types first
        return False
    return identity(one) == identity(other)


cdef object identity(object value):
    """A hashable key for a scalar, in which 1, 1.0 and true differ. Go panics for maps and lists."""
    step()
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list)):
        raise errors.InternalError(strategies.PANIC)
    return value.__class__, value


# Conditions for decoding the patched object into its type (runtime unstructured converter).

cpdef check_shape(object value, object type, object live=None):
    """Raise ValueError with upstream's message for the first value that does not fit its type.

    Parts that the value has in common with `live`, which fits, are passed over.
    """
    step()
    if value is None or type is None or value is live:
        return
    kind = type.kind
    usual = SCALARS.get(kind)
    if usual is not None:
        if value.__class__ is not usual:
            strategies.check_scalar(value, type)
    elif kind == "struct":
        if not isinstance(value, dict):
            raise ValueError(f"cannot restore struct from: {strategies.reflect_kind(value)}")
        check_struct(<dict>value, type, <dict>live if isinstance(live, dict) else {})
    elif kind == "map":
        if not isinstance(value, dict):
            raise ValueError(f"cannot restore map from {strategies.reflect_kind(value)}")
        before = live if isinstance(live, dict) else {}
        for name, item in (<dict>value).items():
            check_shape(item, type.items, (<dict>before).get(name))
    elif kind == "list":
        if not isinstance(value, list):
            raise ValueError(f"cannot restore slice from {strategies.reflect_kind(value)}")
        check_list(<list>value, type.items, <list>live if isinstance(live, list) else [])
    else:
        strategies.check_other(value, type)


cdef check_struct(dict value, object type, dict before):
    """Check the members in the order of the Go type; most often one or two differ from the live object's."""
    cdef list changed = []
    cdef PyObject *name
    cdef PyObject *item
    cdef Py_ssize_t at = 0
    cdef dict places = strategies.places(type)
    cdef dict fields = type.fields
    while PyDict_Next(value, &at, &name, &item):
        step()
        if <object>item is not None and <PyObject*>item is not PyDict_GetItemWithError(before, <object>name):
            place = places.get(<object>name)
            if place is not None:
                changed.append((place, <object>name))
    if len(changed) > 1:
        changed.sort()
    for _, member in changed:
        check_shape(value[member], fields[member].type, before.get(member))


cdef check_list(list value, object type, list live):
    cdef set shared = set()
    for item in live:
        step()
        shared.add(<size_t><PyObject*>item)
    for item in value:
        step()
        if <size_t><PyObject*>item not in shared:
            check_shape(item, type)
