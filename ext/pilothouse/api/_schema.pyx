"""Decodes a parsed body by its type: the result equals Go's decoding into a struct and encoding it again.

Unknown members are dropped and reported, nulls and empty omitempty members are dropped, members that are
always written are added, times and quantities become canonical, plain defaults are set. A body parsed by
orjson is walked once. For anything unusual (a wrong type, a repeated member) `Odd` is raised, and the caller
walks the output of `scan` instead, which keeps number literals and repeated members, so that result and
messages equal those of sigs.k8s.io/json.
"""

from cpython.dict cimport PyDict_GetItem, PyDict_Next, PyDict_SetItem
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_Compare
from libc.stdint cimport int32_t, int64_t

cdef extern from "Python.h":
    void *PyUnicode_1BYTE_DATA(object)
    int64_t PyLong_AsLongLongAndOverflow(object, int *) except? -1

from binascii import b2a_base64

from pilothouse.api._stored cimport shared_set

cdef enum:
    DEPTH_LIMIT = 200  # levels of objects and arrays; api/types/depth.py has the reason

MAX_DEPTH = DEPTH_LIMIT

include "_turn.pxi"
include "_schema_scan.pxi"

cdef enum Kind:
    ANY
    STRUCT
    MAP
    LIST
    STRING
    INT32
    INT64
    NUMBER
    BOOL
    BYTES
    TIME
    MICROTIME
    DURATION
    QUANTITY
    MILLI  # a quantity in a ResourceList, rounded up to thousandths
    INTORSTRING
    SCHEMAOR

cdef dict KINDS = {
    "any": ANY, "struct": STRUCT, "map": MAP, "list": LIST, "string": STRING, "int32": INT32, "int64": INT64,
    "number": NUMBER, "bool": BOOL, "bytes": BYTES, "time": TIME, "microtime": MICROTIME,
    "duration": DURATION,
    "quantity": QUANTITY, "intorstring": INTORSTRING, "schemaor": SCHEMAOR,
}

DEF MAX_STRICT_ERRORS = 100  # sigs.k8s.io/json stops there
DEF MAX_STRICT_CHARS = 65536  # of their paths, so that one long key is not repeated in each of them

# limit per body: each takes about 500 bytes, even if it was two bytes of JSON; no kind's object has as many
DEF MAX_STRUCTS = 200000
DEF MAX_KNOWN = 4096  # quantities whose canonical text is cached
DEF MAX_KNOWN_LENGTH = 24

cdef dict known_quantities = {}
cdef dict known_milli = {}
cdef object parse_quantity = None
cdef object parse_milli = None
cdef object parse_time = None
cdef object parse_microtime = None
cdef object parse_base64 = None


def set_parsers(quantity, quantity_milli, time, microtime, base64):
    """Set the functions that canonicalise texts; each raises ValueError with Go's message."""
    global parse_quantity, parse_milli, parse_time, parse_microtime, parse_base64
    parse_quantity = quantity
    parse_milli = quantity_milli
    parse_time = time
    parse_microtime = microtime
    parse_base64 = base64


def remembered():
    """Number of cached texts, and the longest length that is cached."""
    return len(known_quantities) + len(known_milli), MAX_KNOWN_LENGTH


class Odd(Exception):
    """The fast walk cannot decode the value; the exact one must."""


class DecodeError(Exception):
    """The value does not fit its type; the message is Go's."""


cdef class Member:
    cdef str name
    cdef str embedded
    cdef Node node
    cdef bint omit
    cdef bint pointer
    cdef object default


cdef class Node:
    """A Type prepared for the walk."""
    cdef Kind kind
    cdef str go
    cdef dict members
    cdef Node items
    cdef list always  # members that are written even if absent
    cdef list defaulted
    cdef bint preserve_unknown


cdef struct Frame:
    Frame *up
    PyObject *owner  # the Node of the struct that has this member, else NULL
    PyObject *key  # a Member, a map's key, or NULL for a list's item
    Py_ssize_t index
    int depth


cdef Node milli_node = Node()
milli_node.kind = MILLI
milli_node.go = "resource.Quantity"


cdef Node node_of(object type):
    cdef Node node
    if type.node is not None:
        return <Node>type.node
    node = Node()
    type.node = node
    node.kind = KINDS[type.kind]
    node.go = type.go
    node.members = {}
    node.always = []
    node.defaulted = []
    node.preserve_unknown = type.preserve_unknown
    if type.items is not None:
        node.items = milli_node if node.go == "v1.ResourceList" else node_of(type.items)
    for field in type.fields.values():
        add_member(node, field)
    return node


