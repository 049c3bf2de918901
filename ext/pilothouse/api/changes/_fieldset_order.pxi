# Part of _fieldset.pyx: sets as they are written (parse) and their order; needs path elements only.
#
# Sets are canonical and in upstream's order: parse() and the walks of values make them so, and the
# operations on sets keep it. So nothing is sorted when a set is written.


cdef Py_ssize_t PART = 4000  # elements sorted in one step


cdef inline bint is_member(dict child):
    return not child or SELF in child


cdef dict seal(dict children, bint member):
    """The dict of an element with these children; None if it is empty and no member."""
    if not children:
        return LEAF if member else None
    return in_order({SELF: LEAF, **children} if member else children)


cpdef dict parse(fields):
    """Decode FieldsV1 from a client or the store; raises FieldError."""
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise FieldError("expected an object of fields")
    return below(<dict>fields if settled(<dict>fields) else read(<dict>fields))


cdef bint settled(dict fields) except -1:
    """Whether a set is canonical and in order already, as nearly all are that clients send back."""
    cdef PyObject *name
    cdef PyObject *value
    cdef PyObject *last = NULL
    cdef Py_ssize_t at = 0
    while PyDict_Next(fields, &at, &name, &value):
        step()
        if type(<object>value) is not dict:
            return False
        if is_self(<str>name):
            if last is not NULL or <dict>value or len(fields) == 1:
                return False
        elif not is_field(<str>name) and not equal(canonical_element(<str>name), <str>name):
            return False
        if last is not NULL and not precedes(<str>last, <str>name):
            return False
        last = name
        if <dict>value and not settled(<dict>value):
            return False
    return True


cdef dict read(dict fields):
    cdef dict out = {}
    cdef dict child
    for name, inner in fields.items():
        step()
        if name == SELF:
            out[SELF] = LEAF    # Go skips whatever is there
            continue
        element = canonical_element(name)
        if not element:
            continue
        if not isinstance(inner, dict):
            raise FieldError(f"expected an object in {name}")
        child = read(<dict>inner)
        out[element] = LEAF if len(child) == 1 and SELF in child else child
    return in_order(out)


cdef inline bint is_self(str element):
    return len(element) == 1 and PyUnicode_READ_CHAR(element, 0) == u"."


cdef inline bint is_field(str element):
    return (
        len(element) > 1
        and PyUnicode_READ_CHAR(element, 0) == u"f"
        and PyUnicode_READ_CHAR(element, 1) == u":"
    )


cdef inline bint equal(str one, str other) except -1:
    return one is other or len(one) == len(other) and PyUnicode_Compare(one, other) == 0


cdef dict in_order(dict fields):
    """The same elements in upstream's order; the same dict if they are. Those below are in order already."""
    cdef PyObject *name
    cdef PyObject *value
    cdef PyObject *last = NULL
    cdef Py_ssize_t at = 0
    while PyDict_Next(fields, &at, &name, &value):
        step()
        if last is not NULL and not precedes(<str>last, <str>name):
            return sort(fields)
        last = name
    return fields


cdef dict sort(dict fields):
    cdef dict out = {SELF: LEAF} if SELF in fields else {}
    cdef list names = [name for name in fields if name != SELF]
    cdef bint plain = True
    for name in names:
        plain = plain and is_field(<str>name)
    if len(names) > PART:
        names = in_parts(names, None if plain else sort_key)
    elif plain:
        names.sort()
    else:
        names.sort(key=sort_key)
    for name in names:
        step()
        out[name] = fields[name]
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
    cdef const unsigned char *a
    cdef const unsigned char *b
    cdef Py_ssize_t i
    if not PyUnicode_IS_ASCII(one) or not PyUnicode_IS_ASCII(other):
        return PyUnicode_Compare(one, other) < 0
    a = <const unsigned char*>PyUnicode_1BYTE_DATA(one)
    b = <const unsigned char*>PyUnicode_1BYTE_DATA(other)
    for i in range(min(len(one), len(other))):
        if a[i] != b[i]:
            return a[i] < b[i]
    return len(one) < len(other)


cdef bint precedes(str one, str other) except -1:
    """Whether an element, or the set's own membership, is sorted before another element."""
    cdef Py_UCS4 first = PyUnicode_READ_CHAR(one, 0)
    cdef Py_UCS4 second = PyUnicode_READ_CHAR(other, 0)
    if second == u"f":
        return first == u"." or first == u"f" and is_less(one, other)
    return second != u"." and (first == u"." or first == u"f" or comes_before(one, other))
