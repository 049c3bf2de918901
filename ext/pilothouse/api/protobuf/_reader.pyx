"""Decodes the protobuf form of built-in kinds: magic bytes, a runtime.Unknown, and the object's message.

The result goes through the same decoding as JSON, so no further checks are needed here.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeASCII, PyUnicode_DecodeUTF8
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from binascii import b2a_base64

from pilothouse.api import json
from pilothouse.api.values import times

from pilothouse.api.protobuf._messageplan cimport (
    BOOLEAN, BYTES, DOUBLE, EMBEDDED, INT_OR_STRING, INTEGER, ITEMS, JSON, MAP, MICROTIME, NO_MESSAGE,
    QUANTITY, RAW, REPEATED, SCHEMA_OR_BOOL, SCHEMA_OR_SCHEMAS, STRUCT, TEXT, TIME, Kind, Member, Message,
    Value, plan_of,
)

include "pilothouse/api/_turn.pxi"
include "_reader_times.pxi"

MAGIC = b"k8s\x00"
cdef str PREFIX = str(list(MAGIC)).replace(",", "")

DEF MAX_DEPTH = 100        # levels of messages
DEF HEAD = 4               # bytes of MAGIC

cdef struct Span:          # bytes that are still to be read
    const unsigned char* at
    const unsigned char* end

cdef struct Part:          # a field of a message
    uint64_t number        # 0: there is none
    uint64_t integer       # the value of a varint
    bint is_bytes
    Span content           # the value of any other


class ProtobufError(ValueError):
    """The bytes are not a valid message."""


# Fields

cdef uint64_t varint(Span* rest) except? 1:
    cdef uint64_t value = 0
    cdef int shift = 0
    cdef unsigned char byte
    while True:
        if shift > 63:
            raise ProtobufError("proto: illegal wireType or unexpected EOF")
        if rest.at == rest.end:
            raise ProtobufError("unexpected EOF")
        byte = rest.at[0]
        rest.at += 1
        value |= <uint64_t>(byte & (0x7F if shift < 63 else 1)) << shift
        if byte < 0x80:
            return value
        shift += 7


cdef bint next_part(Span* rest, Part* out) except -1:
    """Read a field; False at the end of the message."""
    cdef uint64_t tag, size
    cdef int wire
    if rest.at == rest.end:
        return False
    step()
    tag = varint(rest)
    wire = tag & 7
    out.number = tag >> 3
    if out.number == 0:
        raise ProtobufError("proto: illegal tag 0")
    out.is_bytes = wire != 0
    if wire == 0:
        out.integer = varint(rest)
        return True
    if wire == 2:
        size = varint(rest)
    elif wire == 1 or wire == 5:
        size = 8 if wire == 1 else 4
    else:
        raise ProtobufError(f"proto: illegal wireType {wire}")
    if size > <uint64_t>(rest.end - rest.at):
        raise ProtobufError("unexpected EOF")
    out.content.at = rest.at
    rest.at += size
    out.content.end = rest.at
    return True


cdef bint parts_of(Span rest, Part* out) except -1:
    """Read a message of up to three fields, of each the last; whether there was any, of whatever number."""
    cdef Part part
    cdef bint found = False
    out[0].number = out[1].number = out[2].number = 0
    while next_part(&rest, &part):
        found = True
        if part.number <= 3:
            out[part.number - 1] = part
    return found


cdef inline Span content(Part* part) except *:
    if not part.is_bytes:
        raise ProtobufError("proto: wrong wireType")
    return part.content


cdef inline uint64_t integer(Part* part) except? 1:
    if part.is_bytes:
        raise ProtobufError("proto: wrong wireType")
    return part.integer


cdef inline str text(Part* part):
    cdef Span span = content(part)
    return PyUnicode_DecodeUTF8(<const char*>span.at, span.end - span.at, b"replace")


cdef inline bytes data_of(Part* part):
    cdef Span span = content(part)
    return PyBytes_FromStringAndSize(<const char*>span.at, span.end - span.at)


cdef inline Span span_of(bytes data, Py_ssize_t start) noexcept:
    cdef Span span
    span.at = <const unsigned char*>PyBytes_AS_STRING(data) + start
    span.end = <const unsigned char*>PyBytes_AS_STRING(data) + PyBytes_GET_SIZE(data)
    return span


# Bodies

def read(bytes data not None):
    """Read apiVersion, kind and the object's own message; raises ProtobufError."""
    cdef Span rest
    cdef Part part, meta
    cdef str api_version = "", kind = "", found
    cdef bytes raw = b""
    if not data.startswith(MAGIC):
        raise ProtobufError(
            f"provided data does not appear to be a protobuf message, expected prefix {PREFIX}"
        )
    rest = span_of(data, HEAD)
    meta.number = 0
    while next_part(&rest, &part):
        if part.number == 1:
            meta = part
            content(&meta)
        elif part.number == 2:
            raw = data_of(&part)
    if meta.number:
        rest = meta.content
        while next_part(&rest, &part):
            found = text(&part)
            if part.number == 1:
                api_version = found
            elif part.number == 2:
                kind = found
    return api_version, kind, raw


def decode(bytes data not None, type not None):
    """Decode a struct's message to a JSON object; unknown field numbers are skipped.

    Raises ProtobufError, and what json.parse() raises for JSON in the message.
    """
    return struct(span_of(data, 0), plan_of(type), 0)


# Values

cdef dict struct(Span rest, Message message, int depth):
    cdef dict out = {}
    fill(out, rest, message, depth)
    return out


