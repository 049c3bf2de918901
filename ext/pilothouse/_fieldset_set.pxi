# Sets.


cdef inline bint is_member(dict child):
    return not child or SELF in child


cdef dict seal(dict children, bint member):
    """The dict of an element that has these children, None when it is nothing."""
    if not children:
        return LEAF if member else None
    if member:
        children[SELF] = LEAF
    return children


def parse(fields):
    """A set out of FieldsV1 as a client or the store gives it; FieldError when it is none."""
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise FieldError("expected an object of fields")
    found = read(fields)
    return below(found) if SELF in found else found


cdef dict read(dict fields):
    """The same dict when it is in its one form already."""
    cdef PyObject *name
    cdef PyObject *inner
    cdef Py_ssize_t at = 0
    while PyDict_Next(fields, &at, &name, &inner):
        if not is_canonical(<object>name, <object>inner):
            return rewritten(fields)
    return fields


cdef bint is_canonical(object name, object inner) except -1:
    """Whether an element of a set and all below it are as they would be written."""
    cdef dict child
    if name == SELF:
        return True
    if not is_field(<str>name) and canonical_element(name) != name:
        return False
    if not isinstance(inner, dict):
        raise FieldError(f"expected an object in {name}")
    child = <dict>inner
    return not child or (read(child) is child and not (len(child) == 1 and SELF in child))


cdef inline bint is_field(str element):
    return len(element) > 1 and element[0] == u"f" and element[1] == u":"


cdef dict rewritten(dict fields):
    cdef dict out = {}
    cdef dict child
    for name, inner in fields.items():
        if name == SELF:
            out[SELF] = LEAF
            continue
        element = name if is_field(<str>name) else canonical_element(name)
        if not element:
            continue
        if not isinstance(inner, dict):
            raise FieldError(f"expected an object in {name}")
        child = read(<dict>inner)
        out[element] = LEAF if len(child) == 1 and SELF in child else child
    return out


def ordered(dict fields):
    """The same set with its elements in the order in which upstream writes them."""
    return order(fields)


cdef dict order(dict fields):
    """The same dict when it is in order already."""
    cdef dict out = {}
    cdef dict child
    cdef list names
    cdef bint plain = True
    if is_ordered(fields):
        return fields
    if SELF in fields:
        out[SELF] = LEAF
    names = [name for name in fields if name != SELF]
    for name in names:
        if (<str>name)[0] != u"f":
            plain = False
    if plain:
        names.sort()
    else:
        names.sort(key=sort_key)
    for name in names:
        child = <dict>fields[name]
        out[name] = order(child) if child else child
    return out


cdef bint is_ordered(dict fields) except -1:
    """Whether the elements stand in order, here and below."""
    cdef PyObject *name
    cdef PyObject *child
    cdef PyObject *last = NULL
    cdef Py_ssize_t at = 0
    while PyDict_Next(fields, &at, &name, &child):
        if <object>name == SELF:
            if last is not NULL:
                return False
            last = name
            continue
        if last is not NULL and not precedes(<str>last, <str>name):
            return False
        last = name
        if <dict>child and not is_ordered(<dict>child):
            return False
    return True


cdef bint precedes(str one, str other) except -1:
    """Whether an element, or the set's own membership, goes before another element."""
    if one[0] == u"." or one[0] == u"f" and other[0] != u"f":
        return True
    if other[0] == u"f":
        return one[0] == u"f" and PyUnicode_Compare(one, other) < 0
    return sort_key(one) < sort_key(other)


def union(dict a, dict b):
    """All members of either set."""
    if not a or not b:
        return a or b
    return unite(a, b)


cdef dict unite(dict a, dict b):
    cdef dict out = dict(a)
    cdef dict x, y
    for name, child in b.items():
        if name == SELF:
            out[SELF] = LEAF
            continue
        x = <dict>out.get(name)
        y = <dict>child
        if x is None:
            out[name] = y
        elif not x:
            out[name] = y if is_member(y) else {SELF: {}, **y}
        elif not y:
            out[name] = x if SELF in x else {SELF: {}, **x}
        else:
            out[name] = unite(x, y)
    return out


def difference(dict a, dict b):
    """The members of `a` that are not members of `b`; what is below a member of `b` stays."""
    return subtract(a, b, False)


def recursive_difference(dict a, dict b):
    """The members of `a` that are neither members of `b` nor below one."""
    return subtract(a, b, True)


cdef dict subtract(dict a, dict b, bint recursive):
    cdef dict out
    cdef dict x, y
    if not b or not a:
        return a
    out = {}
    for name, child in a.items():
        if name == SELF:
            continue
        x = <dict>child
        y = <dict>b.get(name)
        if y is None:
            out[name] = x
            continue
        if recursive and is_member(y):
            continue
        kept = seal(subtract(x, y, recursive) if x and y else below(x), is_member(x) and not is_member(y))
        if kept is not None:
            out[name] = kept
    return out


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
    cdef dict out = {}
    cdef dict x, y
    for name, child in a.items():
        y = <dict>b.get(name)
        if y is None or name == SELF:
            continue
        x = <dict>child
        kept = seal(common(x, y) if x and y else {}, is_member(x) and is_member(y))
        if kept is not None:
            out[name] = kept
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
    """All members as tuples of path elements: those of a level before those below them, each in order."""
    out = []
    walk_paths(fields, (), out)
    return out


cdef walk_paths(dict fields, tuple prefix, list out):
    names = sorted([name for name in fields if name != SELF], key=sort_key)
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
    """A path as messages show it: `.spec.containers[name="c"].image`."""
    return "".join([element_text(element) for element in path])


def leaves(dict fields):
    """The members that have no members below them."""
    out = {}
    for name, child in fields.items():
        if name != SELF:
            out[name] = leaves(child) if child else {}
    return out
