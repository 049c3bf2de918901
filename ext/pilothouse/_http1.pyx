# cython: language_level=3, wraparound=False, boundscheck=False, freethreading_compatible=False
"""HTTP/1.1 over httptools: one object per connection is the asyncio protocol and the parser's callbacks.

A request whose handler answers at once is parsed, answered and written inside the parser's callback: no task, no
future. What has to wait (a task, a stream, a body larger than the transport takes) holds the connection as its
`current` answer; requests that arrive meanwhile are kept in order, and reading pauses until they are answered.
"""

import asyncio
import logging
from collections import deque

from httptools import HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from pilothouse.server.request import Request, Response

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdio cimport snprintf
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy
from libc.time cimport gmtime, time, time_t, tm
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef enum Phase:
    IDLE        # between requests
    HEAD        # part of a request's head has come
    BODY        # part of its body
    ANSWERING   # a task, a stream or a long body holds the connection
    LINGERING   # refused; input is thrown away so that the peer gets to read why
    CLOSED

cdef Py_ssize_t SLICE = 256 * 1024    # one write of a long body: the loop is held for well under 1 ms
cdef Py_ssize_t SMALL = 64 * 1024     # a body up to here is copied behind its head, into one write
cdef int MAX_PIPELINED = 128          # requests waiting behind one that is being answered
cdef int MAX_METHOD = 32
cdef double LINGER = 2.0

cdef object log = logging.getLogger("pilothouse.server.http1")
cdef bytes CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
cdef bytes CRLF = b"\r\n"
cdef bytes LAST_CHUNK = b"0\r\n\r\n"