cdef int fill(dict out, Span rest, Message message, int depth) except -1:
    """Read the members of a message into an object."""
    cdef Part part
    cdef PyObject* found
    cdef Member member
    if depth > MAX_DEPTH:
        raise ProtobufError("proto: message is nested too deeply")
    if message.members is None:
        message.build()
    while next_part(&rest, &part):
        if part.number >= <uint64_t>PyList_GET_SIZE(message.numbered):
            continue
        found = PyList_GET_ITEM(message.numbered, part.number)
        if found == <PyObject*>None:
            continue
        member = <Member>found
        if member.shape == EMBEDDED:
            fill(out, content(&part), member.value.message, depth + 1)
        elif member.shape == REPEATED:
            append(out, &part, member, depth)
        elif member.shape == MAP:
            enter(out, content(&part), member, depth)
        else:
            out[member.name] = value(&part, member.value, depth)
    return 0


cdef int append(dict out, Part* part, Member member, int depth) except -1:
    """Read an item of a list."""
    cdef PyObject* found = PyDict_GetItem(out, member.name)
    cdef list items
    if found == NULL:
        items = []
        out[member.name] = items
    else:
        items = <list>found
    items.append(value(part, member.value, depth))
    return 0


cdef int enter(dict out, Span rest, Member member, int depth) except -1:
    """Read an entry of a map."""
    cdef PyObject* found
    cdef Part part
    cdef dict entries
    cdef str key = ""
    cdef object item = None
    while next_part(&rest, &part):
        if part.number == 1:
            key = text(&part)
        elif part.number == 2:
            item = value(&part, member.value, depth)
    found = PyDict_GetItem(out, member.name)
    if found == NULL:
        entries = {}
        out[member.name] = entries
    else:
        entries = <dict>found
    entries[key] = item
    return 0


cdef object value(Part* part, Value of, int depth):
    cdef Kind kind = of.kind
    if kind == TEXT:
        return text(part)
    if kind == STRUCT:
        return struct(content(part), of.message, depth + 1)
    if kind == INTEGER:
        return <int64_t>integer(part)
    if kind == BOOLEAN:
        return integer(part) != 0
    if kind == TIME or kind == MICROTIME:
        return time(content(part), kind == MICROTIME)
    if kind == QUANTITY:
        return quantity(content(part))
    if kind == INT_OR_STRING:
        return int_or_string(content(part))
    if kind == BYTES:
        return b2a_base64(data_of(part), newline=False).decode()
    if kind == DOUBLE:
        return double_of(content(part))
    if kind == ITEMS:
        return items_of(content(part), of.items, depth)
    if kind == RAW or kind == JSON or kind == NO_MESSAGE:
        return parsed(content(part))
    return schema_or(content(part), of, depth)


cdef list items_of(Span rest, Value items, int depth):
    cdef Part part
    cdef list out = []
    while next_part(&rest, &part):
        if part.number == 1:
            out.append(value(&part, items, depth))
    return out


cdef object double_of(Span span):
    """A number; None for one that JSON does not have."""
    cdef uint64_t bits = 0
    cdef double out
    cdef int i
    for i in range(<int>min(8, span.end - span.at)):
        bits |= <uint64_t>span.at[i] << 8 * i
    memcpy(&out, &bits, 8)
    return out if isfinite(out) else None


cdef object time(Span span, bint micro):
    """A Time or MicroTime; None for an empty message."""
    cdef Part parts[3]
    cdef int64_t seconds = 0
    cdef uint64_t nanos = 0
    if not parts_of(span, parts):
        return None
    if parts[0].number:
        seconds = <int64_t>integer(&parts[0])
    if micro and parts[1].number:
        nanos = integer(&parts[1])
    return time_text(seconds, nanos // 1000, micro)


cdef str quantity(Span span):
    cdef Part parts[3]
    parts_of(span, parts)
    return text(&parts[0]) if parts[0].number else ""


cdef object int_or_string(Span span):
    cdef Part parts[3]
    cdef bint is_text
    parts_of(span, parts)
    if not parts[0].number:
        is_text = False
    elif parts[0].is_bytes:
        is_text = parts[0].content.at != parts[0].content.end
    else:
        is_text = parts[0].integer != 0
    if is_text:
        return text(&parts[2]) if parts[2].number else ""
    return <int64_t>integer(&parts[1]) if parts[1].number else 0


cdef object parsed(Span span):
    """The value of JSON; None for an empty text."""
    cdef Part parts[3]
    cdef bytes raw
    parts_of(span, parts)
    if not parts[0].number:
        return None
    raw = data_of(&parts[0])
    return json.parse(raw) if raw else None


cdef object schema_or(Span span, Value of, int depth):
    """A JSON schema, or a bool, a list of schemas or a list of names."""
    cdef Part part
    cdef Part parts[3]
    cdef dict single = None
    cdef list several = []
    cdef bint allows = False
    parts_of(span, parts)  # what is wrong with the fields goes before what is wrong in them
    while next_part(&span, &part):
        if part.number == (2 if of.kind == SCHEMA_OR_BOOL else 1):
            single = struct(content(&part), of.message, depth + 1)
        elif of.kind == SCHEMA_OR_BOOL:
            allows = integer(&part) != 0
        elif of.kind == SCHEMA_OR_SCHEMAS:
            several.append(struct(content(&part), of.message, depth + 1))
        else:
            several.append(text(&part))
    if single is not None:
        return single
    return allows if of.kind == SCHEMA_OR_BOOL else several