cdef void add_member(Node node, object field):
    cdef Member member = Member()
    member.name = field.name
    member.embedded = field.embedded
    member.node = node_of(field.type)
    member.omit = field.omit
    member.pointer = field.pointer
    member.default = field.default
    node.members[member.name] = member
    if not member.omit:
        node.always.append(member)
    if member.default is not None and member.default != {}:
        node.defaulted.append(member)


cdef object zero_of(Node node):
    """A type's zero value as Go encodes it; None for Go's nil."""
    cdef Kind kind = node.kind
    if kind == STRUCT:
        return zero_struct(node)
    if kind == STRING:
        return ""
    if kind == INT32 or kind == INT64 or kind == NUMBER or kind == INTORSTRING:
        return 0
    if kind == BOOL:
        return False
    if kind == QUANTITY or kind == MILLI:
        return "0"
    if kind == DURATION:
        return "0s"
    return None


cdef dict zero_struct(Node node):
    cdef dict out = {}
    complete(node, out)
    return out


cdef void complete(Node node, dict out):
    """Set defaults, and the zero values of members that are always written."""
    cdef Member member
    for member in node.defaulted:
        if member.name not in out or (not member.pointer and not out[member.name]):
            out[member.name] = member.default
    for member in node.always:
        if member.name not in out:
            out[member.name] = None if member.pointer else zero_of(member.node)


include "_schema_values.pxi"
include "_schema_empty.pxi"


