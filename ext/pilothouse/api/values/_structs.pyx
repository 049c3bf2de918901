"""Looks at one member of all structs of a list; copies and compares structs in part.

PERF: the variables of a pod's containers are the longest lists that most requests bring.
"""

from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport Py_EQ, PyObject, PyObject_RichCompareBool


def distinct(list structs not None, str member not None):
    """Whether all structs have a member, which is not empty, and no two of them the same."""
    cdef set seen = set()
    cdef PyObject *found
    for struct in structs:
        found = PyDict_GetItemWithError(<dict?>struct, member)
        if found is NULL or not <object>found:
            return False
        seen.add(<object>found)
    return len(seen) == len(structs)


def lacked(list structs not None, str member not None):
    """Whether no struct has a member."""
    for struct in structs:
        if PyDict_GetItemWithError(<dict?>struct, member) is not NULL:
            return False
    return True


def only(list structs not None, frozenset members not None):
    """Whether the structs have no other members."""
    for struct in structs:
        for name in <dict?>struct:
            if name not in members:
                return False
    return True


def within(list structs not None, str member not None, dict known not None):
    """Whether the values of a member are keys of a dict; a struct without the member has none."""
    cdef PyObject *found
    for struct in structs:
        found = PyDict_GetItemWithError(<dict?>struct, member)
        if found is NULL or <object>found not in known:
            return False
    return True


def without(dict struct not None, frozenset members not None):
    """A copy of a struct of JSON values without some members."""
    return {name: copied(value) for name, value in struct.items() if name not in members}


cdef object copied(value):
    if type(value) is dict:
        return {name: copied(item) for name, item in (<dict>value).items()}
    if type(value) is list:
        return [copied(item) for item in <list>value]
    return value


def alike(dict struct not None, dict other not None, frozenset but not None):
    """Whether two structs are equal, apart from some members, which the second one does not have."""
    return _alike(struct, other, but)


def all_alike(list structs not None, list others not None, frozenset but not None):
    """Whether the structs of two lists are alike in pairs."""
    cdef Py_ssize_t i
    if len(structs) != len(others):
        return False
    for i in range(len(structs)):
        if not _alike(<dict?>structs[i], <dict?>others[i], but):
            return False
    return True


cdef bint _alike(dict struct, dict other, frozenset but) except -1:
    cdef Py_ssize_t same = 0
    cdef PyObject *found
    for name, value in struct.items():
        found = PyDict_GetItemWithError(other, name)
        if found is NULL:
            if name not in but:
                return False
        elif not PyObject_RichCompareBool(value, <object>found, Py_EQ):
            return False
        else:
            same += 1
    return same == len(other)
