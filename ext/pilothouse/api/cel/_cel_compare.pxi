# Equality, order, look-up. Included by _cel.pyx.

cdef enum:
    MOST_WORK = 20_000_000  # values compared in one evaluation; the cost model charges little for a deep one
    HASH_WORK = 4           # an item of a set or a map that is hashed, beside a comparison
    TEXT_WORK = 1024        # bytes of a text that are compared as fast as one value


cdef inline int work(Frame frame, cost_t steps) except -1:
    """Count steps that the cost model does not see; `frame` may be None."""
    if frame is not None:
        frame.work += steps
        if frame.work > MOST_WORK:
            return over_limit(frame)
    return 0


cdef inline bint is_number(object value):
    kind = type(value)
    return kind is int or kind is float or kind is UInt


cdef int compare_numbers(object left, object right) except -2:
    """-1, 0 or 1; a double is compared with an integer as a double."""
    cdef double a, b
    if type(left) is float or type(right) is float:
        if type(left) is float:
            a = left
            b = _near(right, a)
        else:
            b = right
            a = _near(left, b)
        return (a > b) - (a < b)
    return (left > right) - (left < right)


cdef inline double _near(object value, double other) except? -1:
    return value if type(value) is float else float(value)


cdef bint same_number(object left, object right) except -1:
    if type(left) is float and isnan(<double>left):
        return False
    if type(right) is float and isnan(<double>right):
        return False
    return compare_numbers(left, right) == 0


cdef bint same(object left, object right, Frame frame) except -1:
    """CEL's equality: of different types only numbers can be equal."""
    cdef Py_ssize_t i, size
    cdef list a, b
    kind = type(left)
    if kind is str or kind is bytes:
        if type(right) is not kind or len(left) != len(right):
            return False
        work(frame, len(left) // TEXT_WORK)
        return left == right
    if kind is bool:
        return left is right
    if kind is int or kind is float or kind is UInt:
        return is_number(right) and same_number(left, right)
    if left is None or right is None:
        return left is right
    work(frame, 1)
    if kind is list or kind is ListView:
        if type(right) is not list and type(right) is not ListView:
            return False
        if kind is ListView and (<ListView>left).shape.form != F_LIST:
            return (<ListView>left).same(right, frame)
        a, b = list_items(left), list_items(right)
        size = PyList_GET_SIZE(a)
        if size != PyList_GET_SIZE(b):
            return False
        work(frame, size)
        for i in range(size):
            if not same(<object>PyList_GET_ITEM(a, i), <object>PyList_GET_ITEM(b, i), frame):
                return False
        return True
    if kind is dict or kind is MapView:
        if type(right) is not dict and type(right) is not MapView:
            return False
        return same_maps(left, right, frame)
    if kind is Optional:
        if type(right) is not Optional or (<Optional>left).present != (<Optional>right).present:
            return False
        return not (<Optional>left).present or same((<Optional>left).value, (<Optional>right).value, frame)
    return type(right) is kind and left == right


cdef bint same_maps(object left, object right, Frame frame) except -1:
    if len(left) != len(right):
        return False
    work(frame, len(left))
    for key in map_keys(left):
        other = find_in(right, key, frame)
        if other is MISSING or not same(find_in(left, key, frame), other, frame):
            return False
    return True


def equal(left, right):
    """CEL's equality."""
    return same(left, right, None)


cdef int compare(object left, object right) except -2:
    """-1, 0 or 1; EvaluationError for what has no order."""
    kind = type(left)
    if kind is str or kind is bytes or kind is bool:
        if type(right) is not kind:
            raise EvaluationError("no such overload")
        return (left > right) - (left < right)
    if kind is int or kind is float or kind is UInt:
        if not is_number(right):
            raise EvaluationError("no such overload")
        if (kind is float and isnan(<double>left)) or (type(right) is float and isnan(<double>right)):
            raise EvaluationError("NaN values cannot be ordered")
        return compare_numbers(left, right)
    if kind is Timestamp and type(right) is Timestamp:
        return ((<Timestamp>left).ns > (<Timestamp>right).ns) - ((<Timestamp>left).ns < (<Timestamp>right).ns)
    if kind is Duration and type(right) is Duration:
        return ((<Duration>left).ns > (<Duration>right).ns) - ((<Duration>left).ns < (<Duration>right).ns)
    raise EvaluationError("no such overload")


def order(left, right):
    """-1, 0 or 1; EvaluationError for what has no order."""
    return compare(left, right)


cdef object find_in(object container, object key, Frame frame):
    """The value under a key of a map, MISSING for none."""
    cdef PyObject* found
    if type(container) is dict:
        if type(key) is str:
            found = PyDict_GetItem(<dict>container, key)
            return <object>found if found != NULL else MISSING
        return find_odd(<dict>container, key, frame)
    if isinstance(container, MapView):
        return (<MapView>container).find(key)
    return MISSING


cdef object find_odd(dict container, object key, Frame frame):
    """The same for keys other than text: 1, 1.0 and 1u are one key, but true is another."""
    kind = type(key)
    if kind is bool or (is_number(key) and (key == 0 or key == 1)):
        work(frame, len(container))
        for known, value in container.items():
            if same(known, key, None):
                return value
        return MISSING
    try:
        return container.get(key, MISSING)
    except TypeError:
        raise EvaluationError(f"unsupported key type: {type_name(key)}") from None


cdef bint contains(object container, object item, Frame frame) except -1:
    """`item in container`."""
    if type(container) is dict or isinstance(container, MapView):
        return find_in(container, item, frame) is not MISSING
    if type(container) is list or isinstance(container, ListView):
        for one in list_items(container):
            if same(one, item, frame):
                return True
        return False
    if isinstance(container, Struct):
        return type(item) is str and item in container.fields
    raise EvaluationError("no such overload")
