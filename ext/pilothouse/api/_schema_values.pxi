# Part of _schema.pyx, whose Member, Kind and Frame it uses:
# checks of single values, and Go's messages about them.

cdef bint dropped(Member member, Kind kind, object value):
    """Whether a member that is no pointer in Go is omitted: empty, or null instead of an empty list."""
    if kind == LIST or kind == MAP:
        return not value
    if not member.omit or kind == ANY or kind == QUANTITY or kind == INTORSTRING or kind == SCHEMAOR:
        return False
    if kind == STRUCT:
        return value == zero_struct(member.node)
    return not value


cdef bint is_plain_time(str text):
    """Whether a time is canonical and certainly exists; false for days after the 28th."""
    cdef const unsigned char *c
    cdef Py_ssize_t i
    if len(text) != 20 or not text.isascii():
        return False
    c = <const unsigned char *>PyUnicode_1BYTE_DATA(text)
    for i in range(19):
        if i == 4 or i == 7:
            if c[i] != b"-":
                return False
        elif i == 13 or i == 16:
            if c[i] != b":":
                return False
        elif i == 10:
            if c[i] != b"T":
                return False
        elif not b"0" <= c[i] <= b"9":
            return False
    if c[19] != b"Z" or c[0] == b"0":
        return False
    return (
        1 <= two_digits(c + 5) <= 12 and 1 <= two_digits(c + 8) <= 28 and two_digits(c + 11) < 24
        and c[14] < b"6" and c[17] < b"6"
    )


cdef int two_digits(const unsigned char *c):
    return (c[0] - 48) * 10 + c[1] - 48


cdef str describe(object value):
    """Go's name for a JSON value of the wrong type."""
    if type(value) is str:
        return "string"
    if type(value) is bool:
        return "bool"
    if type(value) is list:
        return "array"
    return "object" if type(value) is dict or type(value) is Members else "number"


cdef str mismatch(str what, str go, Frame *frame):
    """Go's UnmarshalTypeError at this path."""
    cdef Member member
    cdef str struct = None
    cdef list names = []
    while frame is not NULL:
        if frame.owner is not NULL:
            if struct is None:
                struct = (<Node>frame.owner).go.rpartition(".")[2]
            member = <Member>frame.key
            names.append(f"{member.embedded}.{member.name}" if member.embedded else member.name)
        frame = frame.up
    if struct is None:
        return f"json: cannot unmarshal {what} into Go value of type {go}"
    names.reverse()
    return f"json: cannot unmarshal {what} into Go struct field {struct}.{'.'.join(names)} of type {go}"


cdef str strict_path(Frame *frame):
    """The path in strict errors: `spec.containers[0].ports`."""
    cdef list parts = []
    while frame is not NULL:
        if frame.owner is not NULL:
            parts.append("." + (<Member>frame.key).name)
        elif frame.key is not NULL:
            parts.append("." + <str>frame.key)
        elif frame.index >= 0:
            parts.append(f"[{frame.index}]")
        frame = frame.up
    parts.reverse()
    return "".join(parts).removeprefix(".")


cdef object integer(object literal, object bits):
    """Go's ParseInt for the text of a number, None if it does not fit."""
    try:
        value = int(literal)
    except ValueError:
        return None
    return value if value >> bits in (0, -1) else None


cdef object number_of(object literal):
    """The number as sigs.k8s.io/json keeps it without a type: an int64 if it is one; None for infinity."""
    value = integer(literal, 63)
    if value is None:
        value = float(literal)
        if value - value != 0:
            return None
    return value


cdef dict in_key_order(dict members):
    """The members of a map in the order in which Go writes them; mostly it is the one in which they came."""
    cdef PyObject *before = NULL
    cdef PyObject *key
    cdef Py_ssize_t position = 0
    while PyDict_Next(members, &position, &key, NULL):
        if before is not NULL and PyUnicode_Compare(<object>before, <object>key) > 0:
            return dict(sorted(members.items()))
        before = key
    return members


cdef object raw_text(object value):
    """The text that Quantity's own unmarshalling gets, None if only the exact walk knows it."""
    if type(value) is str or type(value) is Literal:
        return value
    if type(value) is float:
        return None
    return str(value) if type(value) is int else "?"


cdef object plain(object value, int depth):
    """Scanned JSON, of at most `depth` levels, as ordinary objects; the last of repeated members counts."""
    cdef dict members
    cdef list items
    step()
    if type(value) is Members:
        if depth >= DEPTH_LIMIT:
            raise DecodeError("exceeded max depth")
        members = {}
        for key, item in (<Members>value).pairs:
            members[key] = plain(item, depth + 1)
        return members
    if type(value) is list:
        if depth >= DEPTH_LIMIT:
            raise DecodeError("exceeded max depth")
        items = []
        for item in <list>value:
            items.append(plain(item, depth + 1))
        return items
    return number_of(value) if type(value) is Literal else value


def as_plain(value):
    """The output of `scan` as dicts, lists and numbers; raises DecodeError if it is nested too deeply."""
    return plain(value, 0)


cpdef Py_ssize_t count_members(object value, int depth=0) except -1:
    """The number of members in all objects, for at most `depth` levels;
    raises Odd if it is nested more deeply."""
    cdef Py_ssize_t found = 0
    if type(value) is dict:
        if depth >= DEPTH_LIMIT:
            raise Odd
        found = len(<dict>value)
        for item in (<dict>value).values():
            step()
            if type(item) is dict or type(item) is list:
                found += count_members(item, depth + 1)
    elif type(value) is list:
        if depth >= DEPTH_LIMIT:
            raise Odd
        for item in <list>value:
            step()
            if type(item) is dict or type(item) is list:
                found += count_members(item, depth + 1)
    return found


cdef bint deeper(object value, int levels) except -1:
    if type(value) is dict:
        if levels == 0:
            return True
        for item in (<dict>value).values():
            step()
            if (type(item) is dict or type(item) is list) and deeper(item, levels - 1):
                return True
    elif type(value) is list:
        if levels == 0:
            return True
        for item in <list>value:
            step()
            if (type(item) is dict or type(item) is list) and deeper(item, levels - 1):
                return True
    return False


def is_deeper(value, int levels):
    """Whether a value has more than `levels` levels of dicts and lists."""
    return deeper(value, levels)


cdef Py_ssize_t indentation(object value, int depth) except -1:
    cdef Py_ssize_t found = 0
    if type(value) is dict:
        found = len(<dict>value) * 2 * depth
        for item in (<dict>value).values():
            step()
            if type(item) is dict or type(item) is list:
                found += indentation(item, depth + 1)
    elif type(value) is list:
        found = len(<list>value) * 2 * depth
        for item in <list>value:
            step()
            if type(item) is dict or type(item) is list:
                found += indentation(item, depth + 1)
    return found


def indented(value):
    """The approximate number of spaces before the members and items of a value that is
    written with indentation.

    The value must have fewer than the 1,024 levels that orjson reads.
    """
    return indentation(value, 1)


cdef int merge(dict old, dict new) except -1:
    """Decode a repeated struct or map into the earlier one."""
    cdef PyObject *earlier
    for key, value in new.items():
        step()
        earlier = PyDict_GetItem(old, key)
        if earlier is not NULL and type(<object>earlier) is dict and type(value) is dict:
            merge(<dict>earlier, <dict>value)
        else:
            old[key] = value
    return 0
