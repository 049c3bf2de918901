"""Passes valid names by their characters; regular expressions are left for those that may be wrong.

PERF: nearly all names that are checked are valid, and a create of a pod checks some fifty of them.
"""

from functools import update_wrapper

from cpython.dict cimport PyDict_GetItemWithError, PyDict_Next
from cpython.object cimport PyObject

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object)
    Py_ssize_t PyUnicode_GET_LENGTH(object)
    void *PyUnicode_1BYTE_DATA(object)

include "pilothouse/api/_turn.pxi"

cdef enum:
    FIRST = 1
    INNER = 2
    LAST = 4
    LONGEST = 1024


cdef class Shape:
    """The shape of ASCII texts: the characters that may come first, inside and last, and the most characters.

    With a separator each part between two of them has this shape.
    """

    cdef unsigned char kinds[128]
    cdef unsigned char separator
    cdef Py_ssize_t most

    def __init__(
        self, str first not None, str inner not None, str last not None, Py_ssize_t most=LONGEST,
        str separator not None="",
    ):
        cdef int kind
        self.kinds = [0] * 128
        for kind, characters in ((FIRST, first), (INNER, inner), (LAST, last)):
            for character in characters.encode("ascii"):
                self.kinds[character] |= kind
        self.separator = ord(separator) if separator else 0
        self.most = most

    cdef bint fits(self, const unsigned char *text, Py_ssize_t size) noexcept:
        """Whether a text has the shape; False of some that a rule allows, such as empty ones."""
        cdef unsigned char expected = FIRST, kinds = 0
        cdef Py_ssize_t i
        if size == 0 or size > self.most:
            return False
        for i in range(size):
            if text[i] == self.separator and self.separator:
                if not kinds & LAST:
                    return False
                expected, kinds = FIRST, 0
                continue
            kinds = self.kinds[text[i]]
            if not kinds & expected:
                return False
            expected = INNER
        return kinds & LAST != 0

    cdef bint takes(self, value):
        """Whether a value is a text of the shape."""
        return (
            isinstance(value, str)
            and PyUnicode_IS_ASCII(value)
            and self.fits(<const unsigned char*>PyUnicode_1BYTE_DATA(value), PyUnicode_GET_LENGTH(value))
        )

    def takes_all(self, list structs not None, str member not None):
        """Whether each struct has a member that is a text of the shape."""
        cdef PyObject *found
        for struct in structs:
            found = PyDict_GetItemWithError(<dict?>struct, member)
            if found is NULL or not self.takes(<object>found):
                return False
        return True

    def takes_map(self, dict members not None, Shape values, Py_ssize_t most):
        """Whether each name in a map is a text of the shape, and each value one of the shape `values`, or any
        ASCII text where that is None; names and values together have at most `most` characters."""
        cdef PyObject *name
        cdef PyObject *value
        cdef Py_ssize_t at = 0
        while PyDict_Next(members, &at, &name, &value):
            step()
            if not self.takes(<object>name) or not isinstance(<object>value, str):
                return False
            if not PyUnicode_IS_ASCII(<object>value) if values is None else not values.takes(<object>value):
                return False
            most -= PyUnicode_GET_LENGTH(<object>name) + PyUnicode_GET_LENGTH(<object>value)
        return most >= 0

    def passes(self, rule):
        """Decorates a rule (value) or (value, prefix) that has no messages for values of this shape."""
        return Passing(rule, self)


cdef class Key(Shape):
    """The shape of a key: a name, and before it, divided by a slash, perhaps a prefix."""

    cdef Shape prefix
    cdef Shape name

    def __init__(self, Shape prefix not None, Shape name not None):
        self.prefix = prefix
        self.name = name

    cdef bint fits(self, const unsigned char *text, Py_ssize_t size) noexcept:
        cdef Py_ssize_t i
        for i in range(size):
            if text[i] == b"/":
                return self.prefix.fits(text, i) and self.name.fits(text + i + 1, size - i - 1)
        return self.name.fits(text, size)


cdef class Passing:
    """A rule that is asked only about texts of another shape than that of most valid ones."""

    cdef object rule
    cdef Shape shape
    cdef dict __dict__

    def __init__(self, rule, Shape shape not None):
        self.rule = rule
        self.shape = shape
        update_wrapper(self, rule)

    def __call__(self, value, prefix=False):
        if prefix:
            return self.rule(value, prefix)
        return [] if self.shape.takes(value) else self.rule(value)


def size(str text not None):
    """The length of a text in UTF-8 bytes, in which all limits are given."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
