# Part of _fieldset.pyx, whose Node it walks: the set of a value (from_object) and what differs between
# two (compare).


# Values are tested for equality before their members are compared, because nearly all are equal. Testing at
# each level would make the work quadratic in the depth, so below this level values are not tested any more.
DEF ASKED = 12

DEF MAX_PLANS = 16  # of one struct: with the most members they take 100 KB
DEF MAX_PLANNED = 64  # members


def from_object(type, value):
    """The set of all fields that an applied configuration contains."""
    cdef dict out = {}
    collect(compile_type(type), value, out, None)
    return out


cdef bint collect(Node node, object value, dict out, object unused) except -1:
    """Add the paths below `value` to `out`; returns true if the value itself is a leaf."""
    cdef Form form = node.handler(node.form(value))
    step()
    if form == SCALAR:
        return True
    if form == MAP:
        if node.map_atomic:
            return True
        if isinstance(value, dict):
            collect_map(node, <dict>value, out)
        return False
    if node.list_atomic:
        return True
    if isinstance(value, list):
        collect_list(node, <list>value, out)
    return False


cdef collect_map(Node node, dict value, dict out):
    cdef Node inner
    cdef dict child
    cdef bint member
    for name, item in value.items():
        step()
        field = node.fields.get(name)
        if field is not None:
            element, inner = <str>(<tuple>field)[0], <Node>(<tuple>field)[1]
        else:
            element, inner = "f:" + name, node.element
            if inner is None:
                raise FieldError("field not declared in schema")
        child = {}
        member = collect(inner, item, child, None)
        member = member or field is None or item is None or (isinstance(item, dict) and not item)
        kept = seal(child, member)
        if kept is not None:
            out[element] = kept


cdef collect_list(Node node, list value, dict out):
    cdef dict child
    elements = [item_element(node, item) for item in value]
    seen = {}
    for element in elements:
        step()
        seen[element] = seen.get(element, 0) + 1
    for element, item in zip(elements, value):
        step()
        child = {}
        if seen[element] == 1:
            collect(node.item, item, child, None)
        out[element] = seal(child, True)


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
    cdef PyObject *key
    cdef PyObject *item
    cdef PyObject *other
    cdef Py_ssize_t position = 0
    step()
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if type(a) is dict:
        if len(<dict>a) != len(<dict>b):
            return False
        while PyDict_Next(<dict>a, &position, &key, &item):
            other = PyDict_GetItem(<dict>b, <object>key)
            if other is NULL or not alike(<object>item, <object>other):
                return False
        return True
    if type(a) is list:
        if len(<list>a) != len(<list>b):
            return False
        for position in range(len(<list>a)):
            step()
            if not alike((<list>a)[position], (<list>b)[position]):
                return False
        return True
    return a == b


def compare(type, old, new):
    """The sets (added, modified, removed) of the differences in `new`."""
    cdef Changes out = Changes()
    if not (isinstance(old, dict) and alike(old, new)):
        differ(compile_type(type), old, new, out)
    return out.added or {}, out.modified or {}, out.removed or {}


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
        other = PyDict_GetItem(new, <object>name)
        if other == NULL:
            differ_member(node, <str>name, <object>value, _MISSING, out)
        elif other != value and (out.level >= ASKED or not alike(<object>other, <object>value)):
            differ_member(node, <str>name, <object>value, <object>other, out)
    at = 0
    while PyDict_Next(new, &at, &name, &value):
        step()
        if PyDict_GetItem(old, <object>name) == NULL:
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


cdef dict whole(Node node, object value):
    """The dict of an element that was added or removed as a whole:
    the element and all below it are members."""
    cdef Form form = node.handler(node.form(value))
    cdef dict out
    step()
    if form == MAP:
        if node.map_atomic or not isinstance(value, dict) or not <dict>value:
            return LEAF
        if node.element is None and len(<dict>value) <= MAX_PLANNED:
            return whole_struct(node, <dict>value)
        out = {SELF: LEAF}
        whole_map(node, <dict>value, out)
        return out
    if form == LIST:
        if node.list_atomic or not isinstance(value, list) or not <list>value:
            return LEAF
        return whole_list(node, <list>value)
    return LEAF


cdef dict whole_list(Node node, list value):
    cdef dict items = {}  # path element -> its item, _MISSING for several
    cdef dict out = {SELF: LEAF}
    for i, item in enumerate(value):
        step()
        try:
            element = item_element(node, item)
        except FieldError as err:
            raise FieldError(f"element {i}: {err}") from None
        items[element] = _MISSING if element in items else item
    for element, item in items.items():
        step()
        out[element] = LEAF if item is _MISSING else whole(node.item, item)
    return out


cdef class Plan:
    """How the set of a struct with some members is made, in upstream's order.

    flat: the set itself, when no member has members of its own.
    """
    cdef tuple members  # (name, path element, Node)
    cdef dict flat

    def __init__(self, Node node, tuple names):
        found = []
        for name in names:
            field = node.fields.get(name)
            if field is None:
                raise FieldError(f".{name}: field not declared in schema")
            found.append((name, *field))
        found.sort()
        self.members = tuple(found)
        if all((<Node>inner).flat() for _, _, inner in found):
            self.flat = {SELF: LEAF, **{element: LEAF for _, element, _ in found}}


cdef dict whole_struct(Node node, dict value):
    """PERF: the structs of a type have few combinations of members."""
    cdef tuple names = tuple(value)
    cdef Plan plan = <Plan>node.plans.get(names)
    cdef dict out
    if plan is None:
        plan = Plan(node, names)
        if len(node.plans) >= MAX_PLANS:
            node.plans.clear()
        node.plans[names] = plan
    if plan.flat is not None:
        return plan.flat
    out = {SELF: LEAF}
    for member in plan.members:
        step()
        out[<str>(<tuple>member)[1]] = whole(<Node>(<tuple>member)[2], value[(<tuple>member)[0]])
    return out


cdef whole_map(Node node, dict value, dict out):
    """Members come in upstream's order, unless there are so many that they are sorted in parts later."""
    cdef PyObject *field
    for name in sorted(value) if len(value) < PART else value:
        step()
        field = PyDict_GetItem(node.fields, name)
        if field is not NULL:
            out[<str>(<tuple>field)[0]] = whole(<Node>(<tuple>field)[1], value[name])
        elif node.element is not None:
            out["f:" + <str>name] = whole(node.element, value[name])
        else:
            raise FieldError(f".{<str>name}: field not declared in schema")


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
