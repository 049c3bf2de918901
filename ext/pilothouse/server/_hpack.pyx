"""HPACK (RFC 7541): reads header blocks of HTTP/2, writes the heads of answers, and of requests.

A table entry keeps its name and value as the texts that requests get, so a field that a client repeats costs
neither time nor memory. Answers are written without the dynamic table and without Huffman codes: connections
then need no memory for it, and a head takes a copy of its bytes.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdio cimport snprintf
from libc.stdlib cimport free, realloc
from libc.string cimport memmove

from pilothouse.server._head cimport Heads, controls, one_line
from pilothouse.server._turns cimport Turn

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef Py_ssize_t TABLE = 4096          # bytes of the dynamic table: the default, which no setting changes
cdef Py_ssize_t OVERHEAD = 32         # bytes that an entry counts besides its texts
cdef Py_ssize_t MOST = 1 << 30        # no number may be larger
cdef Py_ssize_t FRAME = 16384         # bytes of a frame: what every peer takes
cdef int MAX_NAMES = 1024             # cached names of headers of answers
cdef int EXCESS = 8                   # times as many fields as are kept end the connection

# Units of a turn.
cdef int FIELD = 20                   # a field that is left out,
cdef int KEPT = 150                   # or one that is not,
cdef int ADDED = 200                  # or one that comes into the table
cdef int BYTE = 2                     # a byte of a text,
cdef int CODED = 8                    # or one in Huffman's code

cdef tuple STATIC = (
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""),
    ("cache-control", ""), ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""),
    ("content-length", ""), ("content-location", ""), ("content-range", ""), ("content-type", ""),
    ("cookie", ""), ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""),
    ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""),
    ("retry-after", ""), ("server", ""), ("set-cookie", ""), ("strict-transport-security", ""),
    ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
)

cdef dict KINDS = {
    ":method": METHOD, ":scheme": SCHEME, ":path": PATH, ":authority": AUTHORITY,
    ":status": STATUS, "cookie": COOKIE, "content-length": LENGTH, "expect": EXPECT, "host": HOST,
    # fields of a connection, which HTTP/2 forbids (RFC 9113, 8.2.2)
    "connection": MALFORMED, "proxy-connection": MALFORMED, "keep-alive": MALFORMED,
    "transfer-encoding": MALFORMED, "upgrade": MALFORMED,
}

cdef frozenset OMITTED = frozenset(
    ("connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade")
)

cdef bint NAME[256]                   # characters of a header's name: tokens without capitals
for _i in range(256):
    NAME[_i] = _i < 128 and (chr(_i).isalnum() and not chr(_i).isupper() or chr(_i) in "!#$%&'*+-.^_`|~")

include "_huffman.pxi"


class CompressionError(Exception):
    """A block of header fields cannot be read, so the connection's tables no longer agree."""


cdef class Scratch:
    """A buffer that decoders share."""

    def __dealloc__(self):
        free(self.data)

    cdef unsigned char* of(self, Py_ssize_t size) except NULL:
        cdef void* grown
        if size > self.room:
            grown = realloc(self.data, size)
            if grown == NULL:
                raise MemoryError
            self.data = <unsigned char*>grown
            self.room = size
        return self.data


cdef class Field:
    """A header field, with what was found out about it when it was read."""


cdef Field field_of(str name, const unsigned char* value, Py_ssize_t size, Kind kind):
    """Make a field; its value may make it malformed, whatever `kind` its name has."""
    cdef Field field = Field.__new__(Field)
    cdef Py_ssize_t i
    cdef unsigned char c
    field.name_kind = kind
    for i in range(size):
        c = value[i]
        if c < 32 and c != c'\t' or c == 127:
            kind = MALFORMED
            break
    text = PyUnicode_DecodeUTF8(<const char*>value, size, "replace")
    if name == "te" and text != "trailers":
        kind = MALFORMED
    field.pair = (name, text)
    field.size = len(name) + size + OVERHEAD
    field.kind = kind
    return field


cdef Kind kind_of(str name, const unsigned char* data, Py_ssize_t size):
    """The kind of fields with this name."""
    cdef Py_ssize_t i
    kind = KINDS.get(name)
    if kind is not None:
        return kind
    if size == 0:
        return MALFORMED
    for i in range(size):
        if not NAME[data[i]]:
            return MALFORMED
    return PLAIN


