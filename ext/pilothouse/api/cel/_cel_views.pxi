# Values that mean something else than their JSON does (apiserver pkg/cel/common UnstructuredToVal).
# Included by _cel.pyx.

cdef enum Form:
    F_PLAIN
    F_TIMESTAMP
    F_DATE
    F_DURATION
    F_BYTES
    F_DOUBLE
    F_OBJECT
    F_MAP
    F_LIST
    F_SET
    F_MAPLIST

cdef dict FORMS = {
    "plain": F_PLAIN, "timestamp": F_TIMESTAMP, "date": F_DATE, "duration": F_DURATION, "bytes": F_BYTES,
    "double": F_DOUBLE, "object": F_OBJECT, "map": F_MAP, "list": F_LIST, "set": F_SET, "maplist": F_MAPLIST,
}

cdef dict readers = {}


def register_readers(timestamp, date, duration, data):
    """The functions that read the text of formats; each raises EvaluationError."""
    readers.update({F_TIMESTAMP: timestamp, F_DATE: date, F_DURATION: duration, F_BYTES: data})


cdef class Shape:
    """How the values of a schema are seen. `plain` ones, which are most, are what they are."""

    cdef readonly str name
    cdef int form
    cdef readonly bint plain
    cdef dict fields
    cdef Shape items
    cdef tuple keys

    def __init__(self, str name not None, dict fields=None, Shape items=None, tuple keys=()):
        self.name = name
        self.form = FORMS[name]
        self.fields = fields if fields is not None else {}
        self.items = items
        self.keys = keys
        if self.form in (F_OBJECT, F_MAP, F_LIST):
            self.plain = (items is None or items.plain) and all(one.plain for one in self.fields.values())
        else:
            self.plain = self.form == F_PLAIN


cdef object adapt(object value, Shape shape):
    """A value as its schema has it."""
    cdef int form
    if shape is None or shape.plain or value is None:
        return value
    form = shape.form
    if form == F_DOUBLE:
        return float(value) if type(value) is int else value
    if form == F_OBJECT or form == F_MAP:
        return MapView.__new__(MapView, value, shape) if type(value) is dict else value
    if form == F_LIST or form == F_SET or form == F_MAPLIST:
        return ListView.__new__(ListView, value, shape) if type(value) is list else value
    if type(value) is not str:
        raise EvaluationError("invalid data, expected string, got " + write_go_type(value))
    return readers[form](value)


def view(value, Shape shape):
    """A value as its schema has it; the value itself where that is the same."""
    return adapt(value, shape)


cdef class MapView:
    """An object or a map with members that mean something else than their JSON."""

    cdef readonly dict value
    cdef readonly Shape shape

    def __cinit__(self, dict value, Shape shape):
        self.value = value
        self.shape = shape

    def __len__(self):
        return len(self.value)

    def __iter__(self):
        return iter(self.value)

    cdef object find(self, object key):
        """The member's value, MISSING for none."""
        cdef PyObject* found
        if type(key) is not str:
            raise EvaluationError("no such overload")
        found = PyDict_GetItem(self.value, key)
        if found == NULL:
            return MISSING
        return adapt(<object>found, self.below(key))

    cdef Shape below(self, object key):
        cdef PyObject* found
        if self.shape.form == F_MAP:
            return self.shape.items
        found = PyDict_GetItem(self.shape.fields, key)
        return <Shape>found if found != NULL else None


cdef class ListView:
    """A list with items that mean something else than their JSON, or that is a set or a map."""

    cdef readonly list value
    cdef readonly Shape shape

    def __cinit__(self, list value, Shape shape):
        self.value = value
        self.shape = shape

    def __len__(self):
        return len(self.value)

    def __iter__(self):
        return iter(self.items())

    cdef list items(self):
        """The items of the list as expressions see them."""
        cdef Shape items = self.shape.items
        if items is None or items.plain:
            return self.value
        return [adapt(item, items) for item in self.value]

    cdef object identity(self, object item, Frame frame):
        """The key by which the items of a set or a map are told apart."""
        item = plain(item)
        if self.shape.form == F_SET or type(item) is not dict:
            return hashable(item, frame)
        return tuple([hashable((<dict>item).get(key), frame) for key in self.shape.keys])

    cdef bint same(self, object other, Frame frame) except -1:
        """Whether a set or a map equals another list, in whatever order."""
        cdef list items = list_items(other)
        cdef dict known
        if len(items) != len(self.value):
            return False
        known = {self.identity(item, frame): item for item in self.value}
        for item in items:
            found = known.get(self.identity(item, frame), MISSING)
            if found is MISSING:
                return False
            if self.shape.form == F_MAPLIST and not same(adapt(found, self.shape.items), item, frame):
                return False
        return True

    cdef object joined(self, object other, Frame frame):
        """The value of `self + other`: the items of a set or a map once, else one behind the other."""
        cdef list out = list(self.value)
        cdef dict places
        if self.shape.form == F_LIST:
            out.extend(plain(item) for item in list_items(other))
        else:
            places = {self.identity(item, frame): i for i, item in enumerate(out)}
            for item in list_items(other):
                item = plain(item)
                identity = self.identity(item, frame)
                where = places.get(identity)
                if where is None:
                    places[identity] = len(out)
                    out.append(item)
                elif self.shape.form == F_MAPLIST:
                    out[where] = item
        return ListView.__new__(ListView, out, self.shape)


cdef object hashable(object item, Frame frame):
    """An item as the key of a dict. Counts the work: the cost model sees only the number of items."""
    cdef object text
    if not isinstance(item, (dict, list)):
        work(frame, HASH_WORK)
        return item
    text = repr(item)
    work(frame, HASH_WORK + len(text))
    return text


cdef object plain(object value):
    """The value behind a view."""
    if type(value) is MapView:
        return (<MapView>value).value
    if type(value) is ListView:
        return (<ListView>value).value
    return value


def unwrapped(value):
    """The value behind a view; the value itself when it is none."""
    return plain(value)


cdef list list_items(object value):
    """The items of a list as they are seen."""
    if type(value) is list:
        return <list>value
    if isinstance(value, ListView):
        return (<ListView>value).items()
    raise EvaluationError("no such overload")


def items_of(value):
    """The items of a list as they are seen; EvaluationError when it is none."""
    return list_items(value)


cdef list map_keys(object value):
    if type(value) is dict:
        return list(<dict>value)
    if isinstance(value, MapView):
        return list((<MapView>value).value)
    raise EvaluationError("no such overload")


def entries_of(value):
    """The pairs of a map as they are seen; EvaluationError when it is none."""
    if type(value) is dict:
        return list((<dict>value).items())
    if isinstance(value, MapView):
        return [(key, (<MapView>value).find(key)) for key in (<MapView>value).value]
    raise EvaluationError("no such overload")
