"""Finds what a key belongs to by the two segments that follow the root of all keys, or by the first one."""

from cpython.unicode cimport PyUnicode_FindChar, PyUnicode_GET_LENGTH, PyUnicode_Substring


def longest(dict values not None, str key not None, default=None):
    """The value of the longest prefix of a key (`/registry/example.com/widgets/`, else
    `/registry/example.com/`) that has one, else the default."""
    cdef Py_ssize_t end = PyUnicode_GET_LENGTH(key)
    cdef Py_ssize_t root = PyUnicode_FindChar(key, c"/", 1, end, 1) + 1
    cdef Py_ssize_t first = PyUnicode_FindChar(key, c"/", root, end, 1) + 1 if root > 0 else 0
    cdef Py_ssize_t second = PyUnicode_FindChar(key, c"/", first, end, 1) + 1 if first > 0 else 0
    found = values.get(PyUnicode_Substring(key, 0, second)) if second > 0 else None
    if found is None and first > 0:
        found = values.get(PyUnicode_Substring(key, 0, first))
    return default if found is None else found