cdef class Walk:
    """One pass over one body."""
    cdef bint exact  # the body was read by `scan`
    cdef bint lenient  # inside a Go UnmarshalJSON, which reports no unknown members
    cdef public list strict
    cdef set seen
    cdef Py_ssize_t told  # characters of all strict errors so far
    cdef Py_ssize_t structs
    cdef str error
    cdef public Py_ssize_t members  # of all objects met so far
    cdef dict kept  # members of the object that are taken as they are here

    def __init__(self, bint exact, dict kept=None):
        self.exact = exact
        self.kept = kept
        self.lenient = False
        self.strict = []
        self.seen = None
        self.told = 0
        self.structs = 0
        self.error = None
        self.members = 0

    def run(self, type, value):
        """The decoded value; raises DecodeError or, unless exact, Odd."""
        cdef Frame frame
        frame.up = NULL
        frame.owner = NULL
        frame.key = NULL
        frame.index = -1
        frame.depth = 0
        out = self.walk(node_of(type), value, &frame)
        if self.error is not None:
            raise DecodeError(self.error)
        return out

    cdef object walk(self, Node node, object value, Frame *frame):
        """The value to keep, None for a Go nil or a zero time."""
        cdef Kind kind = node.kind
        cdef int64_t number
        cdef int overflow = 0
        if kind == STRING or kind == DURATION:
            if type(value) is str:
                return value
        elif kind == STRUCT:
            if type(value) is dict or type(value) is Members:
                return self.struct(node, value, frame)
        elif kind == LIST:
            if type(value) is list:
                return self.list(node, <list>value, frame)
        elif kind == MAP:
            if type(value) is dict or type(value) is Members:
                return self.map(node, value, frame)
        elif kind == INT32 or kind == INT64:
            if type(value) is int:
                number = PyLong_AsLongLongAndOverflow(value, &overflow)
                if not overflow and (kind == INT64 or number == <int32_t>number):
                    return value
            elif type(value) is Literal:
                found = integer(value, 31 if kind == INT32 else 63)
                if found is not None:
                    return found
                return self.wrong(value, node.go, frame, True)
        elif kind == BOOL:
            if type(value) is bool:
                return value
        elif kind == ANY:
            return self.any(value, frame.depth)
        elif kind == QUANTITY:
            return self.quantity(parse_quantity, known_quantities, value)
        elif kind == MILLI:
            return self.quantity(parse_milli, known_milli, value)
        elif kind == TIME or kind == MICROTIME:
            if type(value) is str:
                if kind == TIME and is_plain_time(<str>value):
                    return value
                return self.parsed(parse_time if kind == TIME else parse_microtime, value)
            return self.abort(mismatch(describe(value), "string", frame))
        elif kind == INTORSTRING:
            if type(value) is str:
                return value
            if type(value) is int:
                number = PyLong_AsLongLongAndOverflow(value, &overflow)
                if not overflow and number == <int32_t>number:
                    return value
            elif type(value) is Literal:
                found = integer(value, 31)
                if found is not None:
                    return found
                return self.abort(mismatch(f"number {value}", "int32", frame))
            return self.abort(mismatch(describe(value), "int32", frame))
        elif kind == BYTES:
            if type(value) is str:
                return self.base64(<str>value)
            if type(value) is list:
                return self.byte_list(<list>value, frame)
        elif kind == NUMBER:
            if type(value) is float or type(value) is int:
                return value
            if type(value) is Literal:
                found = number_of(value)
                return found if found is not None else self.wrong(value, node.go, frame, True)
        elif kind == SCHEMAOR:
            return self.schema_or(node, value, frame)
        return self.wrong(value, node.go, frame)

    cdef object struct(self, Node node, object value, Frame *up):
        cdef Frame frame
        cdef dict out = {}
        cdef PyObject *key
        cdef PyObject *item
        cdef Py_ssize_t position = 0
        frame.up = up
        frame.owner = <PyObject *>node
        frame.index = -1
        frame.depth = up.depth + 1
        if frame.depth > DEPTH_LIMIT:
            return self.abort("exceeded max depth")
        self.structs += 1
        if self.structs > MAX_STRUCTS:
            raise DecodeError(f"more than {MAX_STRUCTS} objects in one")
        if type(value) is dict:
            self.members += len(<dict>value)
            while PyDict_Next(value, &position, &key, &item):
                self.member(node, out, <object>key, <object>item, &frame)
        else:
            met = set()
            for name, given in (<Members>value).pairs:
                if name in met and name in node.members:
                    self.complain("duplicate field", name, up)
                met.add(name)
                self.member(node, out, name, given, &frame)
        complete(node, out)
        return out

    cdef int member(self, Node node, dict out, object key, object item, Frame *frame) except -1:
        cdef PyObject *found = PyDict_GetItem(node.members, key)
        cdef Member member
        cdef Kind kind
        step()
        if found is NULL:
            if node.preserve_unknown:
                out[key] = self.any(item, frame.depth)
            else:
                self.unknown(key, item, frame)
            return 0
        member = <Member>found
        kind = member.node.kind
        if self.kept is not None and frame.depth == 1:
            found = PyDict_GetItem(self.kept, key)
            if found is not NULL:
                PyDict_SetItem(out, key, <object>found)
                return 0
            found = <PyObject *>member
        if kind == STRING and type(item) is str and (<str>item or member.pointer or not member.omit):
            PyDict_SetItem(out, key, item)
            return 0
        if item is None:
            # Null clears what is nil in Go and leaves any other value unchanged.
            if self.exact and key in out and (
                member.pointer or kind in (LIST, MAP, ANY, BYTES, TIME, MICROTIME)
            ):
                del out[key]
            return 0
        frame.key = found
        walked = self.walk(member.node, item, frame)
        if walked is None or (not member.pointer and dropped(member, kind, walked)):
            if self.exact:
                out.pop(key, None)
            return 0
        if self.exact and key in out and (kind == STRUCT or kind == MAP):
            merge(<dict>out[key], <dict>walked)
            return 0
        PyDict_SetItem(out, key, walked)
        return 0

    cdef object list(self, Node node, list value, Frame *up):
        cdef Frame frame
        cdef Py_ssize_t i
        cdef list out = []
        cdef object item
        frame.up = up
        frame.owner = NULL
        frame.key = NULL
        frame.depth = up.depth + 1
        if frame.depth > DEPTH_LIMIT:
            return self.abort("exceeded max depth")
        for i in range(PyList_GET_SIZE(value)):
            item = <object>PyList_GET_ITEM(value, i)
            frame.index = i
            out.append(self.element(node.items, item, &frame))
        return out

    cdef object map(self, Node node, object value, Frame *up):
        cdef Frame frame
        cdef dict out = {}
        cdef PyObject *key
        cdef PyObject *item
        cdef Py_ssize_t position = 0
        frame.up = up
        frame.owner = NULL
        frame.index = -1
        frame.depth = up.depth + 1
        if frame.depth > DEPTH_LIMIT:
            return self.abort("exceeded max depth")
        if type(value) is dict:
            self.members += len(<dict>value)
            while PyDict_Next(value, &position, &key, &item):
                frame.key = key
                out[<object>key] = self.element(node.items, <object>item, &frame)
        else:
            for name, element in (<Members>value).pairs:
                if name in out:
                    self.complain("duplicate field", name, up)
                frame.key = <PyObject *>name
                out[name] = self.element(node.items, element, &frame)
        return in_key_order(out)

    cdef object element(self, Node node, object value, Frame *frame):
        """Decode an item of a list or map, which is written even if it is empty."""
        step()
        if value is not None:
            value = self.walk(node, value, frame)
        if value is not None:
            return value
        return "" if node.kind == BYTES else zero_of(node)

    cdef object any(self, object value, int depth):
        """Decode a value without a type, of at most `depth` levels."""
        if self.exact:
            return plain(value, depth)
        if shared_set(value) is None:  # PERF: one that objects share comes from the store
            self.members += count_members(value, depth)
        return value

    cdef object schema_or(self, Node node, object value, Frame *frame):
        """JSONSchemaPropsOrBool, OrArray, OrStringArray: Go's own unmarshalling, which ignores unknown ones.

        What an UnmarshalJSON saved ends the walk around it at once, and so goes before what was saved there.
        """
        cdef str saved = self.error
        self.error = None
        out = self.schema_or_other(node, value, frame)
        if self.error is not None:
            return self.abort(self.error)
        self.error = saved
        return out

    cdef object schema_or_other(self, Node node, object value, Frame *frame):
        cdef bint before = self.lenient
        cdef list out
        if type(value) is dict or type(value) is Members:
            self.lenient = True
            walked = self.struct(node.items, value, frame)
            self.lenient = before
            return walked
        if node.go == "v1.JSONSchemaPropsOrBool":
            return value if type(value) is bool else self.abort("boolean or JSON schema expected")
        if type(value) is not list or not value:
            return None  # neither one schema nor several: Go keeps an empty struct, which is null as JSON
        names = node.go == "v1.JSONSchemaPropsOrStringArray"
        self.lenient = True
        out = []
        for item in <list>value:
            if names:
                named = type(item) is str or item is None
                out.append(item or "" if named else self.wrong(item, "string", frame))
            elif type(item) is dict or type(item) is Members or item is None:
                out.append(self.struct(node.items, item or {}, frame))
            else:
                out.append(self.wrong(item, "v1.JSONSchemaProps", frame))
        self.lenient = before
        return out

    cdef object quantity(self, object parse, dict known, object value):
        cdef PyObject *found
        text = value if type(value) is str else raw_text(value)
        found = PyDict_GetItem(known, text)
        if found is not NULL:
            return <object>found
        out = self.parsed(parse, text)
        if len(<str>text) <= MAX_KNOWN_LENGTH:
            if len(known) >= MAX_KNOWN:
                known.clear()
            known[text] = out
        return out

    cdef object base64(self, str text):
        try:
            return parse_base64(text)
        except ValueError as error:
            return self.save(str(error))

    cdef object byte_list(self, list value, Frame *frame):
        """Decode an array of small numbers as bytes, as Go does."""
        cdef bytearray out = bytearray()
        for item in value:
            step()
            found = integer(str(item), 8) if type(item) in (int, Literal) else None
            if found is None or found < 0:
                return self.wrong(item, "uint8", frame, type(item) in (int, Literal))
            out.append(found)
        return b2a_base64(out, newline=False).decode()

    cdef object parsed(self, object parse, object text):
        if text is None:
            raise Odd
        try:
            return parse(text)
        except ValueError as error:
            return self.abort(str(error))

    cdef object save(self, str message):
        """Save the error; Go reports the first one at the end of the walk."""
        if not self.exact:
            raise Odd
        if self.error is None:
            self.error = message
        return None

    cdef object wrong(self, object value, str go, Frame *frame, bint shown=False):
        """Save the error of a value that is not a `go`, with its path if it is the first;
        a number appears as `shown`."""
        if self.exact and self.error is None:
            return self.save(mismatch(f"number {value}" if shown else describe(value), go, frame))
        return self.save("")

    cdef object abort(self, str message):
        """Abort the walk, as an error in a Go UnmarshalJSON does."""
        if not self.exact:
            raise Odd
        raise DecodeError(message)

    cdef int unknown(self, str key, object item, Frame *frame) except -1:
        if not self.exact:
            self.members += count_members(item, frame.depth)
        self.complain("unknown field", key, frame.up)
        return 0

    cdef int complain(self, str what, str key, Frame *frame) except -1:
        if self.lenient or len(self.strict) >= MAX_STRICT_ERRORS or self.told >= MAX_STRICT_CHARS:
            return 0
        path = strict_path(frame)
        self.told += len(path) + len(key)
        message = (what, f"{path}.{key}" if path else key)
        if self.seen is None:
            self.seen = set()
        if message not in self.seen:
            self.seen.add(message)
            self.strict.append(message)
        return 0
