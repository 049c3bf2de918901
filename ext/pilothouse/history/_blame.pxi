# Which fields of an object a change has set, for history/blame.py. Included by _delta.pyx.


def take_set(bytes delta not None, paths not None, dict open_ not None):
    """Remove the values that a delta sets from those that are open, by path; what these had there, None of a
    delta that does more, or sets an object or a list.

    paths: tells paths by the texts that deltas have of them.
    """
    cdef const char* text = PyBytes_AS_STRING(delta)
    cdef Piece walk = Piece(text, 1, PyBytes_GET_SIZE(delta))
    cdef Place[MOST_STEPS] steps
    cdef Py_ssize_t start
    cdef int count = 0, number
    cdef char new
    cdef list found = []
    while goes_on(&walk, c']'):
        start = walk.at
        if count == MOST_STEPS or not read_step(&walk, &steps[count]) or text[start + 2] != c'=':
            return None
        new = steps[count].value[steps[count].length + 1]
        if new == c'{' or new == c'[':
            return None
        count += 1
    for number in range(count):
        path = paths[PyBytes_FromStringAndSize(steps[number].path, steps[number].size)]
        if path in open_:
            found.append(open_.pop(path))
    return found


cdef object found_at(object place, tuple path):
    """The value at a path, NOTHING where there is none."""
    cdef PyObject* found
    for step in path:
        if type(place) is dict:
            found = PyDict_GetItemWithError(place, step)
            if found == NULL:
                return NOTHING
            place = <object>found
        elif type(place) is list and type(step) is int and 0 <= step < len(<list>place):
            place = (<list>place)[step]
        else:
            return NOTHING
    return place


def take_unlike(before, list leaves not None, dict open_ not None):
    """Remove the fields from those that are open, by path, whose values were others before; what they had
    there, which are their numbers among the leaves: pairs of a path and a value."""
    cdef list found = []
    for path, number in list(open_.items()):
        value = (<tuple>leaves[number])[1]
        old = found_at(before, path)
        if type(old) is not type(value) or old != value:
            found.append(open_.pop(path))
    return found
