"""HTTP/2 (RFC 9113): one object per connection is the asyncio protocol, one per stream answers a request.

A request that the handler answers at once is parsed, answered and written inside the protocol's callback, as
with HTTP/1.1. Handler, body pump, budgets, time-outs and counters are those of the listener's service. What
all streams of a connection write in one turn of the loop goes out in one write. Frames are parsed here, heads
by `_hpack`; `_http2_body.pxi` receives bodies, `_http2_exchange.pxi` answers.
"""

import asyncio
import struct

from pilothouse._answers import Refused
from pilothouse._hpack import CompressionError
from pilothouse.logs import Logger
from pilothouse.server.request import Request, Response

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memcmp, memcpy

from pilothouse._answers cimport Endpoint, Service, peer_left, report, takes_gzip
from pilothouse._budgets cimport SHORT, Incoming
from pilothouse._clock cimport now
from pilothouse._hpack cimport (
    AUTHORITY, COOKIE, EXPECT, HOST, LENGTH, MALFORMED, METHOD, PATH, PLAIN, SCHEME, AnswerHeads, Decoder, Field,
    Kind, Scratch, put_head,
)
from pilothouse._pump cimport Pump, Sink
from pilothouse._pump cimport Stream as PumpStream

cdef object log = Logger("pilothouse.server.http2", "_http2.pyx")

cdef enum:                            # frames
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9

cdef enum:                            # flags
    END_STREAM = 1
    ACK = 1
    END_HEADERS = 4
    PADDED = 8
    PRIORITIZED = 32

cdef enum:                            # errors
    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11

cdef dict ERRORS = {
    NO_ERROR: "NO_ERROR", PROTOCOL_ERROR: "PROTOCOL_ERROR", INTERNAL_ERROR: "INTERNAL_ERROR",
    FLOW_CONTROL_ERROR: "FLOW_CONTROL_ERROR", STREAM_CLOSED: "STREAM_CLOSED", FRAME_SIZE_ERROR: "FRAME_SIZE_ERROR",
    COMPRESSION_ERROR: "COMPRESSION_ERROR", ENHANCE_YOUR_CALM: "ENHANCE_YOUR_CALM",
}

cdef bytes PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
cdef bytes DRAIN = b"draining"        # the PING after the word that no more streams are wanted
cdef bytes ALIVE = b"alive?\0\0"      # the PING to a peer that is silent

cdef Py_ssize_t FRAME = 16384         # bytes of a frame: the least that a peer has to take, and the most taken here
cdef long long MOST_WINDOW = 0x7FFFFFFF
cdef long long FIRST_WINDOW = 65535
cdef Py_ssize_t STREAM_WINDOW = 256 * 1024   # bytes of a request's body that may come unasked, as upstream
cdef Py_ssize_t READ = 128 * 1024     # bytes of input that are taken at a time
cdef Py_ssize_t SMALL = 64 * 1024     # bytes; a body up to this size is written together with its head
cdef Py_ssize_t PIECE = 7 * FRAME     # bytes that a pump hands over at a time
cdef Py_ssize_t FLUSH = 96 * 1024     # bytes of frames that are written before the turn of the loop ends
cdef Py_ssize_t BURST = 512 * 1024    # bytes written by streams that go on in one turn of the loop
cdef Py_ssize_t HELD = 4 * 1024 * 1024  # bytes of waiting answers above which no other request is answered
cdef int MAX_FIELDS = 4096            # of a request's head, as with HTTP/1.1
cdef int MAX_SETTINGS = 64            # entries of one SETTINGS frame
cdef int MAX_FORGOTTEN = 1024         # streams that were reset here and may still get frames
cdef int MAX_HEADS = 8                # heads that are kept for the next requests
cdef Py_ssize_t COMMON = 4096         # bytes; a longer head is not kept
cdef int MIN_UPDATE = 64              # bytes; a window that grows by less is counted as a glitch
cdef double RESETS = 1000, RESETS_PER_SECOND = 33         # streams that end by a reset
cdef double GLITCHES = 10_000, GLITCHES_PER_SECOND = 330  # frames that change nothing
cdef double PING_AFTER = 30.0         # seconds of silence after which a peer with open streams is asked,
cdef double PING_TIMEOUT = 15.0       # and further ones after which it is gone
cdef double LEAVE = 1.0               # seconds for a peer to learn that it should open no more streams

include "_http2_exchange.pxi"
include "_http2_body.pxi"


