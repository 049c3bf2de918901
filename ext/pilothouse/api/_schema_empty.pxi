# Part of _schema.pyx: empty lists, which field tracking tells from absent ones. `lists` is a tree of
# schema.empty_lists().

def keep_empty(dict lists, given, kept):
    """Restore the empty lists of a body in the object that was decoded from it."""
    keep(lists, given, kept)


def drop_empty(dict lists, obj):
    """Convert empty lists to their stored form: null if the member is always written, else absent."""
    drop(lists, obj)


cdef int keep(dict lists, object given, object kept) except -1:
    cdef PyObject *name
    cdef PyObject *below
    cdef PyObject *value
    cdef PyObject *inner
    cdef Py_ssize_t position = 0
    if type(given) is not dict or type(kept) is not dict:
        return 0
    while PyDict_Next(lists, &position, &name, &below):
        value = PyDict_GetItem(<dict>given, <object>name)
        if value is NULL:
            continue
        if type(<object>below) is dict:
            inner = PyDict_GetItem(<dict>kept, <object>name)
            if inner is not NULL:
                keep(<dict>below, <object>value, <object>inner)
        elif type(<object>value) is list and not PyList_GET_SIZE(<object>value):
            PyDict_SetItem(<dict>kept, <object>name, [])
    return 0


cdef int drop(dict lists, object obj) except -1:
    cdef PyObject *name
    cdef PyObject *below
    cdef PyObject *value
    cdef Py_ssize_t position = 0
    if type(obj) is not dict:
        return 0
    while PyDict_Next(lists, &position, &name, &below):
        value = PyDict_GetItem(<dict>obj, <object>name)
        if value is NULL:
            continue
        if type(<object>below) is dict:
            drop(<dict>below, <object>value)
        elif type(<object>value) is list and not PyList_GET_SIZE(<object>value):
            if <object>below:
                PyDict_SetItem(<dict>obj, <object>name, None)
            else:
                del (<dict>obj)[<object>name]
    return 0
