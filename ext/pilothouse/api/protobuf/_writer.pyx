"""Encodes objects in protobuf, into one buffer: the members of a message in the order of their numbers."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove

from base64 import b64decode
from struct import pack

from pilothouse.api import json
from pilothouse.api.values import times
from pilothouse.api.values.turns import in_order
from pilothouse.wire import varint

from pilothouse.api.protobuf._messageplan cimport (
    BOOLEAN, BYTES, DOUBLE, EMBEDDED, INT_OR_STRING, INTEGER, ITEMS, JSON, MICROTIME, NO_MESSAGE, ONE,
    QUANTITY, RAW, REPEATED, SCHEMA_OR_BOOL, STRUCT, TEXT, TIME, Kind, Member, Message, Value, plan_of,
)

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object)
    void *PyUnicode_1BYTE_DATA(object)
    Py_ssize_t PyUnicode_GET_LENGTH(object)
    int64_t PyLong_AsLongLongAndOverflow(object, int *) except? -1

include "pilothouse/api/_turn.pxi"
include "_writer_times.pxi"

DEF ROOM = 1024            # bytes of a new buffer
DEF VARINT = 10            # bytes of the longest varint
DEF LONG = 65536           # bytes of a message after whose move another thread may run
DEF MAX_DEPTH = 400        # levels of messages; api/types/depth.py allows fewer

cdef object MASK = (1 << 64) - 1


def encode(obj, type not None):
    """The message of a struct."""
    cdef Output out = Output()
    out.struct(obj, plan_of(type), 0)
    return PyBytes_FromStringAndSize(<const char*>out.data, out.size)


cdef class Output:
    """A growing buffer, and what is written into it."""
    cdef unsigned char* data
    cdef Py_ssize_t size, room

    def __cinit__(self):
        self.data = <unsigned char*>malloc(ROOM)
        if self.data == NULL:
            raise MemoryError
        self.room = ROOM

    def __dealloc__(self):
        free(self.data)

    # Bytes

    cdef inline int need(self, Py_ssize_t more) except -1:
        if self.room - self.size < more:
            self.grow(more)
        return 0

    cdef int grow(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t room = 2 * self.room + more
        cdef unsigned char* data = <unsigned char*>realloc(self.data, room)
        if data == NULL:
            raise MemoryError
        self.data, self.room = data, room
        return 0

    cdef inline int number(self, uint64_t number) except -1:
        self.need(VARINT)
        while number > 0x7F:
            self.data[self.size] = <unsigned char>(number & 0x7F | 0x80)
            self.size += 1
            number >>= 7
        self.data[self.size] = <unsigned char>number
        self.size += 1
        return 0

    cdef inline int tag(self, uint64_t number, int wire) except -1:
        return self.number(number << 3 | wire)

    cdef int append(self, const void* data, Py_ssize_t size) except -1:
        self.need(size)
        memcpy(self.data + self.size, data, size)
        self.size += size
        return 0

    cdef int bytes(self, bytes data) except -1:
        return self.append(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef inline Py_ssize_t begin(self) except -1:
        """Begin a length-delimited value; returns the offset after the byte that is left for its length."""
        self.need(1)
        self.size += 1
        return self.size

    cdef int end(self, Py_ssize_t start) except -1:
        """End the value that begins at `start`; it is moved when its length takes more than a byte."""
        cdef Py_ssize_t size = self.size - start
        cdef Py_ssize_t rest = size >> 7, more = 0
        while rest:
            rest >>= 7
            more += 1
        if more:
            self.need(more)
            memmove(self.data + start + more, self.data + start, size)
            if size > LONG:
                pause()
        self.size = start - 1
        self.number(size)
        self.size += size
        return 0

    # Members

    cdef int struct(self, object obj, Message message, int depth) except -1:
        """Write the members of an object, without a length."""
        cdef Member member
        cdef PyObject* found
        if depth > MAX_DEPTH:
            raise RecursionError("the object is nested too deeply for protobuf")
        if not isinstance(obj, dict):
            raise AttributeError(f"'{type(obj).__name__}' object has no attribute 'get'")
        if message.members is None:
            message.build()
        for member in message.members:
            if member.shape == EMBEDDED:
                self.put(member.number, obj, member.value, depth)
                continue
            found = PyDict_GetItem(obj, member.name)
            if found == NULL or found == <PyObject*>None:
                self.bytes(member.absent)
            else:
                self.member(member, <object>found, depth)
        return 0

    cdef int member(self, Member member, object value, int depth) except -1:
        cdef Py_ssize_t start
        if member.shape == ONE:
            return self.put(member.number, value, member.value, depth)
        if member.shape == REPEATED:
            for item in value:
                self.put(member.number, item, member.value, depth)
            return 0
        for key in in_order(value):
            self.tag(member.number, 2)
            start = self.begin()
            self.tag(1, 2)
            self.text(key)
            self.put(2, value[key], member.value, depth)
            self.end(start)
        return 0

    cdef int put(self, uint64_t number, object value, Value of, int depth) except -1:
        """Write a value with its tag."""
        cdef Kind kind = of.kind
        cdef Py_ssize_t start
        step()
        if kind == TEXT:
            self.tag(number, 2)
            return self.text(value)
        if kind == INTEGER or kind == BOOLEAN:
            self.tag(number, 0)
            return self.integer(value if type(value) is int else int(value))
        if kind == DOUBLE:
            self.tag(number, 1)
            return self.bytes(pack("<d", value))
        self.tag(number, 2)
        start = self.begin()
        if kind == STRUCT:
            self.struct(value, of.message, depth + 1)
        elif kind == ITEMS:
            self.items(value, of.items, depth)
        else:
            self.content(value, of, depth)
        return self.end(start)

    cdef int items(self, object value, Value of, int depth) except -1:
        """A list that is a message; a nil slice of Go, as a value of a map, is one without items."""
        if value is not None:
            for item in value:
                self.put(1, item, of, depth)
        return 0

    # Values

    cdef int text(self, object value) except -1:
        """Write a text with its length."""
        cdef bytes data
        if type(value) is str and PyUnicode_IS_COMPACT_ASCII(value):
            self.number(PyUnicode_GET_LENGTH(value))
            return self.append(PyUnicode_1BYTE_DATA(value), PyUnicode_GET_LENGTH(value))
        data = value.encode()
        self.number(PyBytes_GET_SIZE(data))
        return self.bytes(data)

    cdef int integer(self, object value) except -1:
        """Write a number as a varint; a negative one as its 64-bit two's complement."""
        cdef int overflow = 0
        cdef int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow)
        if overflow:
            return self.number(value & MASK)
        return self.number(<uint64_t>number)

    cdef int content(self, object value, Value of, int depth) except -1:
        """Write a value without tag and length, of a kind that is neither a struct nor a list."""
        cdef Kind kind = of.kind
        if kind == TIME or kind == MICROTIME:
            return self.time(value, kind == MICROTIME) if value else 0
        if kind == BYTES:
            return self.bytes(b64decode(value))
        if kind == QUANTITY:
            self.tag(1, 2)
            return self.text(value if type(value) is str else str(value))
        if kind == INT_OR_STRING:
            return self.int_or_string(value)
        if kind == RAW or kind == JSON:
            return self.json_text(value, kind == RAW)
        if kind == NO_MESSAGE:
            raise TypeError("a map is no message")
        return self.schema_or(value, of, depth)

    cdef int time(self, object value, bint micro) except -1:
        cdef int64_t seconds = 0, fraction = 0
        self.tag(1, 0)
        if type(value) is str and PyUnicode_IS_COMPACT_ASCII(value) and plain_time(
            <const char*>PyUnicode_1BYTE_DATA(value), PyUnicode_GET_LENGTH(value), &seconds, &fraction
        ):
            self.number(<uint64_t>seconds)
        else:
            far, fraction = times.to_unix(value)
            self.integer(far)
        self.tag(2, 0)
        return self.number(fraction * 1000 if micro else 0)

    cdef int int_or_string(self, object value) except -1:
        if isinstance(value, str):
            self.append(b"\x08\x01\x10\x00\x1a", 5)
            return self.text(value)
        self.append(b"\x08\x00\x10", 3)
        if type(value) is int:
            self.integer(value)
        else:
            self.bytes(varint(value))
        return self.append(b"\x1a\x00", 2)

    cdef int json_text(self, object value, bint escaped) except -1:
        """Write JSON, with Go's escapes where its clients compare the bytes with their own."""
        cdef bytes data = json.dump(value)
        if escaped:
            data = json.escaped(data)
        self.tag(1, 2)
        self.number(PyBytes_GET_SIZE(data))
        return self.bytes(data)

    cdef int schema_or(self, object value, Value of, int depth) except -1:
        """Write a JSON schema, or a bool, a list of schemas or a list of names."""
        if of.kind == SCHEMA_OR_BOOL:
            self.tag(1, 0)
            if not isinstance(value, dict):
                return self.integer(int(value))
            self.append(b"\x01", 1)
            return self.schema(2, value, of, depth)
        if isinstance(value, dict):
            return self.schema(1, value, of, depth)
        if value:  # else neither one schema nor several
            for item in value:
                if isinstance(item, dict):
                    self.schema(2, item, of, depth)
                else:
                    self.tag(2, 2)
                    self.text(str(item))
        return 0

    cdef int schema(self, uint64_t number, object value, Value of, int depth) except -1:
        cdef Py_ssize_t start
        self.tag(number, 2)
        start = self.begin()
        self.struct(value, of.message, depth + 1)
        return self.end(start)
