from libc.stdint cimport uint64_t
from libc.string cimport memcpy
from libc.time cimport time_t

from pilothouse.server._message cimport Response

cdef bint is_token(bytes text)
cdef void one_line(char* text, Py_ssize_t size) noexcept
cdef bytes plain_error(str status, str text)

cdef class Heads:
    cdef char* buffer
    cdef Py_ssize_t room, used
    cdef bint closing                 # the last head asks for the connection to be closed
    cdef char date[40]
    cdef time_t date_of
    cdef dict status_lines
    cdef set names                    # of headers, which are valid
    cdef bytes framed_data, frame     # the last framed chunk, cached because one event goes to many watchers

    cdef int put(self, const char* data, Py_ssize_t size) except -1
    cdef int put_text(self, text) except -1
    cdef int put_header(self, name, value) except -1
    cdef int put_date(self) except -1
    cdef bytes status_line(self, int status, bint http10)
    cdef bytes head(self, Response response, Py_ssize_t length, bint close, bint http10, bint gzip,
                    bytes body)
    cdef bytes frame_of(self, bytes data)


cdef inline bint controls(const char* text, Py_ssize_t size) noexcept:
    """Whether a text may have a control character: eight bytes at a time are looked at."""
    cdef uint64_t some
    cdef Py_ssize_t at = 0
    while at + 8 <= size:
        memcpy(&some, text + at, 8)
        if (some - 0x2020202020202020ULL) & ~some & 0x8080808080808080ULL:
            return True
        at += 8
    while at < size:
        if <unsigned char>text[at] < 32:
            return True
        at += 1
    return False
