from pilothouse.server._head cimport Heads
from pilothouse.server._turns cimport Turn

cdef enum Kind:                       # what a header field means to the server
    PLAIN
    COOKIE
    LENGTH
    EXPECT
    HOST
    MALFORMED                         # makes the whole request malformed
    METHOD                            # from here on pseudo header fields
    SCHEME
    PATH
    AUTHORITY
    STATUS                            # of an answer

cdef void put_head(unsigned char* out, Py_ssize_t size, int kind, int flags, int stream) noexcept

cdef class Field:
    cdef readonly tuple pair          # (name, value)
    cdef Py_ssize_t size              # as RFC 7541, 4.1 counts it
    cdef Kind kind
    cdef Kind name_kind               # of fields with this name

cdef class Scratch:
    cdef unsigned char* data
    cdef Py_ssize_t room

    cdef unsigned char* of(self, Py_ssize_t size) except NULL

cdef class Decoder:
    cdef Scratch scratch
    cdef list table                   # the dynamic table, its newest entry last
    cdef Py_ssize_t size, limit       # of the dynamic table: bytes that it has, and may have now
    cdef list fields                  # of the present block
    cdef Py_ssize_t total, count      # bytes and number of its fields, those that are left out included
    cdef readonly bint too_large      # it has more fields than was allowed
    cdef readonly bint excessive      # it has so many that the connection should end
    cdef Py_ssize_t work              # units that the present field takes
    cdef const unsigned char* data
    cdef Py_ssize_t at, end           # what of `data` is still to be read

    cdef begin(self, const unsigned char* data, Py_ssize_t size)
    cdef bint go_on(self, Turn* turn, Py_ssize_t most, Py_ssize_t count) except -1
    cdef skip(self, int prefix)
    cdef Py_ssize_t number(self, int prefix) except -1
    cdef const unsigned char* text(self, Py_ssize_t* size) except NULL
    cdef Field entry(self, Py_ssize_t index)
    cdef Field literal(self, int prefix)
    cdef add(self, Field field)
    cdef resize(self, Py_ssize_t limit)

cdef class AnswerHeads(Heads):
    cdef dict prefixes                # name -> the bytes before its value's length, None for what is left out
    cdef dict statuses

    cdef int put_number(self, Py_ssize_t value, int prefix, unsigned char bits) except -1
    cdef int put_value(self, value) except -1
    cdef int put_field(self, name, value) except -1
    cdef bytes prefix_of(self, str name)
    cdef int block(self, response, Py_ssize_t length, bint gzip) except -1
    cdef int put_pair(self, str name, str value) except -1
    cdef int begin_block(self, int stream, bint resize) except -1
    cdef int end_block(self, int stream, bint ends) except -1
    cdef bytes fields(self, int stream, list pairs, bint ends, bint resize)
    cdef bytes frames(
        self, int stream, response, Py_ssize_t length, bint gzip, bytes body, bint ends, bint resize
    )