# Go's texts where they are not those of Python's http module
cdef dict REASONS = {
    200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
    301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
    307: "Temporary Redirect", 308: "Permanent Redirect",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 408: "Request Timeout", 409: "Conflict", 410: "Gone", 412: "Precondition Failed",
    413: "Request Entity Too Large", 415: "Unsupported Media Type", 417: "Expectation Failed",
    422: "Unprocessable Entity", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout", 505: "HTTP Version Not Supported", 507: "Insufficient Storage",
}
cdef dict METHODS = {m.encode(): m for m in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")}
cdef dict NAMES = {}                  # header names as they came -> lower-case text; bounded
cdef int MAX_NAMES = 1024

cdef bint TOKEN[256]                  # characters of a method or header name (RFC 9110 token)
for _i in range(256):
    TOKEN[_i] = chr(_i).isalnum() and _i < 128 or chr(_i) in "!#$%&'*+-.^_`|~"

cdef const char* DAYS = "SunMonTueWedThuFriSat"
cdef const char* MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


cdef inline double now():
    cdef timespec ts
    clock_gettime(CLOCK_MONOTONIC, &ts)
    return <double>ts.tv_sec + <double>ts.tv_nsec * 1e-9


cdef bint is_token(bytes text):
    cdef unsigned char c
    for c in text:
        if not TOKEN[c]:
            return False
    return PyBytes_GET_SIZE(text) > 0


cdef bytes plain_error(str status, str text):
    """An answer in the shape that Go's net/http gives to what it cannot parse."""
    body = (text or status).encode()
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Refused(Exception):
    """Stops the parser; `args[0]` is the ready answer, or b"" to close without one."""


cdef class Service:
    """What the connections of one listener share: the handler, limits (bytes, seconds) and counters.

    `too_large` answers a body over the limit. `compress(stream, pieces)` writes a body compressed to a stream and
    closes it; `peer_chain(ssl_object)` reads the client's certificates.
    """

    cdef object handler, loop, compress, peer_chain, too_large
    cdef readonly set connections
    cdef public bint draining
    cdef public object on_empty       # called when the last connection has gone
    cdef readonly long long accepted, requests, bytes_in, bytes_out
    cdef Py_ssize_t max_header_bytes, max_body_bytes, gzip_above
    cdef double header_timeout, body_timeout, idle_timeout
    cdef list dirty                   # connections with stream writes of this loop turn
    cdef char* buffer                 # answers are put together here
    cdef Py_ssize_t room, used
    cdef char date[40]
    cdef time_t date_of
    cdef dict status_lines
    cdef bytes framed_data, frame     # the last chunk framed: one event goes to many watchers

    def __init__(self, handler, loop, *, too_large, compress, peer_chain, max_header_bytes, max_body_bytes,
                 header_timeout, body_timeout, idle_timeout, gzip_above):
        self.handler = handler
        self.loop = loop
        self.too_large = too_large
        self.compress = compress
        self.peer_chain = peer_chain
        self.max_header_bytes = max_header_bytes
        self.max_body_bytes = max_body_bytes
        self.header_timeout = header_timeout
        self.body_timeout = body_timeout
        self.idle_timeout = idle_timeout
        self.gzip_above = gzip_above
        self.connections = set()
        self.dirty = []
        self.status_lines = {}

    def __dealloc__(self):
        free(self.buffer)

    def __call__(self):
        """Make the protocol of a new connection."""
        return Connection(self)

    @property
    def open(self):
        """Connections that are open now."""
        return len(self.connections)

    def sweep(self, double at=0.0):
        """Close the connections whose time is up; `at` is the monotonic time to judge by."""
        cdef Connection connection
        if at == 0.0:
            at = now()
        for connection in list(self.connections):
            connection.check(at)

    def drain(self):
        """Close idle connections; the others end with the answer they are giving."""
        cdef Connection connection
        self.draining = True
        for connection in list(self.connections):
            if connection.current is None and not connection.in_message:
                connection.close()

    def abort(self):
        """Cut every connection."""
        cdef Connection connection
        for connection in list(self.connections):
            connection.transport.abort()

    def flush(self):
        """Hand what streams wrote in this loop turn to their transports."""
        cdef Connection connection
        dirty = self.dirty
        self.dirty = []
        for connection in dirty:
            connection.scheduled = False
            connection.pump()

    cdef schedule(self, Connection connection):
        connection.scheduled = True
        if not self.dirty:
            self.loop.call_soon(self.flush)
        self.dirty.append(connection)

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

    cdef int put_text(self, text, bint is_name) except -1:
        """Put a header's name or value; line breaks become blanks, so that no header can be smuggled in."""
        cdef Py_ssize_t size = 0, at
        cdef const char* data
        cdef unsigned char c
        try:
            data = PyUnicode_AsUTF8AndSize(text, &size)
        except UnicodeEncodeError:
            text = text.encode("utf-8", "replace").decode()
            data = PyUnicode_AsUTF8AndSize(text, &size)
        at = self.used
        self.put(data, size)
        if is_name and size == 0:
            return 1
        for at in range(at, self.used):
            c = <unsigned char>self.buffer[at]
            if is_name and not TOKEN[c]:
                return 1
            if c == c'\r' or c == c'\n' or c == 0:
                self.buffer[at] = c' '
        return 0

    cdef int put_header(self, name, value) except -1:
        cdef Py_ssize_t start = self.used
        if self.put_text(name, True):
            self.used = start         # as Go: a header with a bad name is left out
            return 0
        self.put(": ", 2)
        self.put_text(value, False)
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

    cdef bytes status_line(self, int status, bint old):
        key = -status if old else status
        line = self.status_lines.get(key)
        if line is None:
            text = REASONS.get(status, f"status code {status}")
            line = f"HTTP/1.{0 if old else 1} {status} {text}\r\n".encode()
            self.status_lines[key] = line
        return line

    cdef bytes head(self, response, Py_ssize_t length, bint close, bint old, bint gzip, bytes body):
        """The head of an answer, and `body` behind it; a negative length means that the body is a stream."""
        cdef char number[48]
        cdef int status = response.status
        cdef bytes line = self.status_line(status, old)
        cdef bint bare = status == 204 or status == 304 or status < 200
        self.used = 0
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
        elif not old:
            self.put("Transfer-Encoding: chunked\r\n", 28)
        if close:
            self.put("Connection: close\r\n", 19)
        elif old:
            self.put("Connection: keep-alive\r\n", 24)
        self.put("\r\n", 2)
        if body is not None:
            self.put(PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
        return PyBytes_FromStringAndSize(self.buffer, self.used)

    cdef bytes refusal_of_body(self):
        body = self.too_large.body
        return self.head(self.too_large, len(body), True, False, False, body)

    cdef bytes frame_of(self, bytes data):
        if data is not self.framed_data:
            self.frame = b"%x\r\n%b\r\n" % (PyBytes_GET_SIZE(data), data)
            self.framed_data = data
        return self.frame


cdef class Stream:
    """The body of an answer that is written bit by bit: `server.request.Stream` over a connection."""

    cdef Connection connection
    cdef list closers, drainers
    cdef bint open

    def __init__(self, Connection connection):
        self.connection = connection
        self.open = True
        self.closers = []
        self.drainers = []

    def write(self, bytes data not None):
        """Queue one chunk; what is queued in one loop turn leaves in one write."""
        if self.open and PyBytes_GET_SIZE(data):
            self.connection.write_chunk(data)

    def buffered(self):
        """Bytes that were written and not yet taken by the socket."""
        if not self.open:
            return 0
        return self.connection.out_size + self.connection.transport.get_write_buffer_size()

    def close(self):
        """End the body cleanly; the connection may serve another request."""
        if self.open:
            self.connection.end_stream()

    def abort(self):
        """Cut the connection without the final chunk, so that the peer sees an unclean end."""
        if self.open:
            self.connection.cut()

    def on_close(self, callback):
        """Call back once, when the peer has gone or the body has ended."""
        if self.open:
            self.closers.append(callback)
        else:
            callback()

    def on_drain(self, callback):
        """Call back each time the transport takes data again after it was full."""
        self.drainers.append(callback)

    cdef closed(self):
        if not self.open:
            return
        self.open = False
        closers = self.closers
        self.closers = self.drainers = []
        for callback in closers:
            callback()


cdef class Connection:
    """One connection: asyncio's protocol, httptools' callbacks and the order of answers."""

    cdef object transport, parser
    cdef Service service
    cdef tuple peer, certificates
    # the request that is being read
    cdef str method, target
    cdef dict headers
    cdef list all_headers
    cdef object body                  # None, bytes, or a bytearray once it came in parts
    cdef bytes early                  # input up to the target, kept for methods that the parser does not know
    cdef Py_ssize_t head_size, body_size
    cdef bint in_message, head_done, owes_continue
    cdef int completed                # messages that ended within the present feed
    # answers
    cdef object current               # what holds the connection: a task, a Stream, or the request of a long body
    cdef bint old                     # the answer goes to an HTTP/1.0 client
    cdef object request               # what is answered
    cdef object waiting               # requests behind it as (request, is HTTP/1.0); a ready refusal comes last
    cdef list out                     # buffers for the transport; of the first, bytes up to out_from are written
    cdef Py_ssize_t out_from, out_size
    cdef bint close_after, ended, chunked, write_paused, read_paused, deaf, scheduled, advancing
    cdef Phase phase
    cdef double since                 # when the phase began, or when the transport stopped taking data

    def __init__(self, Service service):
        self.service = service
        self.waiting = deque()
        self.out = []
        self.certificates = ()
        self.early = b""

    # --- asyncio.Protocol

    def connection_made(self, transport):
        service = self.service
        self.transport = transport
        self.parser = HttpRequestParser(self)
        peer = transport.get_extra_info("peername")
        self.peer = tuple(peer[:2]) if isinstance(peer, tuple) else ("", 0)
        ssl_object = transport.get_extra_info("ssl_object")
        if ssl_object is not None:
            self.certificates = service.peer_chain(ssl_object)
        service.accepted += 1
        service.connections.add(self)
        self.phase = HEAD             # a new connection has the time of a head for its first request
        self.since = now()

    def connection_lost(self, exc):
        service = self.service
        service.connections.discard(self)
        if service.on_empty is not None and not service.connections:
            service.on_empty()
        self.phase = CLOSED
        current = self.current
        self.parser = self.current = self.request = None
        self.waiting.clear()
        self.out, self.out_size = [], 0
        if type(current) is Stream:
            (<Stream>current).closed()
        elif isinstance(current, asyncio.Future):
            current.cancel()

    def eof_received(self):
        return False

    def pause_writing(self):
        self.write_paused = True
        self.since = now()
        if type(self.current) is not Stream:
            self.pause_reading()      # who does not take answers asks no more

    def resume_writing(self):
        self.write_paused = False
        self.pump()
        if type(self.current) is Stream:
            if not self.write_paused:
                for callback in list((<Stream>self.current).drainers):
                    callback()
        else:
            self.advance()

    def data_received(self, data):
        self.service.bytes_in += len(data)
        if self.deaf or self.phase >= LINGERING:
            return
        self.completed = 0
        if self.in_message:
            self.early = self.early + data if self.target is None else b""
        else:
            self.early = data
        if not self.in_message and data[0] == c'C' and b"CONNECT ".startswith(data[:8]) or self.parser is None:
            self.feed_unknown_method()
        else:
            self.feed(data)
        if not self.in_message or self.target is not None:
            self.early = b""
        elif self.completed:
            self.early = b"?"         # where the message began is not known: no method matches
        self.settle(self.completed > 0)

    cdef feed(self, data):
        cdef bint odd = False
        cause = rest = None
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            # Not offered here, so ignored (RFC 9110, 7.8); the parser has stopped behind the request.
            rest = data[upgrade.args[0]:]
        except HttpParserInvalidMethodError:
            odd = self.completed == 0 and self.target is None and self.method is None
            cause = None if odd else Refused(plain_error("400 Bad Request", ""))
        except Exception as error:
            cause = error.__context__ or Refused(plain_error("400 Bad Request", ""))
        if odd:
            self.feed_unknown_method()
        elif rest is not None:
            self.parser = HttpRequestParser(self)
            if rest and not self.deaf:
                self.feed(rest)
        elif isinstance(cause, Refused):
            self.refuse(cause.args[0])
        elif cause is not None:
            log.error("request was not read", exc_info=cause)
            self.refuse(plain_error("400 Bad Request", ""))
        elif self.in_message and not self.head_done:
            self.head_size += len(data)
            if self.head_size > self.service.max_header_bytes:
                self.refuse(plain_error("431 Request Header Fields Too Large", ""))

    cdef feed_unknown_method(self):
        """Read a request whose method the parser refuses: any token is one; the parser is shown POST instead."""
        cdef bytes raw = self.early.lstrip(b"\r\n"), method
        cdef Py_ssize_t end = raw.find(b" ")
        self.parser = None
        self.in_message = True
        self.head_done = False
        self.early = raw
        method = raw if end < 0 else raw[:end]
        if not is_token(method) or len(method) > MAX_METHOD:
            self.refuse(plain_error("400 Bad Request", ""))
        elif end >= 0:
            self.method = method.decode()
            self.parser = HttpRequestParser(self)
            self.feed(b"POST" + raw[end:])

    cdef settle(self, bint anew):
        """Find the phase that the connection is in now; its time starts when it is another one than before."""
        cdef Phase phase = ANSWERING
        if self.phase >= LINGERING:
            return
        if self.current is None:
            phase = IDLE if not self.in_message else BODY if self.head_done else HEAD
        if phase == IDLE and self.service.draining:
            self.close()
        elif phase != self.phase or anew or phase == IDLE:
            self.phase = phase
            self.since = now()

    cdef check(self, double at):
        cdef double limit
        if self.phase == IDLE:
            limit = self.service.idle_timeout
        elif self.phase == HEAD:
            limit = self.service.header_timeout
        elif self.phase == BODY:
            limit = self.service.body_timeout
        elif self.phase == LINGERING:
            limit = LINGER
        elif self.phase == ANSWERING and self.write_paused and type(self.current) is not Stream:
            limit = self.service.body_timeout
        else:
            return
        if at - self.since > limit:
            if self.phase == ANSWERING:
                self.transport.abort()
            else:
                self.close()

    cdef close(self):
        self.phase = CLOSED
        self.transport.close()

    # --- httptools' callbacks

    def on_message_begin(self):
        self.in_message = True
        self.head_done = False
        self.target = None
        self.headers = {}
        self.all_headers = []
        self.body = None
        self.head_size = self.body_size = 0

    def on_url(self, bytes url):
        text = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(url), PyBytes_GET_SIZE(url), "replace")
        self.target = text if self.target is None else self.target + text

    def on_header(self, bytes name, bytes value):
        cdef Py_ssize_t size
        cdef const char* data
        if self.head_done:
            return                    # a trailer: nothing here reads them
        if value is None:
            value = b""
        size = PyBytes_GET_SIZE(value)
        data = PyBytes_AS_STRING(value)
        self.head_size += PyBytes_GET_SIZE(name) + size + 4
        key = NAMES.get(name)
        if key is None:
            key = name.decode("latin-1").lower()
            if len(NAMES) < MAX_NAMES:
                NAMES[name] = key
        while size and (data[size - 1] == c' ' or data[size - 1] == c'\t'):
            size -= 1
        text = PyUnicode_DecodeUTF8(data, size, "replace")
        self.all_headers.append((key, text))
        if key not in self.headers:
            self.headers[key] = text
        elif key == "host":
            raise Refused(plain_error("400 Bad Request: too many Host headers", ""))

    def on_headers_complete(self):
        cdef dict headers = self.headers
        self.head_done = True
        if self.head_size > self.service.max_header_bytes:
            raise Refused(plain_error("431 Request Header Fields Too Large", ""))
        if self.target[0] != "/" and "://" in self.target:
            self.target = "/" + self.target.partition("://")[2].partition("/")[2]
        coding = headers.get("transfer-encoding")
        if coding is not None and coding.lower() != "chunked":
            raise Refused(plain_error("501 Not Implemented", "Unsupported transfer encoding"))
        length = headers.get("content-length")
        has_body = coding is not None or length is not None and length != "0"
        if length is not None and int(length) > self.service.max_body_bytes:
            raise Refused(self.service.refusal_of_body())
        if "upgrade" in headers and has_body and self.parser.should_upgrade():
            # The parser takes what follows for another protocol and would not read this body.
            raise Refused(plain_error("400 Bad Request", ""))
        if "expect" in headers:
            if headers["expect"].lower() != "100-continue":
                raise Refused(plain_error("417 Expectation Failed", ""))
            if has_body and self.parser.get_http_version() == "1.1":
                if self.current is None:
                    self.transport.write(CONTINUE)
                else:
                    self.owes_continue = True

    def on_body(self, bytes data):
        self.body_size += PyBytes_GET_SIZE(data)
        if self.body_size > self.service.max_body_bytes:
            raise Refused(self.service.refusal_of_body())
        if self.body is None:
            self.body = data
        else:
            if type(self.body) is bytes:
                self.body = bytearray(self.body)
            self.body += data

    def on_message_complete(self):
        cdef bint keep = self.parser.should_keep_alive()
        cdef bint old = False
        cdef dict headers = self.headers
        self.in_message = self.owes_continue = False
        self.completed += 1
        if not keep or "connection" in headers:
            version = self.parser.get_http_version()
            old = version == "1.0"
            if not old and version != "1.1":
                raise Refused(plain_error("505 HTTP Version Not Supported: unsupported protocol version", ""))
        if not old and "host" not in headers and self.method != "CONNECT":
            raise Refused(plain_error("400 Bad Request: missing required Host header", ""))
        method = self.method
        if method is None:
            raw = self.parser.get_method()
            method = METHODS.get(raw) or raw.decode()
        self.method = None
        body = self.body
        if body is None:
            body = b""
        elif type(body) is bytearray:
            body = bytes(body)
        request = Request(method, self.target, headers, self.all_headers, body, self.peer, self.certificates, keep)
        self.target = self.body = self.headers = self.all_headers = None
        self.deaf = not keep
        if self.current is None and not self.write_paused:
            self.dispatch(request, old)
        elif len(self.waiting) >= MAX_PIPELINED:
            raise Refused(b"")
        else:
            self.waiting.append((request, old))
            self.pause_reading()

    cdef pause_reading(self):
        if not self.read_paused and self.phase != CLOSED:
            self.read_paused = True
            self.transport.pause_reading()

    # --- answers

    cdef dispatch(self, request, bint old):
        self.service.requests += 1
        self.old = old
        try:
            response = self.service.handler(request)
            if type(response) is not Response:
                task = asyncio.ensure_future(response, loop=self.service.loop)
                self.current = task
                self.request = request
                task.add_done_callback(self.task_done)
                return
        except Exception as error:
            response = self.internal_error(request, error)
        self.answer(request, response)

    cdef internal_error(self, request, error):
        log.error("handler failed: %s %s", request.method, request.target, exc_info=error)
        return Response(500, b"Internal Server Error\n", "text/plain; charset=utf-8")

    def task_done(self, task):
        """Write the answer of a task, then go on with what waited behind it."""
        if self.current is not task or self.phase == CLOSED:
            if not task.cancelled():
                task.exception()      # seen: the peer is gone
            return
        request = self.request
        self.current = self.request = None
        if task.cancelled():
            self.cut()
            return
        error = task.exception()
        self.answer(request, self.internal_error(request, error) if error is not None else task.result())
        self.advance()

    cdef answer(self, request, response):
        cdef bint close = not request.keep_alive or self.service.draining
        cdef bint bodyless = request.method == "HEAD" or response.status in (204, 304)
        cdef Py_ssize_t size = 0
        body = response.body
        for name, _ in response.headers:
            if name == "Connection":
                close = True
        self.close_after = close
        if response.start is not None:
            self.begin_stream(request, response, close, bodyless, False)
            return
        if type(body) is bytes:
            size = PyBytes_GET_SIZE(body)
        else:
            for piece in body:
                size += len(piece)
        if size > self.service.gzip_above and self.takes_gzip(request, response):
            pieces = [body] if type(body) is bytes else body
            compress = self.service.compress
            self.begin_stream(request, Response(
                response.status, b"", response.content_type, response.headers,
                start=lambda stream: compress(stream, pieces)), close, bodyless, True)
            return
        if bodyless:
            self.write(self.service.head(response, size, close, self.old, False, None))
        elif size <= SMALL:
            if type(body) is not bytes:
                body = b"".join(body)
            self.write(self.service.head(response, size, close, self.old, False, body))
        else:
            head = self.service.head(response, size, close, self.old, False, None)
            self.out.append(head)
            self.out_size += len(head) + size
            if type(body) is bytes:
                self.out.append(body)
            else:
                self.out.extend(body)
            self.current = self.request = request
            self.ended = True
            self.pump()
            return
        if close:
            self.deaf = True
            self.close()

    cdef bint takes_gzip(self, request, response) except -1:
        accepted = request.headers.get("accept-encoding")
        if accepted is None or "gzip" not in accepted:
            return False
        for name, _ in response.headers:
            if name == "Content-Encoding":
                return False
        return any(token.partition(";")[0].strip() == "gzip" for token in accepted.split(","))

    cdef begin_stream(self, request, response, bint close, bint bodyless, bint gzip):
        if self.old:
            self.close_after = close = True   # only the end of the connection ends a body without length
        head = self.service.head(response, -1, close, self.old, gzip, None)
        if bodyless:
            self.write(head)
            if close:
                self.deaf = True
                self.close()
            return
        self.chunked = not self.old
        self.ended = False
        stream = Stream(self)
        self.current = stream
        self.queue(head)
        try:
            response.start(stream)
        except Exception as error:
            log.error("stream failed: %s %s", request.method, request.target, exc_info=error)
            self.cut()

    cdef write(self, data):
        self.service.bytes_out += len(data)
        self.transport.write(data)

    cdef queue(self, bytes data):
        self.out.append(data)
        self.out_size += PyBytes_GET_SIZE(data)
        if not self.scheduled and not self.write_paused:
            self.service.schedule(self)

    cdef write_chunk(self, bytes data):
        if not self.chunked:
            self.queue(data)
        elif PyBytes_GET_SIZE(data) <= SMALL:
            self.queue(self.service.frame_of(data))
        else:
            self.queue(b"%x\r\n" % PyBytes_GET_SIZE(data))
            self.queue(data)
            self.queue(CRLF)

    cdef end_stream(self):
        if self.chunked:
            self.queue(LAST_CHUNK)
        self.ended = True
        stream = <Stream>self.current
        self.current = True           # holds the connection until all is written
        (<Stream>stream).closed()
        if not self.scheduled and not self.write_paused:
            self.service.schedule(self)

    cdef cut(self):
        """End the connection within an answer; what the transport still takes at once goes out."""
        current = self.current
        self.current = None
        self.waiting.clear()
        if not self.write_paused:
            self.ended = False
            self.pump()
        if self.write_paused:
            self.phase = CLOSED
            self.transport.abort()
        elif self.phase != CLOSED:
            self.close()
        if type(current) is Stream:
            (<Stream>current).closed()

    cdef pump(self):
        """Hand queued buffers to the transport, one slice to a write, until it has enough."""
        while self.out_size and not self.write_paused and self.phase != CLOSED:
            self.write(self.take())
        if self.out_size == 0 and self.ended:
            self.ended = False
            self.current = self.request = None
            if self.close_after:
                self.deaf = True
                self.close()
            else:
                self.advance()

    cdef take(self):
        """The next slice of what is queued: buffers joined, or a part of a long one."""
        cdef list out = self.out
        cdef Py_ssize_t end = 1, size, more
        first = out[0]
        size = len(first) - self.out_from
        if size > SLICE:
            data = memoryview(first)[self.out_from:self.out_from + SLICE]
            self.out_from += SLICE
            self.out_size -= SLICE
            return data
        while end < len(out):
            more = len(out[end])
            if size + more > SLICE:
                break
            size += more
            end += 1
        if self.out_from:
            first = memoryview(first)[self.out_from:]
            self.out_from = 0
        data = first if end == 1 else b"".join([first, *out[1:end]])
        self.out_size -= size
        del out[:end]
        return data

    cdef advance(self):
        """Answer what waited, in order; once nothing does, read on."""
        if self.advancing:
            return
        self.advancing = True
        while self.current is None and self.waiting and not self.write_paused and self.phase < LINGERING:
            item = self.waiting.popleft()
            if type(item) is bytes:
                self.send_refusal(item)
            else:
                self.dispatch(item[0], item[1])
        self.advancing = False
        if self.current is None and not self.write_paused and self.phase < LINGERING:
            if self.owes_continue:
                self.owes_continue = False
                self.write(CONTINUE)
            if self.read_paused:
                self.read_paused = False
                self.transport.resume_reading()
            self.settle(True)

    cdef refuse(self, bytes answer):
        if self.deaf:
            return
        self.deaf = True
        if self.current is None and not self.waiting:
            self.send_refusal(answer)
        else:
            self.waiting.append(answer)

    cdef send_refusal(self, bytes answer):
        """Answer what could not be read. Unless it was malformed the peer may still be sending: let it finish."""
        if answer:
            self.write(answer)
        if not answer or answer.startswith(b"HTTP/1.1 400"):
            self.close()
        else:
            self.phase = LINGERING
            self.since = now()