cdef class Shared:
    """What the HTTP/2 connections of one listener share."""

    def __init__(self, Service service, int max_streams):
        self.service = service
        self.max_streams = max_streams
        self.heads = AnswerHeads()
        self.scratch = Scratch()
        self.room = bytearray(READ)
        self.view = memoryview(self.room)
        self.dirty = []
        self.connections = set()
        self.faults = {}

    @property
    def open_streams(self):
        """Number of streams that are open."""
        cdef Connection connection
        cdef Py_ssize_t count = 0
        for connection in self.connections:
            count += len(connection.streams)
        return count

    cdef wake(self, Connection connection):
        """Flush a connection at the end of this turn of the loop."""
        if not connection.dirty:
            connection.dirty = True
            if not self.dirty:
                self.service.loop.call_soon(self.flush)
            self.dirty.append(connection)

    def flush(self):
        """Write what the streams of connections have produced, each connection in one write."""
        cdef Connection connection
        dirty, self.dirty = self.dirty, []
        for connection in dirty:
            connection.dirty = False
            connection.go_on()


cdef class Head:
    """The header fields of a request apart from its pseudo fields; requests that repeat them share it."""


cdef class Connection(Endpoint):
    """One connection: asyncio's protocol, the frames and the state that all its streams share."""

    def __init__(self, Shared shared):
        self.shared = shared
        self.service = shared.service
        self.decoder = Decoder(shared.scratch)
        self.streams = {}
        self.blocked = {}
        self.heads = {}
        self.out = []
        self.certificates = ()
        self.window = self.first_window = FIRST_WINDOW
        self.resize = True
        self.resets.left = RESETS
        self.glitches.left = GLITCHES

    def is_answering(self):
        """Whether a request is being answered."""
        return len(self.streams) > 0

    # --- asyncio.Protocol

    def connection_made(self, transport):
        cdef Service service = self.service
        cdef int streams = self.shared.max_streams
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self.peer = tuple(peer[:2]) if isinstance(peer, tuple) else ("", 0)
        ssl_object = transport.get_extra_info("ssl_object")
        if ssl_object is not None:
            self.certificates = service.peer_chain(ssl_object)
            transport.set_write_buffer_limits(high=1)   # TLS has its own buffer; as in `_http1`
        service.accepted += 1
        service.connections.add(self)
        self.shared.connections.add(self)
        self.since = self.heard = now(service.clock)
        self.resets.at = self.glitches.at = self.since
        self.open_window = min(MOST_WINDOW, STREAM_WINDOW * <long long>streams)
        self.put_frame(SETTINGS, 0, 0, struct.pack(
            ">HIHIHI", 3, streams, 4, STREAM_WINDOW, 6, service.max_header_bytes
        ))
        if self.open_window > FIRST_WINDOW:
            self.put_number(WINDOW_UPDATE, 0, self.open_window - FIRST_WINDOW)
        self.open_window = max(self.open_window, FIRST_WINDOW)
        self.shared.wake(self)        # the transport may not be ready to write within this call

    def connection_lost(self, exc):
        cdef Exchange exchange
        cdef Service service = self.service
        service.connections.discard(self)
        service.leaving.discard(self)
        self.shared.connections.discard(self)
        self.leaving = GONE
        if self.unauthenticated is not None:
            self.unauthenticated.leave()
        self.end_input()
        for exchange in list(self.streams.values()):
            exchange.lost(exc or peer_left())
        self.out = []
        self.out_size = 0
        if service.on_change is not None:
            service.on_change()

    def eof_received(self):
        return False

    def pause_writing(self):
        self.paused = True
        self.since = now(self.service.clock)
        self.regulate()

    def resume_writing(self):
        self.paused = False
        self.heard = now(self.service.clock)
        self.go_on()
        self.regulate()

    # uvloop reads into the buffer of a protocol that has these two methods, which saves it one for each read
    def get_buffer(self, size):
        return self.shared.view

    def buffer_updated(self, Py_ssize_t size):
        self.receive(<const unsigned char*>PyByteArray_AS_STRING(self.shared.room), size)

    def data_received(self, bytes data not None):
        self.receive(<const unsigned char*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef receive(self, const unsigned char* data, Py_ssize_t size):
        cdef bytes joined
        self.service.bytes_in += size
        if self.leaving == GONE:
            return
        self.heard = now(self.service.clock)
        self.pinged = False
        self.completed = 0
        if self.left is None:
            self.parse(data, size)
        else:
            joined, self.left = self.left + data[:size], None
            self.parse(<const unsigned char*>PyBytes_AS_STRING(joined), PyBytes_GET_SIZE(joined))
        self.note()
        if self.out_size:
            self.flush()
        self.regulate()

    cdef regulate(self):
        """Read no more from a peer that does not read, or whose requests wait for their turn."""
        cdef bint stop = self.paused and self.settled or self.lined_up
        if stop != self.stopped and self.leaving != GONE:
            self.stopped = stop
            if stop:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    cdef note(self):
        """Count what has come of a frame or of a header block."""
        cdef Py_ssize_t size = 0
        if self.left is not None:
            size = PyBytes_GET_SIZE(self.left)
        if self.block is not None:
            size += PyByteArray_GET_SIZE(self.block)
        if size and self.leaving != GONE:
            if self.fragment is None:
                self.fragment = Fragment()
                self.fragment.connection = self
                self.fragment.began = self.heard
            self.service.unfinished.note(self.fragment, size)
        elif self.fragment is not None:
            fragment, self.fragment = self.fragment, None
            self.service.unfinished.note(fragment, 0)

    cdef end_input(self):
        """Drop what has come and is not answered."""
        self.left = self.block = self.data_of = None
        self.waiting = None
        self.note()

    # --- frames

    cdef parse(self, const unsigned char* p, Py_ssize_t end):
        """Parse frames until a request has to wait for its turn; keeps the rest in `left`."""
        cdef Py_ssize_t at = 0, size, pad
        cdef int kind, flags, number
        while at < end and self.leaving != GONE and not self.lined_up:
            if self.data_left:
                size = min(self.data_left, end - at)
                self.take_data(p + at, size)
                at += size
                continue
            if not self.greeted:
                size = min(24, end - at)
                if memcmp(p + at, PyBytes_AS_STRING(PREFACE), size) != 0:
                    self.fail(PROTOCOL_ERROR, "no preface")
                    return
                if size < 24:
                    break
                self.greeted = True
                at += 24
                continue
            if end - at < 9:
                break
            size = p[at] << 16 | p[at + 1] << 8 | p[at + 2]
            kind = p[at + 3]
            flags = p[at + 4]
            number = (p[at + 5] & 0x7F) << 24 | p[at + 6] << 16 | p[at + 7] << 8 | p[at + 8]
            if size > FRAME:
                self.fail(FRAME_SIZE_ERROR, "a frame is too long")
                return
            if self.block is not None and (kind != CONTINUATION or number != self.block_stream):
                self.fail(PROTOCOL_ERROR, "a frame within a header block")
                return
            if kind == DATA:
                pad = 0
                if flags & PADDED:
                    if end - at < 10 and size:
                        break
                    pad = 1 + (p[at + 9] if size else 0)
                self.begin_data(flags, number, size, pad)
                at += 10 if pad else 9
            elif end - at < 9 + size:
                break
            else:
                self.on_frame(kind, flags, number, p + at + 9, size)
                at += 9 + size
        if self.leaving != GONE and at < end:
            self.left = p[at:end]

    cdef int on_frame(self, int kind, int flags, int number, const unsigned char* data, Py_ssize_t size) except -1:
        """Take a whole frame other than DATA."""
        if not self.settled and (kind != SETTINGS or flags & ACK):
            self.fail(PROTOCOL_ERROR, "the first frame is not SETTINGS")
        elif kind == HEADERS:
            self.on_headers(flags, number, data, size)
        elif kind == CONTINUATION:
            if self.block is None:
                self.fail(PROTOCOL_ERROR, "CONTINUATION without HEADERS")
            else:
                self.on_continuation(flags, data, size)
        elif kind == SETTINGS:
            if number:
                self.fail(PROTOCOL_ERROR, "SETTINGS of a stream")
            else:
                self.on_settings(flags, data, size)
        elif kind == PING:
            if number:
                self.fail(PROTOCOL_ERROR, "PING of a stream")
            elif size != 8:
                self.fail(FRAME_SIZE_ERROR, "PING")
            elif not flags & ACK:
                self.glitch()
                self.put_frame(PING, ACK, 0, data[:8])
            elif self.leaving == ANNOUNCED and data[:8] == DRAIN:
                self.leave_now()
        elif kind == WINDOW_UPDATE or kind == RST_STREAM:
            if size != 4:
                self.fail(FRAME_SIZE_ERROR, "WINDOW_UPDATE or RST_STREAM")
            elif number > self.last or number and not number & 1 or not number and kind == RST_STREAM:
                self.fail(PROTOCOL_ERROR, "WINDOW_UPDATE or RST_STREAM of a stream that is not open")
            elif kind == RST_STREAM:
                self.on_reset(number, int_of(data))
            else:
                self.on_window(number, int_of(data) & 0x7FFFFFFF)
        elif kind == PRIORITY:
            if not number:
                self.fail(PROTOCOL_ERROR, "PRIORITY of no stream")
            elif size != 5:
                self.fail(FRAME_SIZE_ERROR, "PRIORITY")
            else:
                self.glitch()
        elif kind == GOAWAY:
            if number:
                self.fail(PROTOCOL_ERROR, "GOAWAY of a stream")
            elif size < 8:
                self.fail(FRAME_SIZE_ERROR, "GOAWAY")
            else:
                self.glitch()         # nothing is pushed here, and the peer closes when it wants to
        elif kind == PUSH_PROMISE:
            self.fail(PROTOCOL_ERROR, "PUSH_PROMISE of a client")
        else:
            self.glitch()             # an unknown frame is ignored
        return 0

    cdef spend(self, Allowance* allowance, double burst, double rate):
        """Use up one of what a peer may do so often."""
        cdef double at
        allowance.left -= 1
        if allowance.left < 0:
            at = now(self.service.clock)
            allowance.left = min(burst, allowance.left + (at - allowance.at) * rate)
            allowance.at = at
            if allowance.left < 0:
                self.fail(ENHANCE_YOUR_CALM, "too many frames without use")

    cdef glitch(self):
        """Count a frame that changes nothing."""
        self.spend(&self.glitches, GLITCHES, GLITCHES_PER_SECOND)

    # --- DATA

    cdef begin_data(self, int flags, int number, Py_ssize_t size, Py_ssize_t pad):
        """The head of a DATA frame: account for its length in the windows, and find its stream."""
        cdef Exchange exchange = self.streams.get(number)
        cdef Body body = None if exchange is None else exchange.body
        self.data_of = None
        if not self.settled or not number & 1 or number > self.last:
            self.fail(PROTOCOL_ERROR, "DATA of a stream that is not open")
            return
        if pad > size:
            self.fail(PROTOCOL_ERROR, "padding that is longer than its frame")
            return
        self.open_window -= size
        if self.open_window < 0:
            self.fail(FLOW_CONTROL_ERROR, "more than the connection's window")
            return
        if body is not None and not exchange.remote_closed:
            body.window -= size
            if body.window < 0:
                exchange.reset(FLOW_CONTROL_ERROR, ValueError("more than the stream's window"))
            else:
                body.taken += pad
                self.data_of = exchange
        elif exchange is not None and exchange.remote_closed:
            exchange.reset(STREAM_CLOSED, ValueError("DATA after the end of the request"))
        elif exchange is None and (self.forgotten is None or number not in self.forgotten):
            self.fail(STREAM_CLOSED, "DATA of a closed stream")
            return
        if size == pad and not flags & END_STREAM:
            self.glitch()
        self.taken += size
        self.data_left = size - (1 if pad else 0)
        self.pad_left = pad - 1 if pad else 0
        self.data_ends = flags & END_STREAM
        if not self.data_left:
            self.end_data()

    cdef take_data(self, const unsigned char* data, Py_ssize_t size):
        """A part of a DATA frame's payload."""
        cdef Py_ssize_t useful = min(size, self.data_left - self.pad_left)
        cdef Exchange exchange = self.data_of
        cdef Body body
        self.data_left -= size
        if useful > 0 and exchange is not None and exchange.body is not None:
            body = exchange.body
            body.take(data[:useful])
        if not self.data_left:
            self.end_data()

    cdef end_data(self):
        """A DATA frame has come whole."""
        cdef Exchange exchange = self.data_of
        cdef Body body
        self.data_of = None
        if self.taken >= STREAM_WINDOW:
            self.put_number(WINDOW_UPDATE, 0, self.taken)
            self.open_window += self.taken
            self.taken = 0
        if exchange is not None and self.data_ends and exchange.body is not None:
            body = exchange.body
            body.complete()

    # --- heads

    cdef on_headers(self, int flags, int number, const unsigned char* data, Py_ssize_t size):
        cdef Py_ssize_t at = 0, end = size
        if not number & 1:
            self.fail(PROTOCOL_ERROR, "HEADERS of a stream that a client cannot open")
            return
        if flags & PADDED:
            at = 1
            end = size - (data[0] if size else 1)
        if flags & PRIORITIZED:
            at += 5
        if at > end:
            self.fail(PROTOCOL_ERROR, "padding that is longer than its frame")
        elif flags & END_HEADERS:
            self.on_head(number, data + at, end - at, flags & END_STREAM)
        else:
            self.block = bytearray(data[at:end])
            self.block_stream = number
            self.block_ends = flags & END_STREAM
            self.block_frames = 0
            self.since = self.heard

    cdef on_continuation(self, int flags, const unsigned char* data, Py_ssize_t size):
        cdef bytearray block = self.block
        self.block_frames += 1
        block += data[:size]
        if len(block) > self.service.max_header_bytes or self.block_frames > 8 + len(block) // 1024:
            self.fail(ENHANCE_YOUR_CALM, "a header block is too long, or comes in too many frames")
        elif flags & END_HEADERS:
            self.block = None
            self.on_head(
                self.block_stream, <const unsigned char*>PyByteArray_AS_STRING(block), len(block), self.block_ends
            )

    cdef on_head(self, int number, const unsigned char* data, Py_ssize_t size, bint ends):
        """A whole header block: of a request, or of its trailers."""
        cdef Exchange exchange = self.streams.get(number)
        try:
            fields = self.decoder.decode(data, size, self.service.max_header_bytes, MAX_FIELDS)
        except CompressionError as error:
            self.fail(COMPRESSION_ERROR, str(error))
            return
        if exchange is not None:
            self.on_trailers(exchange, fields, ends)
        elif number <= self.last:
            if self.forgotten is None or number not in self.forgotten:
                self.fail(STREAM_CLOSED, "HEADERS of a closed stream")
            else:
                self.glitch()
        elif self.leaving >= LEAVES:
            self.glitch()
        else:
            self.last = number
            if len(self.streams) >= self.shared.max_streams:
                self.reset_stream(number, REFUSED_STREAM, not ends)
                self.spend(&self.resets, RESETS, RESETS_PER_SECOND)
            else:
                self.open_stream(number, fields, ends)

    cdef on_trailers(self, Exchange exchange, list fields, bint ends):
        cdef Field field
        cdef Body body
        cdef bint good = ends
        for field in fields:
            good = good and field.kind < MALFORMED
        if exchange.remote_closed:
            exchange.reset(STREAM_CLOSED, ValueError("HEADERS after the end of the request"))
        elif not good:
            exchange.reset(PROTOCOL_ERROR, ValueError("malformed trailers"))
        elif exchange.body is not None:
            body = exchange.body
            body.complete()

    cdef open_stream(self, int number, list fields, bint ends):
        """Begin an exchange, unless its head is malformed."""
        cdef Field field
        cdef str method = None, target = None, scheme = None
        cdef Head head
        cdef Exchange exchange
        cdef Body body
        cdef Kind kind
        cdef bint good = True
        cdef Py_ssize_t pseudo = 0
        authority = None
        for field in fields:
            kind = field.kind
            if kind < METHOD:
                break
            pseudo += 1
            if kind == METHOD and method is None:
                method = <str>field.pair[1]
            elif kind == PATH and target is None:
                target = <str>field.pair[1]
            elif kind == SCHEME and scheme is None:
                scheme = <str>field.pair[1]
            elif kind == AUTHORITY and authority is None:
                authority = field
            else:
                good = False
        head = self.head_of(fields[pseudo:], authority)
        if method == "CONNECT":
            good = good and target is None and scheme is None and authority is not None
            target = "" if authority is None else <str>(<Field>authority).pair[1]
        else:
            good = good and method and scheme and target and (target[0] == "/" or target == "*")
        if not good or head is None or not is_method(method) or ends and head.length > 0:
            if self.decoder.too_large and method and target:
                head = self.head_of([], authority)
            else:
                self.reset_stream(number, PROTOCOL_ERROR, not ends)
                self.spend(&self.resets, RESETS, RESETS_PER_SECOND)
                return
        exchange = Exchange.__new__(Exchange)
        exchange.connection = self
        exchange.id = number
        exchange.window = self.first_window
        exchange.remote_closed = ends
        self.streams[number] = exchange
        self.shared.streams += 1
        if self.decoder.too_large or head.wrong_expectation:
            exchange.request = self.request_of(method, target, head, b"")
            exchange.answer(plain_answer(431, "431 Request Header Fields Too Large") if self.decoder.too_large
                            else plain_answer(417, "417 Expectation Failed"))
        elif ends:
            exchange.request = self.request_of(method, target, head, b"")
            self.take_request(exchange)
        else:
            self.expect_body(exchange, method, target, head)

    cdef expect_body(self, Exchange exchange, str method, str target, Head head):
        cdef Body body = Body()
        exchange.body = body
        body.exchange = exchange
        body.head = head
        body.method = method
        body.target = target
        body.window = STREAM_WINDOW
        body.began = self.heard
        body.owes_continue = head.expects
        if head.length > self.service.max_body_bytes:
            body.refuse(self.service.too_large)
            return
        self.service.unfinished.note(body, head.size)
        if body.exchange is None:
            return
        if head.length > SHORT:
            body.expected = head.length
        if body.expected or body.owes_continue:
            body.go_on()

    cdef Head head_of(self, list fields, authority):
        """What the regular fields say, None if they are malformed; shared with requests that repeat them."""
        cdef Head head
        cdef Field field
        cdef Kind kind
        cdef tuple pair
        key = tuple(fields) if authority is None else (authority, *fields)
        known = self.heads.get(key)
        if known is not None:
            return <Head>known
        head = Head.__new__(Head)
        head.headers = {}
        head.all_headers = []
        head.length = -1
        if authority is not None:
            head.headers["host"] = (<Field>authority).pair[1]
            head.all_headers.append(("host", (<Field>authority).pair[1]))
            head.size = (<Field>authority).size
        for field in fields:
            kind = field.kind
            pair = field.pair
            head.size += field.size
            if kind >= MALFORMED:
                return None
            if kind == PLAIN:
                if pair[0] not in head.headers:
                    head.headers[pair[0]] = pair[1]
            elif kind == COOKIE:
                before = head.headers.get("cookie")
                head.headers["cookie"] = pair[1] if before is None else f"{before}; {pair[1]}"
                continue
            elif kind == LENGTH:
                text = pair[1]
                if not (text.isascii() and text.isdigit() and len(text) < 19):
                    return None
                if head.length >= 0 and head.length != int(text):
                    return None
                head.length = int(text)
                head.headers["content-length"] = text
            elif kind == EXPECT:
                head.headers["expect"] = pair[1]
                head.expects = pair[1].lower() == "100-continue"
                head.wrong_expectation = not head.expects
            elif kind == HOST:
                if authority is not None:
                    if pair[1].lower() != (<Field>authority).pair[1].lower():
                        return None
                    continue
                if "host" in head.headers:
                    return None
                head.headers["host"] = pair[1]
            head.all_headers.append(pair)
        if "cookie" in head.headers:
            head.all_headers.append(("cookie", head.headers["cookie"]))
        if head.length < 0 and head.size <= COMMON:
            if len(self.heads) >= MAX_HEADS:
                self.heads.clear()
            self.heads[key] = head
        return head

    cdef request_of(self, str method, str target, Head head, bytes body):
        return Request(method, target, head.headers, head.all_headers, body, self.peer, self.certificates)

    cdef take_request(self, Exchange exchange):
        """Answer a request now, or when it is its turn; of several in one read the first goes first."""
        self.completed += 1
        if self.held <= HELD and not self.waiting and (self.completed == 1 or self.service.may_go_on()):
            exchange.dispatch()
            return
        if self.waiting is None:
            self.waiting = {}
        self.waiting[exchange] = None
        if self.held <= HELD:
            self.service.line_up(self)

    cdef advance(self):
        """Answer requests that have waited, then parse what has come after them."""
        cdef Exchange exchange
        cdef bytes data
        while self.waiting and self.held <= HELD:
            if not self.service.may_go_on():
                self.service.line_up(self)
                break
            exchange = next(iter(self.waiting))
            del self.waiting[exchange]
            exchange.dispatch()
        if self.leaving != GONE and not self.lined_up and self.left is not None:
            data, self.left = self.left, None
            self.completed = 1
            self.parse(<const unsigned char*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
            self.note()
        self.shared.wake(self)
        self.regulate()

    # --- control frames

    cdef on_settings(self, int flags, const unsigned char* data, Py_ssize_t size):
        cdef Py_ssize_t at
        cdef int name
        cdef unsigned int value
        if flags & ACK:
            if size:
                self.fail(FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS")
            return
        if size % 6:
            self.fail(FRAME_SIZE_ERROR, "SETTINGS")
            return
        if size > 6 * MAX_SETTINGS:
            self.fail(ENHANCE_YOUR_CALM, "too many settings")
            return
        if self.settled:
            self.glitch()
        self.settled = True
        for at in range(0, size, 6):
            name = data[at] << 8 | data[at + 1]
            value = int_of(data + at + 2)
            if name == 1:
                self.resize = True
            elif name == 2 and value > 1 or name == 5 and not 16384 <= value <= 16777215:
                self.fail(PROTOCOL_ERROR, "SETTINGS")
            elif name == 4 and value > <unsigned int>MOST_WINDOW:
                self.fail(FLOW_CONTROL_ERROR, "SETTINGS")
            elif name == 4:
                self.shift_windows(<long long>value - self.first_window)
                self.first_window = <int>value
        self.put_frame(SETTINGS, ACK, 0, b"")

    cdef shift_windows(self, long long size):
        """Change the windows of all streams."""
        cdef Exchange exchange
        if size == 0:
            return
        for exchange in list(self.streams.values()):
            exchange.window += size
            if exchange.window > MOST_WINDOW:
                self.fail(FLOW_CONTROL_ERROR, "a window that is too large")
                return
            if size > 0:
                exchange.go_on()

    cdef on_window(self, int number, long long size):
        """The peer takes more, of one stream or of all together."""
        cdef Exchange exchange
        if size < MIN_UPDATE:
            self.glitch()
        if number:
            exchange = self.streams.get(number)
            if exchange is None:
                return
            if size == 0:
                exchange.reset(PROTOCOL_ERROR, ValueError("a window that does not grow"))
            elif exchange.window + size > MOST_WINDOW:
                exchange.reset(FLOW_CONTROL_ERROR, ValueError("a window that is too large"))
            else:
                exchange.window += size
                exchange.go_on()
        elif size == 0:
            self.fail(PROTOCOL_ERROR, "a window that does not grow")
        elif self.window + size > MOST_WINDOW:
            self.fail(FLOW_CONTROL_ERROR, "a window that is too large")
        else:
            self.window += size
            if self.blocked:
                self.unblock()

    cdef on_reset(self, int number, unsigned int code):
        """The peer has reset a stream."""
        cdef Exchange exchange = self.streams.get(number)
        self.spend(&self.resets, RESETS, RESETS_PER_SECOND)
        if exchange is not None:
            exchange.lost(peer_left())

    # --- writing

    cdef put(self, bytes data):
        """Queue frames until the turn of the loop ends, or the input has been parsed."""
        self.out.append(data)
        self.out_size += PyBytes_GET_SIZE(data)

    cdef put_frame(self, int kind, int flags, int number, bytes payload):
        self.put(frame_head(PyBytes_GET_SIZE(payload), kind, flags, number) + payload)

    cdef put_number(self, int kind, int number, long long value):
        """Queue a frame whose payload is a number."""
        self.put_frame(kind, 0, number, struct.pack(">I", value))

    cdef put_data(self, int number, data, Py_ssize_t size, bint ends):
        """Queue DATA frames of one body; those of an event share its bytes with other streams."""
        self.window -= size
        if size <= FRAME:
            self.put(frame_head(size, DATA, END_STREAM if ends else 0, number))
            if size:
                self.out.append(data)
                self.out_size += size
        else:
            self.put(data_frames(number, data, size))
        self.shared.wake(self)

    cdef reset_stream(self, int number, int code, bint forget):
        """Queue RST_STREAM; with `forget`, frames of the stream that still come are ignored."""
        self.put_number(RST_STREAM, number, code)
        if forget:
            if self.forgotten is None:
                self.forgotten = {}
            elif len(self.forgotten) >= MAX_FORGOTTEN:
                del self.forgotten[next(iter(self.forgotten))]
            self.forgotten[number] = None

    cdef bint take_resize(self):
        resize, self.resize = self.resize, False
        return resize

    cdef flush(self):
        """Write the queued frames in one write."""
        cdef list out = self.out
        if not self.out_size or self.paused or self.leaving == GONE:
            return
        self.out = []
        data = out[0] if len(out) == 1 else b"".join(out)
        self.service.turns.bytes_out += self.out_size
        self.out_size = 0
        try:
            self.transport.write(data)
        except RuntimeError:
            pass                      # uvloop: the peer has gone, connection_lost follows

    cdef go_on(self):
        """Write what is queued, then let streams go on that have waited; close if this was the end."""
        if self.leaving == GONE:
            return
        self.flush()
        if self.blocked and not self.paused and self.window > 0:
            self.unblock()
            self.flush()
        if self.waiting and self.held <= HELD and not self.lined_up:
            self.advance()
        if self.leaving == LEAVES and not self.streams and not self.paused:
            self.close()

    cdef unblock(self):
        """Let streams go on that have waited for the socket or for the connection's window, in turn."""
        cdef Exchange exchange
        cdef Py_ssize_t left = len(self.blocked)
        cdef Py_ssize_t most = self.out_size + BURST
        while left and self.blocked and not self.paused and self.window > 0:
            if self.out_size > most:
                self.shared.wake(self)
                return
            left -= 1
            exchange = next(iter(self.blocked))
            del self.blocked[exchange]
            exchange.go_on()

    cdef dropped(self, Exchange exchange):
        """A stream has ended."""
        exchange.ended = True
        self.streams.pop(exchange.id, None)
        self.blocked.pop(exchange, None)
        if self.waiting:
            self.waiting.pop(exchange, None)
        self.held -= exchange.counted
        exchange.counted = 0
        if not self.streams:
            self.since = now(self.service.clock)
            if self.service.on_change is not None or self.leaving != STAYS:
                self.shared.wake(self)

    # --- the end

    cdef bint is_idle(self):
        return not self.streams and self.block is None

    cdef drain(self):
        self.leave()
        if self.is_idle():
            self.leave_now()

    cdef leave(self):
        """Tell the peer to open no more streams here; those that are open end as they would."""
        if self.leaving == STAYS:
            self.leaving = ANNOUNCED
            self.put_frame(GOAWAY, 0, 0, struct.pack(">II", MOST_WINDOW, NO_ERROR))
            self.put_frame(PING, 0, 0, DRAIN)
            self.since = now(self.service.clock)
            self.shared.wake(self)

    cdef leave_now(self):
        """The peer knows that it should open no more streams: later ones are ignored."""
        if self.leaving == ANNOUNCED:
            self.leaving = LEAVES
            self.put_frame(GOAWAY, 0, 0, struct.pack(">II", self.last, NO_ERROR))
            self.shared.wake(self)

    cdef fail(self, int code, str text):
        """End the connection because of what the peer did."""
        if self.leaving == GONE:
            return
        name = ERRORS.get(code, "")
        self.shared.faults[name] = self.shared.faults.get(name, 0) + 1
        self.put_frame(GOAWAY, 0, 0, struct.pack(">II", self.last, code) + text.encode())
        self.close()

    cdef close(self):
        """Close the connection; what the transport holds is still sent."""
        cdef Exchange exchange
        if self.leaving == GONE:
            return
        self.flush()
        self.leaving = GONE
        self.service.connections.discard(self)
        self.service.leaving.add(self)
        self.end_input()
        for exchange in list(self.streams.values()):
            exchange.lost(ConnectionAbortedError("the connection was ended"))
        if self.paused:
            self.transport.abort()
        else:
            self.transport.close()
        if self.service.on_change is not None:
            self.service.on_change()

    cdef check(self, double at):
        cdef Service service = self.service
        if self.leaving == GONE:
            return
        if self.paused:
            if at - self.since > service.body_timeout:
                self.close()
        elif not self.settled or self.fragment is not None:
            if at - (self.fragment.began if self.fragment is not None else self.since) > service.header_timeout:
                self.fail(NO_ERROR, "a frame has not come whole")
        elif self.leaving == ANNOUNCED and at - self.since > LEAVE:
            self.leave_now()
        elif not self.streams:
            if at - self.since > service.idle_timeout:
                self.drain()
        elif at - self.heard > PING_AFTER + PING_TIMEOUT:
            self.close()
        elif at - self.heard > PING_AFTER and not self.pinged:
            self.pinged = True
            self.put_frame(PING, 0, 0, ALIVE)
            self.shared.wake(self)
        if self.streams and self.leaving != GONE:
            self.check_streams(at)

    cdef check_streams(self, double at):
        """End requests that do not come to their end, and answers that are not taken."""
        cdef Exchange exchange
        cdef Body body
        cdef double limit = self.service.body_timeout
        for exchange in list(self.streams.values()):
            if exchange.ended:
                continue
            if exchange.body is not None and not exchange.remote_closed:
                body = exchange.body
                if at - body.began > limit:
                    body.refuse(plain_answer(408, "408 Request Timeout"))
            elif exchange.stalled and exchange.pump.stream is None and at - exchange.since > limit:
                exchange.reset(CANCEL, TimeoutError("the client has not taken the answer"))


cdef inline unsigned int int_of(const unsigned char* data) noexcept:
    return <unsigned int>data[0] << 24 | data[1] << 16 | data[2] << 8 | data[3]


cdef bytes data_frames(int number, data, Py_ssize_t size):
    """DATA frames with `size` bytes, in one piece."""
    cdef Py_ssize_t count = (size + FRAME - 1) // FRAME, at = 0, part
    cdef bytes out = PyBytes_FromStringAndSize(NULL, size + 9 * count)
    cdef char* to = PyBytes_AS_STRING(out)
    cdef Py_buffer buffer
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    while at < size:
        part = min(FRAME, size - at)
        put_head(<unsigned char*>to, part, DATA, 0, number)
        memcpy(to + 9, <char*>buffer.buf + at, part)
        to += 9 + part
        at += part
    PyBuffer_Release(&buffer)
    return out


cdef bytes frame_head(Py_ssize_t size, int kind, int flags, int number):
    cdef unsigned char head[9]
    put_head(head, size, kind, flags, number)
    return PyBytes_FromStringAndSize(<char*>head, 9)


cdef bint is_method(str method):
    """Whether it is a token of the usual length."""
    cdef Py_UCS4 c
    if not method or len(method) > 32:
        return False
    for c in method:
        if not (c < 128 and (c.isalnum() or c in "!#$%&'*+-.^_`|~")):
            return False
    return True
