"""HTTP/1.1 over httptools: one object per connection is both asyncio protocol and receiver of the
parser's callbacks.

If the handler answers at once, a request is parsed, answered and written inside the parser's callback,
without task or future. Reading pauses while an answer occupies the connection and requests are queued.
`_answers` is the sending side.
"""

import asyncio
from httptools import HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from pilothouse.logs import Logger
from pilothouse.server._answers import Refused

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8

from pilothouse._clock cimport now
from pilothouse.server._answers cimport (
    ANSWERING, BODY, CLOSED, HEAD, IDLE, LINGERING, NEW, Answers, Phase, Refusal, Service,
    budget_used_up, peer_left,
)
from pilothouse.server._budgets cimport SHORT, Incoming
from pilothouse.server._head cimport is_token, plain_error
from pilothouse.server._message cimport Request, Response
from pilothouse.server._pump cimport Stream
from pilothouse.server._turns cimport FREE, begin, end

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)

cdef int MAX_METHOD = 32
cdef double LINGER = 2.0              # seconds in which a refused peer may continue to send

cdef object log = Logger("pilothouse.server.http1", "_http1.pyx")
cdef bytes CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
cdef tuple KNOWN_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
cdef dict METHODS = {m.encode(): m for m in KNOWN_METHODS}
cdef int MAX_NAMES = 1024             # cached header names
cdef Py_ssize_t LONG_NAME = 64        # bytes; longer names are not cached
cdef Py_ssize_t HEADER = 150          # bytes of memory per header besides its text
cdef int MAX_HEADERS = 4096           # limits the memory of a head to about its length; upstream has none
cdef Py_ssize_t WORTH_HOLDING = 16 * 1024   # bytes; a longer head is parsed line by line, or in growing parts
cdef Py_ssize_t SLICE = 8 * 1024      # bytes that are parsed before another look at what is left of the turn,
cdef Py_ssize_t THIN = 2 * 1024       # or so many if that is little
cdef Py_ssize_t MAX_TRAILER = 16 * 1024     # bytes that may arrive within a body without adding to it

# Units of a turn, besides one for each byte of a head and an eighth of one for each of a body.
cdef int HEADER_UNITS = 200
cdef int PIECE_UNITS = 100            # a piece of a body
cdef int REQUEST_UNITS = 1500


cdef inline bint looks_like_connect(bytes data):
    return PyBytes_AS_STRING(data)[0] == c'C' and b"CONNECT ".startswith(data[:8])


cdef class Input(Incoming):
    """The message that a connection is receiving, for the budgets."""

    cdef Connection connection        # None once it has ended

    def __init__(self, Connection connection):
        self.connection = connection

    cdef regulate(self):
        if self.connection is not None:
            self.connection.regulate()

    cdef refuse_slow(self):
        if self.connection is not None:
            self.connection.refuse(plain_error("408 Request Timeout", ""))

    cdef double since(self):
        return self.connection.since if self.connection is not None else 0.0

    cdef shed(self):
        if self.connection is not None:
            self.connection.shed()


include "_http1_message.pxi"


