"""Writes the heads of HTTP/1 answers into a buffer, and the framing of chunks."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdio cimport snprintf
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy
from libc.time cimport gmtime, time, time_t, tm

from pilothouse.server._message cimport Response

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

# Go's reason phrases, some of which differ from Python's http module
cdef dict REASONS = {
    101: "Switching Protocols",
    200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
    301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
    307: "Temporary Redirect", 308: "Permanent Redirect",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 408: "Request Timeout", 409: "Conflict", 410: "Gone", 412: "Precondition Failed",
    413: "Request Entity Too Large", 415: "Unsupported Media Type", 417: "Expectation Failed",
    422: "Unprocessable Entity", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout", 505: "HTTP Version Not Supported", 507: "Insufficient Storage",
    508: "Loop Detected",
}

cdef bint TOKEN[256]                  # characters allowed in a method or header name (RFC 9110 token)
for _i in range(256):
    TOKEN[_i] = chr(_i).isalnum() and _i < 128 or chr(_i) in "!#$%&'*+-.^_`|~"

cdef const char* DAYS = "SunMonTueWedThuFriSat"
cdef const char* MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


cdef int MAX_NAMES = 256              # of headers of answers, which are remembered
cdef Py_ssize_t LONG_NAME = 64        # characters; longer ones are not: another server may have sent them


cdef void one_line(char* text, Py_ssize_t size) noexcept:
    """Replace line breaks and zeros by spaces, so that a value cannot add headers."""
    cdef Py_ssize_t at
    for at in range(size):
        if text[at] == c'\r' or text[at] == c'\n' or text[at] == 0:
            text[at] = c' '


cdef bint is_token(bytes text):
    cdef unsigned char c
    for c in text:
        if not TOKEN[c]:
            return False
    return PyBytes_GET_SIZE(text) > 0


cdef bytes plain_error(str status, str text):
    """An answer in the form in which Go's net/http answers requests that it cannot parse."""
    body = (text or status).encode()
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


cdef class Heads:
    """Writes the heads of answers, small bodies after them, and chunk framing (RFC 9112)."""

    def __cinit__(self):
        self.status_lines = {}
        self.names = set()

    def __dealloc__(self):
        free(self.buffer)

    cdef int put(self, const char* data, Py_ssize_t size) except -1:
        cdef char* grown
        if self.used + size > self.room:
            self.room = (self.used + size) * 2 + 4096
            grown = <char*>realloc(self.buffer, self.room)
            if grown == NULL:
                raise MemoryError
            self.buffer = grown
        memcpy(self.buffer + self.used, data, size)
        self.used += size
        return 0

    cdef int put_text(self, text) except -1:
        """Write a text as UTF-8."""
        cdef Py_ssize_t size = 0
        cdef const char* data
        try:
            data = PyUnicode_AsUTF8AndSize(text, &size)
        except UnicodeEncodeError:
            text = text.encode("utf-8", "replace").decode()
            data = PyUnicode_AsUTF8AndSize(text, &size)
        return self.put(data, size)

    cdef int put_header(self, name, value) except -1:
        """Write a header; one with an invalid name is left out, as in Go."""
        cdef Py_ssize_t start
        if name == "Connection":
            self.closing = True       # the only option that a handler can set here
            return 0
        if name not in self.names:
            if not is_token(name.encode("utf-8", "replace")):
                return 0
            if len(name) <= LONG_NAME:
                if len(self.names) >= MAX_NAMES:
                    self.names.clear()
                self.names.add(name)
        self.put_text(name)
        self.put(": ", 2)
        start = self.used
        self.put_text(value)
        if controls(self.buffer + start, self.used - start):
            one_line(self.buffer + start, self.used - start)
        self.put("\r\n", 2)
        return 0

    cdef int put_date(self) except -1:
        cdef time_t at = time(NULL)
        cdef tm* t
        if at != self.date_of:
            t = gmtime(&at)
            snprintf(self.date, 40, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n", DAYS + 3 * t.tm_wday,
                     t.tm_mday, MONTHS + 3 * t.tm_mon, t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec)
            self.date_of = at
        return self.put(self.date, 37)

    cdef bytes status_line(self, int status, bint http10):
        key = -status if http10 else status
        line = self.status_lines.get(key)
        if line is None:
            text = REASONS.get(status, f"status code {status}")
            line = f"HTTP/1.{0 if http10 else 1} {status} {text}\r\n".encode()
            self.status_lines[key] = line
        return line

    cdef bytes head(self, Response response, Py_ssize_t length, bint close, bint http10, bint gzip,
                    bytes body):
        """The head of an answer, followed by `body`; a negative length means that the body is a stream."""
        cdef char number[48]
        cdef int status = response.status
        cdef bytes line = self.status_line(status, http10)
        cdef bint bare = status == 204 or status == 304 or status < 200
        self.used = 0
        self.closing = False
        self.put(PyBytes_AS_STRING(line), PyBytes_GET_SIZE(line))
        for name, value in response.headers:
            self.put_header(name, value)
        if response.content_type and status != 304:
            self.put_header("Content-Type", response.content_type)
        if gzip:
            self.put("Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n", 47)
        self.put_date()
        if bare:
            pass
        elif length >= 0:
            self.put(number, snprintf(number, 48, "Content-Length: %lld\r\n", <long long>length))
        elif not http10:
            self.put("Transfer-Encoding: chunked\r\n", 28)
        if status == 101:
            self.put("Connection: Upgrade\r\n", 21)
        elif close or self.closing:
            self.put("Connection: close\r\n", 19)
        elif http10:
            self.put("Connection: keep-alive\r\n", 24)
        self.put("\r\n", 2)
        if body is not None:
            self.put(PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
        return PyBytes_FromStringAndSize(self.buffer, self.used)

    cdef bytes frame_of(self, bytes data):
        """Frame bytes as one chunk of a body."""
        if data is not self.framed_data:
            self.frame = b"%x\r\n%b\r\n" % (PyBytes_GET_SIZE(data), data)
            self.framed_data = data
        return self.frame
