"""Looks at one member of all structs of a list; fills, copies and compares structs in part.

PERF: the variables of a pod's containers are the longest lists that most requests bring.
"""

from cpython.dict cimport PyDict_GetItemWithError, PyDict_Next
from cpython.object cimport PyObject

cdef frozenset NONE = frozenset()


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


def set_empty(dict struct not None, dict values not None):
    """Set members that are absent or empty; for Go fields in which these are the same."""
    cdef PyObject *found
    for name, value in values.items():
        found = PyDict_GetItemWithError(struct, name)
        if found is NULL or not <object>found:
            struct[name] = value


def set_absent(dict struct not None, dict values not None):
    """Set members that are absent."""
    for name, value in values.items():
        if PyDict_GetItemWithError(struct, name) is NULL:
            struct[name] = value


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
    """PERF: members are looked up only where those of the two do not come in the same order."""
    cdef Py_ssize_t same = 0, position = 0, other_position = 0
    cdef PyObject *name
    cdef PyObject *value
    cdef PyObject *next_name
    cdef PyObject *found
    cdef PyObject *item
    cdef bint more = PyDict_Next(other, &other_position, &next_name, &found)
    while PyDict_Next(struct, &position, &name, &value):
        if more and name is next_name:
            if not _same(<object>value, <object>found):
                return False
            more = PyDict_Next(other, &other_position, &next_name, &found)
        else:
            item = PyDict_GetItemWithError(other, <object>name)
            if item is NULL:
                if <object>name not in but:
                    return False
                continue
            if not _same(<object>value, <object>item):
                return False
        same += 1
    return same == len(other)


cdef bint _same(object one, object other) except -1:
    cdef Py_ssize_t i
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if type(one) is str:
        return <str>one == <str>other
    if type(one) is dict:
        return len(<dict>one) == len(<dict>other) and _alike(<dict>one, <dict>other, NONE)
    if type(one) is list:
        if len(<list>one) != len(<list>other):
            return False
        for i in range(len(<list>one)):
            if not _same((<list>one)[i], (<list>other)[i]):
                return False
        return True
    return one == other
