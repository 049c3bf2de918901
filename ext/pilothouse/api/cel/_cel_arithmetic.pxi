# Operators on numbers, text, times and lists. Included by _cel.pyx.

cdef inline object fit_int(object value):
    cdef int overflow = 0
    PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow:
        raise EvaluationError("integer overflow")
    return value


cdef inline object fit_uint(object value):
    if value < 0 or value > UINT_MAX:
        raise EvaluationError("unsigned integer overflow")
    return UInt(value)


cdef inline object fit_time(object ns, int offset):
    if ns < TIME_MIN or ns > TIME_MAX:
        raise EvaluationError("timestamp overflow")
    return Timestamp(ns, offset)


cdef object no_overload(str function, object left):
    """The error for operands that an operator does not take."""
    if kind_of(left) in (K_BOOL, K_NULL, K_MAP, K_TYPE, K_OPTIONAL, K_OTHER):
        raise EvaluationError("no such overload: " + function)
    raise EvaluationError("no such overload")


cdef object add(object left, object right, Frame frame):
    """`left + right`; for text and bytes the cost is charged by the caller."""
    kind, other = type(left), type(right)
    if kind is int and other is int:
        return fit_int(left + right)
    if kind is str and other is str:
        return <str>left + <str>right
    if kind is float and other is float:
        return left + right
    if kind is list or kind is ListView:
        if other is not list and other is not ListView:
            raise EvaluationError("no such overload")
        return join_lists(left, right, frame)
    if kind is UInt and other is UInt:
        return fit_uint(int(left) + int(right))
    if kind is bytes and other is bytes:
        return <bytes>left + <bytes>right
    if kind is Duration:
        if other is Duration:
            return Duration(fit_int((<Duration>left).ns + (<Duration>right).ns))
        if other is Timestamp:
            return fit_time((<Duration>left).ns + (<Timestamp>right).ns, (<Timestamp>right).offset)
    elif kind is Timestamp and other is Duration:
        return fit_time((<Timestamp>left).ns + (<Duration>right).ns, (<Timestamp>left).offset)
    return no_overload("_+_", left)


cdef object join_lists(object left, object right, Frame frame):
    work(frame, len(left) + len(right))
    if type(left) is ListView:
        return (<ListView>left).joined(right, frame)
    return <list>left + list_items(right)


cdef object subtract(object left, object right):
    kind, other = type(left), type(right)
    if kind is int and other is int:
        return fit_int(left - right)
    if kind is float and other is float:
        return left - right
    if kind is UInt and other is UInt:
        return fit_uint(int(left) - int(right))
    if kind is Duration and other is Duration:
        return Duration(fit_int((<Duration>left).ns - (<Duration>right).ns))
    if kind is Timestamp:
        if other is Duration:
            return fit_time((<Timestamp>left).ns - fit_int((<Duration>right).ns), (<Timestamp>left).offset)
        if other is Timestamp:
            return Duration(fit_int((<Timestamp>left).ns - (<Timestamp>right).ns))
    if kind is str or kind is bytes or kind is list or kind is ListView:
        raise EvaluationError("no such overload: _-_")
    return no_overload("_-_", left)


cdef object multiply(object left, object right):
    kind, other = type(left), type(right)
    if kind is int and other is int:
        return fit_int(left * right)
    if kind is float and other is float:
        return left * right
    if kind is UInt and other is UInt:
        return fit_uint(int(left) * int(right))
    raise EvaluationError("no such overload" if is_number(left) else "no such overload: _*_")


cdef object divide(object left, object right):
    cdef double dividend
    kind, other = type(left), type(right)
    if kind is int and other is int:
        if right == 0:
            raise EvaluationError("division by zero")
        quotient = abs(left) // abs(right)
        return fit_int(quotient if (left < 0) == (right < 0) else -quotient)
    if kind is float and other is float:
        if right != 0:
            return left / right
        dividend = left
        if dividend == 0 or isnan(dividend):
            return float("nan")
        negative = (dividend < 0) != (str(right)[0] == "-")
        return float("-inf") if negative else float("inf")
    if kind is UInt and other is UInt:
        if right == 0:
            raise EvaluationError("division by zero")
        return UInt(int(left) // int(right))
    raise EvaluationError("no such overload" if is_number(left) else "no such overload: _/_")


cdef object modulo(object left, object right):
    kind, other = type(left), type(right)
    if kind is int and other is int:
        if right == 0:
            raise EvaluationError("modulus by zero")
        if right == -1:
            fit_int(-left)
        rest = abs(left) % abs(right)
        return -rest if left < 0 else rest
    if kind is UInt and other is UInt:
        if right == 0:
            raise EvaluationError("modulus by zero")
        return UInt(int(left) % int(right))
    raise EvaluationError("no such overload" if kind is int or kind is UInt else "no such overload: _%_")


cdef object negate(object value):
    kind = type(value)
    if kind is int:
        return fit_int(-value)
    if kind is float:
        return -value
    if kind is Duration:
        return Duration(fit_int(-(<Duration>value).ns))
    raise EvaluationError("no such overload" if kind is bool else "no such overload: -_")


def total(left, right):
    """`left + right` of two values that an expression could add."""
    return add(left, right, None)
