# Part of _fieldset.pyx: operations on sets; needs path elements only.
#
# The result shares with the first set what it does not change. The first set of union, difference and
# intersection may be as a store holds it (decode): they look only at what both sets have, and raise
# FieldError where that is no set.


cdef inline dict children(PyObject *value):
    """The dict of an element of such a set; raises FieldError."""
    if type(<object>value) is not dict:
        raise FieldError("expected an object in a set of fields")
    return <dict>value


cpdef dict union(dict a, dict b):
    """All members of either set; `a` itself if it has them all."""
    return unite(a, b) if a and b else a or b


cdef dict unite(dict a, dict b):
    cdef PyObject *name
    cdef PyObject *value
    cdef PyObject *found
    cdef Py_ssize_t at = 0
    cdef dict out = a
    cdef dict child
    cdef bint grown = False
    step()
    while PyDict_Next(b, &at, &name, &value):
        step()
        found = PyDict_GetItemWithError(a, <object>name)
        if found is NULL:
            child = <dict>value
            grown = True
        else:
            child = unite_children(children(found), <dict>value)
            if child is <dict>found:
                continue
        if out is a:
            out = dict(a)
        out[<object>name] = child
    return in_order(out) if grown else out


cdef dict unite_children(dict x, dict y):
    """The dict of an element that two sets have."""
    if not y:
        return x if is_member(x) else {SELF: LEAF, **x}
    if not x:
        return y if SELF in y else {SELF: LEAF, **y}
    return unite(x, y)


def union_all(sets):
    """All members of any of the sets; visits each of their elements once."""
    return unite_all([one for one in sets if one])


cdef dict unite_all(list sets):
    cdef dict parts = {}  # element -> the children in each set
    cdef dict out = {}
    cdef dict child
    cdef bint member
    if len(sets) < 2:
        return sets[0] if sets else {}
    for one in sets:
        for name, inner in (<dict>one).items():
            step()
            if name == SELF:
                out[SELF] = LEAF
            elif name in parts:
                parts[name].append(inner)
            else:
                parts[name] = [inner]
    for name, found in parts.items():
        step()
        if len(<list>found) == 1:
            out[name] = (<list>found)[0]
            continue
        member = False
        filled = []
        for inner in <list>found:
            step()
            child = <dict>inner
            member = member or is_member(child)
            if child:
                filled.append(child)
        child = unite_all(filled)
        if not child:
            out[name] = LEAF
        else:
            out[name] = child if SELF in child or not member else {SELF: LEAF, **child}
    return in_order(out)


def difference(dict a, dict b):
    """The members of `a` that are not members of `b`; keeps members below a member of `b`."""
    return subtract(a, b, False)


def recursive_difference(dict a, dict b):
    """The members of `a` that are neither members of `b` nor below one."""
    return subtract(a, b, True)


cdef dict subtract(dict a, dict b, bint recursive):
    """Returns `a` itself if it has none of the members.

    It goes through the smaller set: either may be large, that of a manager or that of a change.
    """
    cdef PyObject *name
    cdef PyObject *value
    cdef PyObject *found
    cdef Py_ssize_t at = 0
    cdef bint few = len(b) < len(a)
    cdef dict fewer = b if few else a
    cdef dict more = a if few else b
    cdef dict out = a
    cdef dict child
    step()
    while PyDict_Next(fewer, &at, &name, &value):
        step()
        found = PyDict_GetItemWithError(more, <object>name)
        if found is NULL or <str>name == SELF:
            continue
        if not few:
            value, found = found, value
        child = rest(children(found), children(value), recursive)
        if child is <dict>found:
            continue
        if out is a:
            out = dict(a)
        if child is None:
            del out[<object>name]
        else:
            out[<object>name] = child
    return out


cdef dict rest(dict x, dict y, bint recursive):
    """The part of an element's dict that is left; None if nothing is."""
    cdef bint member = is_member(y)
    cdef dict left
    if member and (recursive or not x):
        return None
    left = subtract(x, y, recursive) if x and y else x
    if member:
        left = below(left)
    if len(left) == 1 and SELF in left:
        return LEAF
    return left if left or not x else None


cdef dict below(dict child):
    """An element's dict without its own membership."""
    if SELF not in child:
        return child
    child = dict(child)
    del child[SELF]
    return child


def intersection(dict a, dict b):
    """The members of both sets."""
    return common(a, b)


cdef dict common(dict a, dict b):
    cdef PyObject *name
    cdef PyObject *value
    cdef PyObject *found
    cdef Py_ssize_t at = 0
    cdef dict fewer = b if len(b) < len(a) else a
    cdef dict more = a if len(b) < len(a) else b
    cdef dict out = {}
    cdef dict x, y
    step()
    while PyDict_Next(fewer, &at, &name, &value):
        step()
        found = PyDict_GetItemWithError(more, <object>name)
        if found is NULL or <str>name == SELF:
            continue
        x, y = children(value), children(found)
        kept = seal(common(x, y) if x and y else {}, is_member(x) and is_member(y))
        if kept is not None:
            out[<object>name] = kept
    return out


def has(dict fields, tuple path):
    """Whether a path (a tuple of path elements) is a member."""
    cdef dict child = fields
    for element in path:
        child = <dict>child.get(element)
        if child is None:
            return False
    return bool(path) and is_member(child)


def paths(dict fields):
    """All members as tuples of path elements: each level before the levels below it, sorted."""
    out = []
    walk_paths(fields, (), out)
    return out


cdef walk_paths(dict fields, tuple prefix, list out):
    step()
    names = [name for name in in_order(fields) if name != SELF]
    for name in names:
        if is_member(<dict>fields[name]):
            out.append((*prefix, name))
    for name in names:
        if fields[name]:
            walk_paths(<dict>fields[name], (*prefix, name), out)


def of(members):
    """A set of paths, each a tuple of path elements."""
    out = {}
    for path in members:
        child = {}
        for element in reversed(path):
            child = {element: child}
        out = union(out, child)
    return out


def path_text(path):
    """A path in the form of messages: `.spec.containers[name="c"].image`."""
    return "".join([element_text(element) for element in path])


def leaves(dict fields):
    """The members without members below them."""
    out = {}
    for name, child in fields.items():
        step()
        if name != SELF:
            out[name] = leaves(child) if child else {}
    return out