cdef list static_fields():
    cdef bytes raw, raw_value
    out = []
    for name, value in STATIC:
        raw, raw_value = name.encode(), value.encode()
        out.append(field_of(name, raw_value, len(raw_value), kind_of(name, raw, len(raw))))
    return out


cdef list fixed = static_fields()     # the static table
cdef dict INDEXES = {pair: i + 1 for i, pair in enumerate(STATIC)}
cdef dict PSEUDO = {":authority": 1, ":method": 2, ":path": 4, ":scheme": 6, ":status": 8}
cdef Field NOTHING = Field.__new__(Field)


cdef class Decoder:
    """Decodes blocks of header fields; keeps the dynamic table of one connection."""

    def __init__(self, Scratch scratch):
        self.scratch = scratch
        self.table = []
        self.limit = TABLE

    cdef begin(self, const unsigned char* data, Py_ssize_t size):
        """Begin a block; its bytes must stay where they are until it is whole, or `data` is set anew."""
        self.data, self.at, self.end = data, 0, size
        self.fields = []
        self.total = self.count = 0
        self.too_large = self.excessive = False

    cdef bint go_on(self, Turn* turn, Py_ssize_t most, Py_ssize_t count) except -1:
        """Decode until the block is whole or the turn is used up, which returns false.

        Fields beyond `most` bytes or `count` fields are left out, which sets `too_large`: only what the table
        asks for is done with them, and a block with many times as many is `excessive`.
        Raises CompressionError for a block that cannot be decoded.
        """
        cdef Field field
        cdef unsigned char c
        cdef list fields = self.fields
        while self.at < self.end:
            if turn.left <= 0:
                return False
            self.work = FIELD
            c = self.data[self.at]
            if c & 0x80:
                field = self.entry(self.number(7))
            elif c & 0x40:
                field = self.literal(6)
                self.add(field)
                self.work += ADDED
            elif c & 0x20:
                if self.count:
                    raise CompressionError("a change of the table's size within a block")
                self.resize(self.number(5))
                turn.left -= FIELD
                continue
            elif self.too_large:
                self.skip(4)
                field = NOTHING
            else:
                field = self.literal(4)
            self.count += 1
            self.total += field.size
            if self.total > most or self.count > count:
                self.too_large = True
                if self.count > EXCESS * count:
                    self.excessive = True
                    return True
            else:
                fields.append(field)
                self.work += KEPT
            turn.left -= self.work
        return True

    cdef skip(self, int prefix):
        """Pass over a literal that nobody will see."""
        cdef Py_ssize_t length
        cdef int texts = 2 if self.number(prefix) == 0 else 1
        while texts:
            length = self.number(7)
            if length > self.end - self.at:
                raise CompressionError("a block ends within a text")
            self.at += length
            texts -= 1

    cdef Py_ssize_t number(self, int prefix) except -1:
        """Read an integer whose first byte has `prefix` bits of it (RFC 7541, 5.1)."""
        cdef Py_ssize_t mask = (1 << prefix) - 1, value
        cdef int shift = 0
        cdef unsigned char c
        if self.at >= self.end:
            raise CompressionError("a block ends within a number")
        value = self.data[self.at] & mask
        self.at += 1
        if value < mask:
            return value
        while True:
            if self.at >= self.end or shift > 28:
                raise CompressionError("a number that is cut off or too large")
            c = self.data[self.at]
            self.at += 1
            value += <Py_ssize_t>(c & 0x7F) << shift
            shift += 7
            if not c & 0x80:
                break
        if value > MOST:
            raise CompressionError("a number that is too large")
        return value

    cdef const unsigned char* text(self, Py_ssize_t* size) except NULL:
        """Read a text; it is valid until the next one is read."""
        cdef bint coded
        cdef Py_ssize_t length
        cdef const unsigned char* start
        cdef unsigned char* out
        if self.at >= self.end:
            raise CompressionError("a block ends before a text")
        coded = self.data[self.at] & 0x80
        length = self.number(7)
        if length > self.end - self.at:
            raise CompressionError("a block ends within a text")
        start = self.data + self.at
        self.at += length
        self.work += (CODED if coded else BYTE) * length
        if not coded:
            size[0] = length
            return start
        out = self.scratch.of(length * 8 // 5 + 1)
        size[0] = huffman_decode(start, length, out)
        if size[0] < 0:
            raise CompressionError("a text with an invalid Huffman code")
        return out

    cdef Field entry(self, Py_ssize_t index):
        """The entry of an index: the static table from 1 on, then the dynamic one, newest first."""
        cdef Py_ssize_t known = PyList_GET_SIZE(fixed), count = PyList_GET_SIZE(self.table)
        if 0 < index <= known:
            return <Field>PyList_GET_ITEM(fixed, index - 1)
        index -= known
        if index <= 0 or index > count:
            raise CompressionError("an index that the table has no entry for")
        return <Field>PyList_GET_ITEM(self.table, count - index)

    cdef Field literal(self, int prefix):
        """A field whose value, and perhaps name, stands in the block."""
        cdef Py_ssize_t size = 0
        cdef const unsigned char* data
        cdef Kind kind
        cdef str name
        cdef Field named
        cdef Py_ssize_t index = self.number(prefix)
        if index:
            named = self.entry(index)
            name = <str>named.pair[0]
            kind = named.name_kind
        else:
            data = self.text(&size)
            name = data[:size].decode("latin-1")
            kind = kind_of(name, data, size)
        data = self.text(&size)
        return field_of(name, data, size, kind)

    cdef add(self, Field field):
        """Add a field to the dynamic table, which evicts the oldest ones."""
        self.table.append(field)
        self.size += field.size
        if self.size > self.limit:
            self.resize(self.limit)

    cdef resize(self, Py_ssize_t limit):
        cdef Py_ssize_t gone = 0
        if limit > TABLE:
            raise CompressionError("a table that is larger than was allowed")
        self.limit = limit
        while self.size > limit:
            self.size -= (<Field>PyList_GET_ITEM(self.table, gone)).size
            gone += 1
        if gone:
            del self.table[:gone]


cdef bint is_name(str name):
    cdef Py_UCS4 c
    for c in name:
        if c > 127 or not NAME[c]:
            return False
    return True


cdef class AnswerHeads(Heads):
    """Writes the heads of answers as frames, and short bodies with them."""

    def __init__(self):
        self.prefixes = {}
        self.statuses = {200: b"\x88", 204: b"\x89", 206: b"\x8a", 304: b"\x8b", 400: b"\x8c", 404: b"\x8d",
                         500: b"\x8e"}

    cdef int put_number(self, Py_ssize_t value, int prefix, unsigned char bits) except -1:
        cdef Py_ssize_t mask = (1 << prefix) - 1
        cdef char c
        if value < mask:
            c = <char>(bits | value)
            return self.put(&c, 1)
        c = <char>(bits | mask)
        self.put(&c, 1)
        value -= mask
        while value >= 128:
            c = <char>(value & 0x7F | 0x80)
            self.put(&c, 1)
            value >>= 7
        c = <char>value
        return self.put(&c, 1)

    cdef int put_value(self, value) except -1:
        """Write a value; line breaks become spaces, as in HTTP/1.1."""
        cdef Py_ssize_t size = 0
        cdef const char* data
        try:
            data = PyUnicode_AsUTF8AndSize(value, &size)
        except UnicodeEncodeError:
            value = value.encode("utf-8", "replace").decode()
            data = PyUnicode_AsUTF8AndSize(value, &size)
        self.put_number(size, 7, 0)
        self.put(data, size)
        if controls(data, size):
            one_line(self.buffer + self.used - size, size)
        return 0

    cdef bytes prefix_of(self, str name):
        """The bytes before a value: a literal that is not indexed, its name by index or as text."""
        cdef str low = name.lower()
        cdef Py_ssize_t index = 0, i
        cdef Py_ssize_t start = self.used
        if not low or not is_name(low) or low in OMITTED:
            return None
        for i in range(len(STATIC)):
            if STATIC[i][0] == low:
                index = i + 1
                break
        self.put_number(index, 4, 0)
        if not index:
            self.put_value(low)
        out = PyBytes_FromStringAndSize(self.buffer + start, self.used - start)
        self.used = start
        return out

    cdef int put_field(self, name, value) except -1:
        prefix = self.prefixes.get(name, self)
        if prefix is self:
            if name == "Connection":
                self.closing = True
            prefix = self.prefix_of(name)
            if len(self.prefixes) < MAX_NAMES and name != "Connection":
                self.prefixes[name] = prefix
        if prefix is None:
            return 0
        self.put(PyBytes_AS_STRING(prefix), PyBytes_GET_SIZE(prefix))
        return self.put_value(value)

    cdef int block(self, response, Py_ssize_t length, bint gzip) except -1:
        """Write the block of an answer's fields; a negative length means that it is not known."""
        cdef char number[24]
        cdef int status = response.status, size
        known = self.statuses.get(status)
        if known is None:
            known = self.statuses[status] = b"\x08\x03%d" % status
        self.put(PyBytes_AS_STRING(known), PyBytes_GET_SIZE(known))
        for name, value in response.headers:
            self.put_field(name, value)
        if response.content_type and status != 304:
            self.put("\x0f\x10", 2)
            self.put_value(response.content_type)
        if gzip:
            self.put("\x0f\x0b\x04gzip\x0f\x2c\x0fAccept-Encoding", 25)
        self.put("\x0f\x12\x1d", 3)
        self.put_date()               # "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
        memmove(self.buffer + self.used - 37, self.buffer + self.used - 31, 29)
        self.used -= 8
        if length >= 0 and status != 204 and status != 304 and status >= 200:
            size = snprintf(number, 24, "%lld", <long long>length)
            self.put("\x0f\x0d", 2)
            self.put_number(size, 7, 0)
            self.put(number, size)
        return 0

    cdef int put_pair(self, str name, str value) except -1:
        """Write any field, as a request has them; whole where the static table has it."""
        index = INDEXES.get((name, value))
        if index is not None:
            return self.put_number(index, 7, 0x80)
        if name[:1] != ":":
            return self.put_field(name, value)
        self.put_number(PSEUDO[name], 4, 0)
        return self.put_value(value)

    cdef int begin_block(self, int stream, bint resize) except -1:
        """Begin a block of fields; `resize` begins with word that the peer's table is not used."""
        cdef unsigned char head[9]
        put_head(head, 0, 1, 0, stream)
        self.used = 0
        self.closing = False
        self.put(<const char*>head, 9)
        if resize:
            self.put("\x20", 1)
        return 0

    cdef int end_block(self, int stream, bint ends) except -1:
        """Make frames of the block; `ends` ends the stream."""
        cdef Py_ssize_t size = self.used - 9, at, part
        cdef unsigned char head[9]
        cdef int flags
        if size <= FRAME:
            put_head(<unsigned char*>self.buffer, size, 1, 5 if ends else 4, stream)
            return 0
        whole = PyBytes_FromStringAndSize(self.buffer + 9, size)
        self.used = 0
        for at in range(0, size, FRAME):
            part = min(FRAME, size - at)
            flags = (4 if at + part == size else 0) | (1 if ends and not at else 0)
            put_head(head, part, 9 if at else 1, flags, stream)
            self.put(<const char*>head, 9)
            self.put(PyBytes_AS_STRING(whole) + at, part)
        return 0

    cdef bytes fields(self, int stream, list pairs, bint ends, bint resize):
        """The frames of a head or of trailers with these fields."""
        self.begin_block(stream, resize)
        for name, value in pairs:
            self.put_pair(name, value)
        self.end_block(stream, ends)
        return PyBytes_FromStringAndSize(self.buffer, self.used)

    cdef bytes frames(
        self, int stream, response, Py_ssize_t length, bint gzip, bytes body, bint ends, bint resize
    ):
        """The frames of an answer's head, and of `body`, which ends the stream; without a body, `ends` does.

        `resize` begins with word that the peer's table is not used.
        """
        cdef Py_ssize_t size, at = 0, part
        cdef const char* data
        cdef unsigned char head[9]
        self.begin_block(stream, resize)
        self.block(response, length, gzip)
        self.end_block(stream, ends and body is None)
        if body is not None:
            data = PyBytes_AS_STRING(body)
            size = PyBytes_GET_SIZE(body)
            at = 0
            while at < size:
                part = min(FRAME, size - at)
                put_head(head, part, 0, 1 if at + part == size else 0, stream)
                self.put(<const char*>head, 9)
                self.put(data + at, part)
                at += part
        return PyBytes_FromStringAndSize(self.buffer, self.used)


cdef void put_head(unsigned char* out, Py_ssize_t size, int kind, int flags, int stream) noexcept:
    """Write the head of a frame (RFC 9113, 4.1)."""
    out[0] = <unsigned char>(size >> 16)
    out[1] = <unsigned char>(size >> 8)
    out[2] = <unsigned char>size
    out[3] = <unsigned char>kind
    out[4] = <unsigned char>flags
    out[5] = <unsigned char>(stream >> 24)
    out[6] = <unsigned char>(stream >> 16)
    out[7] = <unsigned char>(stream >> 8)
    out[8] = <unsigned char>stream