cdef class Connection(Message):
    """One connection: asyncio's protocol and httptools' callbacks; passes requests on to be answered."""

    def __init__(self, Service service):
        Answers.__init__(self, service)
        self.incoming = Input(self)
        self.early = b""

    def is_answering(self):
        """Whether a request is being answered."""
        return self.current is not None

    # --- asyncio.Protocol

    def connection_made(self, transport):
        self.parser = HttpRequestParser(self)
        self.accepted(transport)
        self.phase = HEAD             # a new connection has the time of a head for its first request
        self.since = now(self.service.clock)

    def connection_lost(self, exc):
        cdef Service service = self.service
        cdef Stream stream = self.pump.stream
        cdef Py_ssize_t sent = self.body_sent()
        current = self.current
        error = exc or peer_left()
        service.connections.discard(self)
        service.leaving.discard(self)
        self.phase = CLOSED
        self.end_tls()
        self.drop_body()
        self.held_back = self.rest = self.left = None
        service.unfinished.note(self.incoming, 0)
        if self.unauthenticated is not None:
            self.unauthenticated.leave()
        self.drop_waiting(error)
        self.parser = self.current = self.request = None
        self.pump.leave()
        (<Input>self.incoming).connection = None
        if self.duplex is not None:
            sent, error = self.duplex.sent, exc
            service.turns.bytes_out += sent
            service.upgraded -= 1
            self.duplex.on_lost(exc)
        elif stream is not None:
            stream.closed()
        elif isinstance(current, asyncio.Future):
            current.cancel()
        self.finish(sent, error)
        if service.on_change is not None:
            service.on_change()

    def eof_received(self):
        return False

    def pause_writing(self):
        if self.duplex is not None:
            self.duplex.on_blocked(True)
            return
        self.pump.paused = True
        self.since = now(self.service.clock)
        if self.phase != NEW and self.pump.stream is None:
            self.pause_reading()      # do not read more requests from a peer that does not read answers

    def resume_writing(self):
        if self.duplex is not None:
            self.duplex.on_blocked(False)
            return
        self.pump.paused = False
        self.pump.run()
        if self.pump.stream is None:
            self.advance()

    def data_received(self, bytes data not None):
        self.service.bytes_in += PyBytes_GET_SIZE(data)
        if PyBytes_GET_SIZE(data) > self.largest:
            self.grow(PyBytes_GET_SIZE(data))
        begin(self.service.line, &self.turn)
        self.fresh = True
        self.receive(data)
        end(self.service.line, &self.turn)

    cdef receive(self, bytes data):
        """Parse input, or pass it to what it belongs to."""
        if self.duplex is not None:
            self.duplex.on_data(data)
        elif self.rest is not None:
            self.rest.append(data)
            self.pause_reading()
            self.service.unfinished.note(self.incoming, self.cost(0))
        elif self.input_ended or self.phase >= LINGERING:
            pass
        elif self.left is not None:   # a transport may have read more before it was paused
            self.left += data
            self.service.unfinished.note(self.incoming, self.cost(0))
        elif PyBytes_GET_SIZE(data) <= max(self.plain, self.slice()):
            self.take(data, True)
        else:
            self.take_slices(data)

    cdef bint is_held_up(self):
        """Whether nothing is to be read for now."""
        return self.read_paused or self.incoming.awaits_grant or self.judging is not None

    cdef Py_ssize_t slice(self):
        """Bytes that are parsed in one go."""
        return SLICE if self.turn.left > 8 * FREE else THIN

    cdef take_slices(self, bytes data):
        """Parse input as far as the turn goes, and keep the rest for a later one."""
        cdef Py_ssize_t at = 0, size = PyBytes_GET_SIZE(data), part
        while at < size:
            if self.duplex is not None or self.rest is not None or self.input_ended \
                    or self.phase >= LINGERING:
                self.receive(data[at:])
                return
            if self.turn.left <= 0 or self.is_held_up():
                self.left = data[at:]
                if self.judging is None and self.has_long_body():
                    self.go_on_with_body()
                self.service.unfinished.note(self.incoming, self.cost(0))
                self.regulate()
                return
            part = min(size - at, max(self.plain, self.slice()))
            at += part
            self.take(data[at - part:at], at == size)

    cdef take_left(self):
        data, self.left = self.left, None
        self.fresh = False
        self.take_slices(data)
        self.regulate()

    cdef bint has_long_body(self):
        """Whether a body is being received that is long, or announced."""
        if self.in_message and self.head_done and not self.input_ended:
            return self.incoming.expected > 0 or self.owes_continue
        return False

    cdef take(self, bytes data, bint last):
        """Parse a part of the input; a long body that ends with the `last` one need not be judged before."""
        if self.in_message and not self.head_done and self.head_read > WORTH_HOLDING:
            data = self.hold_back(data)
            if data is None:
                return
        cdef Py_ssize_t before = self.incoming.received if self.in_message and self.head_done else -1
        self.completed = 0
        if self.in_message:
            self.early = self.early + data if self.target is None else b""
        else:
            self.early = data
        if self.parser is None or not self.in_message and looks_like_connect(data):
            self.feed_unknown_method()
        else:
            self.feed(data)
        if not self.in_message or self.target is not None:
            self.early = b""
        elif self.completed:
            self.early = b"?"         # the beginning of the message is unknown: no method matches
        if last and self.has_long_body():
            self.go_on_with_body()
        if before >= 0 and self.in_message and not self.completed:
            self.quiet = self.quiet + PyBytes_GET_SIZE(data) if self.incoming.received == before else 0
            if self.quiet > MAX_TRAILER:
                self.refuse(plain_error("431 Request Header Fields Too Large", ""))
        self.settle(self.completed > 0)
        if self.incoming.kept or self.in_message or self.read_paused:
            self.service.unfinished.note(self.incoming, self.cost(PyBytes_GET_SIZE(data)))

    cdef bytes hold_back(self, bytes data):
        """Keep a part of a long head until it is worth parsing, or return all parts kept so far.

        The parser would copy an unfinished line for each part added to it.
        """
        if self.held_back is None:
            self.held_back = bytearray()
        self.held_back += data
        if self.head_read + len(self.held_back) > self.service.max_header_bytes:
            self.refuse(plain_error("431 Request Header Fields Too Large", ""))
        elif b"\n" in data or len(self.held_back) >= self.head_read // 4:
            data = bytes(self.held_back)
            self.held_back = None
            return data
        else:
            self.service.unfinished.note(self.incoming, self.cost(0))
        return None

    cdef Py_ssize_t cost(self, Py_ssize_t read):
        """Bytes of memory for this connection's requests that are not being answered yet."""
        cdef Py_ssize_t size = read if self.waiting else 0
        if self.rest is not None:
            for data in self.rest:
                size += PyBytes_GET_SIZE(data)
        if self.left is not None:
            size += PyBytes_GET_SIZE(self.left)
        if self.in_message and not self.input_ended:
            size += max(self.head_read, self.head_length) + self.wide
            if self.all_headers is not None:
                size += HEADER * len(self.all_headers)
            size += max(0, self.incoming.received - self.incoming.granted)
            if self.held_back is not None:
                size += len(self.held_back)
        return self.with_buffers(size)

    cdef bint has_many_headers(self):
        return self.all_headers is not None and len(self.all_headers) > MAX_HEADERS

    cdef shed(self):
        """Drop the requests kept in memory for the benefit of others; this ends the connection."""
        if self.waiting and self.pump.paused:
            self.drop_waiting(budget_used_up())
            self.input_ended = True
            self.drop_message()
            self.transport.abort()
        elif self.input_ended or self.waiting:
            self.drop_waiting(budget_used_up())
            self.input_ended = False
            self.refuse(b"")
        elif self.head_done:
            self.refuse(plain_error("408 Request Timeout", ""))
        else:
            self.refuse(plain_error("431 Request Header Fields Too Large", ""))
        if self.phase >= LINGERING:
            self.abort_soon()

    cdef drop_message(self):
        self.parser = self.headers = self.all_headers = self.held_back = self.rest = self.left = None
        self.early = b""
        self.in_message = False
        self.service.unfinished.note(self.incoming, 0)

    cdef feed(self, bytes data):
        cdef bint unknown_method = False
        cause = rest = None
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            # The parser has stopped after the request.
            rest = data[upgrade.args[0]:]
        except HttpParserInvalidMethodError:
            unknown_method = self.completed == 0 and self.target is None and self.method is None
            cause = None if unknown_method else Refused(plain_error("400 Bad Request", ""))
        except Exception as error:
            cause = error.__context__ or Refused(plain_error("400 Bad Request", ""))
        if unknown_method:
            self.feed_unknown_method()
        elif rest is not None:
            self.follow(rest)
        elif isinstance(cause, Refused):
            self.refuse(cause.args[0])
        elif cause is not None:
            log.exception("A request was not read", err=cause)
            self.refuse(plain_error("400 Bad Request", ""))
        elif self.in_message and not self.head_done:
            self.head_read += len(data)
            if self.head_read > self.service.max_header_bytes or self.has_many_headers():
                self.refuse(plain_error("431 Request Header Fields Too Large", ""))

    cdef follow(self, bytes rest):
        """Go on after a request to upgrade: `rest` belongs to what its answer makes of the connection. An
        answer other than 101 has ignored the wish (RFC 9110, 7.8), and another request follows."""
        if self.duplex is not None:
            if rest:
                self.duplex.on_data(rest)
        elif self.current is not None or self.waiting:
            self.rest = [rest]
            if rest:
                self.pause_reading()
        else:
            self.parser = HttpRequestParser(self)
            if rest and not self.input_ended:
                self.feed(rest)

    cdef go_on_reading(self):
        if self.rest is None:
            return
        rest, self.rest = b"".join(self.rest), None
        self.service.unfinished.note(self.incoming, 0)
        if self.duplex is not None:
            if rest:
                self.duplex.on_data(rest)
            return
        self.parser = HttpRequestParser(self)
        if rest:
            self.fresh = True
            self.receive(rest)

    cdef feed_unknown_method(self):
        """Read a request whose method the parser does not know, since any token is allowed:
        parse it as POST."""
        cdef bytes raw = self.early.lstrip(b"\r\n"), method
        cdef Py_ssize_t stop = raw.find(b" ")
        self.parser = None
        self.in_message = True
        self.head_done = False
        self.early = raw
        method = raw if stop < 0 else raw[:stop]
        if not is_token(method) or len(method) > MAX_METHOD:
            self.refuse(plain_error("400 Bad Request", ""))
        elif stop >= 0:
            self.method = method.decode()
            self.parser = HttpRequestParser(self)
            self.feed(b"POST" + raw[stop:])

    cdef settle(self, bint again):
        """Set the phase of the connection; its time starts when the phase changes, or with `again`."""
        cdef Phase phase = ANSWERING
        if self.incoming.kept and not self.in_message and not self.waiting:
            self.service.unfinished.note(self.incoming, 0)
        if self.phase >= LINGERING:
            return
        if self.current is None and not (self.read_paused and self.waiting):
            phase = IDLE if not self.in_message else BODY if self.head_done else HEAD
        if phase == IDLE and self.service.draining:
            self.close()
        elif phase != self.phase or again:
            self.phase = phase
            self.since = now(self.service.clock)

    cdef bint is_idle(self):
        return self.current is None and not self.in_message and not self.waiting and self.left is None

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
        elif self.phase == ANSWERING and self.pump.paused and self.pump.stream is None:
            limit = self.service.body_timeout
        else:
            return
        if at - self.since > limit:
            if self.pump.paused:
                self.transport.abort()
            else:
                self.close()

    # --- httptools' callbacks

    def on_message_begin(self):
        if self.input_ended:
            raise Refused(b"")
        self.in_message = True
        self.head_done = False
        self.target = None
        self.headers = {}
        self.all_headers = []
        self.body = None
        self.head_length = self.head_read = self.wide = self.quiet = 0
        self.incoming.received = self.incoming.expected = self.plain = 0
        self.admitted = False

    def on_url(self, bytes url):
        text = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(url), PyBytes_GET_SIZE(url), "replace")
        self.target = text if self.target is None else self.target + text
        self.head_length += PyBytes_GET_SIZE(url)
        self.turn.left -= HEADER_UNITS + PyBytes_GET_SIZE(url)
        if PyUnicode_KIND(text) != 1:
            self.wide += 3 * PyBytes_GET_SIZE(url)

    def on_header(self, bytes name, bytes value):
        cdef Py_ssize_t size
        cdef const char* data
        self.turn.left -= HEADER_UNITS + PyBytes_GET_SIZE(name)
        if self.head_done:
            return                    # a trailer, which nothing here uses
        if value is None:
            value = b""
        size = PyBytes_GET_SIZE(value)
        data = PyBytes_AS_STRING(value)
        self.turn.left -= size
        self.head_length += PyBytes_GET_SIZE(name) + size + 4
        key = self.service.names.get(name)
        if key is None:
            key = name.decode("latin-1").lower()
            if len(self.service.names) < MAX_NAMES and PyBytes_GET_SIZE(name) <= LONG_NAME:
                self.service.names[name] = key
        while size and (data[size - 1] == c' ' or data[size - 1] == c'\t'):
            size -= 1
        text = PyUnicode_DecodeUTF8(data, size, "replace")
        if PyUnicode_KIND(text) != 1:
            self.wide += 3 * size
        self.all_headers.append((key, text))
        if key not in self.headers:
            self.headers[key] = text
        elif key == "host":
            raise Refused(plain_error("400 Bad Request: too many Host headers", ""))

    def on_headers_complete(self):
        cdef dict headers = self.headers
        self.head_done = True
        if self.head_length > self.service.max_header_bytes or self.has_many_headers():
            raise Refused(plain_error("431 Request Header Fields Too Large", ""))
        if self.target[0] != "/" and "://" in self.target:
            self.target = "/" + self.target.partition("://")[2].partition("/")[2]
        coding = headers.get("transfer-encoding")
        if coding is not None and coding.lower() != "chunked":
            raise Refused(plain_error("501 Not Implemented", "Unsupported transfer encoding"))
        if coding is not None and self.parser.get_http_version() == "1.0":
            # Its framing is faulty (RFC 9112, 6.1): who stands in front may not see the chunks.
            raise Refused(plain_error("400 Bad Request", ""))
        length = headers.get("content-length")
        has_body = coding is not None or length is not None and length != "0"
        if length is not None and int(length) > self.service.max_body_bytes:
            raise Refused(self.service.refusal_of_body())
        if length is not None:
            self.plain = int(length)
            if self.plain > SHORT:
                self.incoming.expected = self.plain
        if "upgrade" in headers and has_body and self.parser.should_upgrade():
            # The parser assumes that another protocol follows, and would not read this body.
            raise Refused(plain_error("400 Bad Request", ""))
        if "expect" in headers:
            if headers["expect"].lower() != "100-continue":
                raise Refused(plain_error("417 Expectation Failed", ""))
            self.owes_continue = has_body and self.parser.get_http_version() == "1.1"

    def on_body(self, bytes data):
        self.incoming.received += PyBytes_GET_SIZE(data)
        self.plain = max(0, self.plain - PyBytes_GET_SIZE(data))
        self.turn.left -= PIECE_UNITS + (PyBytes_GET_SIZE(data) >> 3)
        if self.incoming.received > self.service.max_body_bytes:
            raise Refused(self.service.refusal_of_body())
        if self.incoming.received > SHORT and not self.incoming.expected:
            self.incoming.expected = self.service.max_body_bytes
        if self.body is None:
            self.body = data
        else:
            if type(self.body) is bytes:
                self.body = bytearray(self.body)
            self.body += data

    def on_message_complete(self):
        cdef bint keep = self.parser.should_keep_alive()
        cdef bint http10 = False
        cdef dict headers = self.headers
        self.in_message = self.owes_continue = False
        self.completed += 1
        self.turn.left -= REQUEST_UNITS
        if not keep or "connection" in headers:
            version = self.parser.get_http_version()
            http10 = version == "1.0"
            if not http10 and version != "1.1":
                raise Refused(plain_error("505 HTTP Version Not Supported: unsupported protocol version", ""))
        if not http10 and "host" not in headers and self.method != "CONNECT":
            raise Refused(plain_error("400 Bad Request: missing required Host header", ""))
        body = self.body
        if body is None:
            body = b""
        elif type(body) is bytearray:
            body = bytes(body)
        request = self.request_with(body, keep)
        self.method = self.target = self.headers = self.all_headers = None
        self.drop_body()
        self.input_ended = not keep
        self.take_request(request, http10)
