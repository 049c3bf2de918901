# Part of _fieldset.pyx: sets in themselves (parse, ordered, union and the like); needs path elements only.

cdef Py_ssize_t PART = 20000  # elements sorted in one step


cdef inline bint is_member(dict child):
    return not child or SELF in child


cdef dict seal(dict children, bint member):
    """The dict of an element with these children; None if it is empty and no member."""
    if not children:
        return LEAF if member else None
    if member:
        children[SELF] = LEAF
    return children


def parse(fields):
    """Decode FieldsV1 from a client or the store; raises FieldError."""
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise FieldError("expected an object of fields")
    found = read(fields)
    return below(found) if SELF in found else found


cdef dict read(dict fields):
    """Returns the same dict if it is canonical; visits each element once."""
    cdef PyObject *key
    cdef PyObject *value
    cdef Py_ssize_t at = 0
    cdef dict out = None  # the result so far, once it differs from the input
    cdef Py_ssize_t same = 0
    cdef dict child
    step()
    while PyDict_Next(fields, &at, &key, &value):
        step()
        name, inner = <object>key, <object>value
        if name == SELF:
            if out is None and (inner or type(inner) is not dict):
                out = first_of(fields, same)   # Go skips whatever is there
            if out is not None:
                out[SELF] = LEAF
            same += 1
            continue
        element = name if is_field(<str>name) else canonical_element(name)
        child = None
        if element:
            if not isinstance(inner, dict):
                raise FieldError(f"expected an object in {name}")
            child = <dict>inner
            if child:
                child = read(child)
                if len(child) == 1 and SELF in child:
                    child = LEAF
        if out is None:
            if element == name and child is inner:
                same += 1
                continue
            out = first_of(fields, same)
        if element:
            out[element] = child
    return fields if out is None else out


cdef dict first_of(dict fields, Py_ssize_t count):
    """A dict of the first members of another."""
    cdef dict out = {}
    for name, inner in fields.items():
        step()
        if len(out) == count:
            break
        out[name] = LEAF if name == SELF else inner
    return out


cdef inline bint is_field(str element):
    return (
        len(element) > 1
        and PyUnicode_READ_CHAR(element, 0) == u"f"
        and PyUnicode_READ_CHAR(element, 1) == u":"
    )


def ordered(dict fields):
    """The set with its elements in upstream's order."""
    return order(fields)


cdef dict order(dict fields):
    """Returns the same dict if it and all dicts below are sorted already."""
    cdef dict changed = None  # sorted children, where they were not sorted
    cdef dict out
    cdef dict child
    cdef list names
    cdef PyObject *name
    cdef PyObject *value
    cdef PyObject *last = NULL
    cdef Py_ssize_t at = 0
    cdef bint sorted_here = True
    cdef bint plain = True
    step()
    while PyDict_Next(fields, &at, &name, &value):
        step()
        if <object>name == SELF:
            sorted_here = sorted_here and last is NULL
            last = name
            continue
        if PyUnicode_READ_CHAR(<object>name, 0) != u"f":
            plain = False
        if sorted_here and last is not NULL and not precedes(<str>last, <str>name):
            sorted_here = False
        last = name
        if <dict>value:
            child = order(<dict>value)
            if child is not <object>value:
                if changed is None:
                    changed = {}
                changed[<object>name] = child
    if sorted_here and changed is None:
        return fields
    names = [one for one in fields if one != SELF]
    if not sorted_here:
        if len(names) > PART:
            names = in_parts(names, None if plain else sort_key)
        elif plain:
            names.sort()
        else:
            names.sort(key=sort_key)
    out = {}
    if SELF in fields:
        out[SELF] = LEAF
    for one in names:
        step()
        child = None if changed is None else changed.get(one)
        out[one] = child if child is not None else fields[one]
    return out


cdef list in_parts(list names, object key):
    """Sort names. One sort holds the GIL, so it is done in parts, which are then merged."""
    cdef Py_ssize_t at
    parts = []
    for at in range(0, len(names), PART):
        parts.append(sorted(names[at:at + PART], key=key))
        pause()
    return list(_merge(*parts, key=key))


cdef inline bint is_less(str one, str other) except -1:
    cdef int found
    if PyUnicode_IS_ASCII(one) and PyUnicode_IS_ASCII(other):
        found = memcmp(PyUnicode_1BYTE_DATA(one), PyUnicode_1BYTE_DATA(other), min(len(one), len(other)))
        return found < 0 or found == 0 and len(one) < len(other)
    return PyUnicode_Compare(one, other) < 0


cdef bint precedes(str one, str other) except -1:
    """Whether an element, or the set's own membership, is sorted before another element."""
    cdef Py_UCS4 first = PyUnicode_READ_CHAR(one, 0)
    if PyUnicode_READ_CHAR(other, 0) == u"f":
        return first == u"." or first == u"f" and is_less(one, other)
    return first == u"." or first == u"f" or comes_before(one, other)


def union(dict a, dict b):
    """All members of either set."""
    if not a or not b:
        return a or b
    return unite(a, b)


cdef dict unite(dict a, dict b):
    cdef dict out = dict(a)
    cdef dict x, y
    step()
    for name, child in b.items():
        step()
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
    return out


def difference(dict a, dict b):
    """The members of `a` that are not members of `b`; keeps members below a member of `b`."""
    return subtract(a, b, False)


def recursive_difference(dict a, dict b):
    """The members of `a` that are neither members of `b` nor below one."""
    return subtract(a, b, True)


cdef dict subtract(dict a, dict b, bint recursive):
    cdef dict out
    cdef dict x, y
    step()
    if not b or not a:
        return a
    out = {}
    for name, child in a.items():
        step()
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
    step()
    for name, child in a.items():
        step()
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
    """All members as tuples of path elements: each level before the levels below it, sorted."""
    out = []
    walk_paths(fields, (), out)
    return out


cdef walk_paths(dict fields, tuple prefix, list out):
    step()
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
