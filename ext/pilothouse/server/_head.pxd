from libc.time cimport time_t

from pilothouse.server._message cimport Response

cdef bint is_token(bytes text)
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
