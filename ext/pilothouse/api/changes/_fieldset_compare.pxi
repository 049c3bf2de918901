# Part of _fieldset.pyx, whose Node it walks: what differs between two values (compare).


# Values are tested for equality before their members are compared, because nearly all are equal. Testing at
# each level would make the work quadratic in the depth, so below this level values are not tested any more.
DEF ASKED = 12


cdef class Changes:
    """Added, removed and modified paths below one element; None while there are none."""
    cdef dict added
    cdef dict removed
    cdef dict modified
    cdef int level

    cdef added_to(self, str element, dict child):
        if self.added is None:
            self.added = {}
        self.added[element] = child

    cdef removed_from(self, str element, dict child):
        if self.removed is None:
            self.removed = {}
        self.removed[element] = child

    cdef modified_at(self, str element, dict child):
        if self.modified is None:
            self.modified = {}
        self.modified[element] = child


cdef enum Mark:
    UNCHANGED
    ADDED
    REMOVED
    MODIFIED


def same(a, b):
    """Whether two JSON values are exactly equal: 1, 1.0 and true differ."""
    return alike(a, b)


cdef bint alike(object a, object b) except -1:
    cdef Py_ssize_t position
    step()
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if type(a) is str:
        return <str>a == <str>b
    if type(a) is dict:
        return len(<dict>a) == len(<dict>b) and alike_maps(<dict>a, <dict>b)
    if type(a) is list:
        if len(<list>a) != len(<list>b):
            return False
        for position in range(len(<list>a)):
            if not alike((<list>a)[position], (<list>b)[position]):
                return False
        return True
    return a == b


cdef bint alike_maps(dict a, dict b) except -1:
    """PERF: nearly always both have the same names in the same order, so most are not looked up."""
    cdef PyObject *name
    cdef PyObject *item
    cdef PyObject *twin
    cdef PyObject *other
    cdef Py_ssize_t at = 0, beside = 0
    while PyDict_Next(a, &at, &name, &item):
        if not PyDict_Next(b, &beside, &twin, &other) or twin != name:
            other = PyDict_GetItemWithError(b, <object>name)
        if other is NULL or item != other and not alike(<object>item, <object>other):
            return False
    return True


cpdef tuple compare(type, old, new):
    """The sets (added, modified, removed) of the differences in `new`."""
    cdef Changes out = Changes()
    differ(compile_type(type), old, new, out)
    return in_order(out.added or {}), in_order(out.modified or {}), in_order(out.removed or {})


cdef Mark differ(Node node, object old, object new, Changes out) except *:
    """Collect the changes below two values; returns how the element itself changed."""
    cdef Form before = node.form(old)
    cdef Form after = node.form(new)
    cdef Mark mark = UNCHANGED
    cdef bint leaf
    if new is _MISSING:
        leaf = handle(node, node.handler(before), old, new, out, &mark)
    elif old is _MISSING or before == after or single(node):
        leaf = handle(node, node.handler(after), old, new, out, &mark)
    else:
        handle(node, node.handler(before), old, new, out, &mark)
        leaf = handle(node, node.handler(after), old, new, out, &mark)
    if not leaf:
        if old is _MISSING:
            mark = ADDED
        elif new is _MISSING:
            mark = REMOVED
    return mark


cdef inline bint single(Node node):
    return node.is_map + node.is_list + (node.scalar != NONE) == 1


cdef bint handle(Node node, Form form, object old, object new, Changes out, Mark *mark) except -1:
    """Compare two values in one form; returns true if they were compared as a whole."""
    cdef bint both_empty
    if form == MAP:
        both_empty = (not isinstance(old, dict) or not old) and (not isinstance(new, dict) or not new)
        if not node.map_atomic and not both_empty:
            differ_maps(node, old if isinstance(old, dict) else {}, new if isinstance(new, dict) else {}, out)
            return False
    elif form == LIST:
        both_empty = (not isinstance(old, list) or not old) and (not isinstance(new, list) or not new)
        if not node.list_atomic and not both_empty:
            before = old if isinstance(old, list) else []
            differ_lists(node, before, new if isinstance(new, list) else [], out)
            return False
    if old is _MISSING:
        mark[0] = ADDED
    elif new is _MISSING:
        mark[0] = REMOVED
    elif not alike(old, new):
        mark[0] = MODIFIED
    return True


cdef differ_maps(Node node, dict old, dict new, Changes out):
    cdef PyObject *name
    cdef PyObject *value
    cdef PyObject *other
    cdef Py_ssize_t at = 0
    while PyDict_Next(old, &at, &name, &value):
        step()
        other = PyDict_GetItemWithError(new, <object>name)
        if other == NULL:
            differ_member(node, <str>name, <object>value, _MISSING, out)
        elif other != value and (out.level >= ASKED or not alike(<object>other, <object>value)):
            differ_member(node, <str>name, <object>value, <object>other, out)
    at = 0
    while PyDict_Next(new, &at, &name, &value):
        step()
        if PyDict_GetItemWithError(old, <object>name) == NULL:
            differ_member(node, <str>name, _MISSING, <object>value, out)


cdef differ_member(Node node, str name, object old, object new, Changes out):
    cdef tuple field = <tuple>node.fields.get(name)
    if field is not None:
        note(<Node>field[1], <str>field[0], old, new, out)
    elif node.element is not None:
        note(node.element, "f:" + name, old, new, out)
    else:
        raise FieldError(f".{name}: field not declared in schema")


cdef note(Node node, str element, object old, object new, Changes out):
    """Compare the values of one element and add the result to the sets of its parent."""
    step()
    if old is _MISSING:
        out.added_to(element, whole(node, new))
        return
    if new is _MISSING:
        out.removed_from(element, whole(node, old))
        return
    cdef Changes inner = Changes()
    inner.level = out.level + 1
    cdef Mark mark = differ(node, old, new, inner)
    if inner.added is not None or mark == ADDED:
        out.added_to(element, seal(inner.added, mark == ADDED))
    if inner.removed is not None or mark == REMOVED:
        out.removed_from(element, seal(inner.removed, mark == REMOVED))
    if inner.modified is not None or mark == MODIFIED:
        out.modified_at(element, seal(inner.modified, mark == MODIFIED))


cdef dict by_element(Node node, list items):
    """Path element -> the items that have it."""
    cdef dict out = {}
    for i, item in enumerate(items):
        step()
        try:
            element = item_element(node, item)
        except FieldError as err:
            raise FieldError(f"element {i}: {err}") from None
        found = out.get(element)
        if found is None:
            out[element] = [item]
        else:
            (<list>found).append(item)
    return out


cdef differ_lists(Node node, list old, list new, Changes out):
    cdef dict before = by_element(node, old)
    cdef dict after = by_element(node, new)
    cdef list none = []
    for element in {**before, **after}:
        step()
        was = <list>before.get(element, none)
        now = <list>after.get(element, none)
        if len(was) < 2 and len(now) < 2:
            old_item = was[0] if was else _MISSING
            new_item = now[0] if now else _MISSING
            if (
                old_item is _MISSING
                or new_item is _MISSING
                or out.level >= ASKED
                or not alike(old_item, new_item)
            ):
                note(node.item, element, old_item, new_item, out)
        elif len(was) >= 2 and len(now) >= 2:
            if not alike(was, now):
                out.modified_at(element, LEAF)
        elif len(was) >= 2:
            if now:
                note(node.item, element, _MISSING, now[0], out)
            out.removed_from(element, LEAF)
        else:
            if was:
                note(node.item, element, was[0], _MISSING, out)
            out.added_to(element, LEAF)
