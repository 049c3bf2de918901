"""HTTP/2 (RFC 9113): one object per connection is the asyncio protocol, one per stream answers a request.

A request that the handler answers at once is parsed, answered and written inside the protocol's callback, as
with HTTP/1.1. Handler, body pump, budgets, time-outs and counters are those of the listener's service. What
all streams of a connection write in one turn of the loop goes out in one write. Frames are parsed here, heads
by `_hpack`; `_http2_body.pxi` receives bodies, `_http2_exchange.pxi` answers.
"""

import asyncio
import struct

from pilothouse._hpack import CompressionError
from pilothouse.logs import Logger
from pilothouse.server.request import Http2Request, Response

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memcmp, memcpy

from pilothouse._answers cimport Endpoint, Service, peer_left, report, takes_gzip
from pilothouse._budgets cimport SHORT, Incoming
from pilothouse._clock cimport now
from pilothouse._hpack cimport (
    AUTHORITY, COOKIE, EXPECT, HOST, LENGTH, MALFORMED, METHOD, PATH, PLAIN, SCHEME, AnswerHeads, Decoder,
    Field, Kind, Scratch, put_head,
)
from pilothouse._pump cimport Pump, Readable, Reader, Sink
from pilothouse._pump cimport Stream as PumpStream
from pilothouse._turns cimport begin, end

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
    FLOW_CONTROL_ERROR: "FLOW_CONTROL_ERROR", STREAM_CLOSED: "STREAM_CLOSED",
    FRAME_SIZE_ERROR: "FRAME_SIZE_ERROR",
    COMPRESSION_ERROR: "COMPRESSION_ERROR", ENHANCE_YOUR_CALM: "ENHANCE_YOUR_CALM",
}

cdef bytes PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
cdef bytes DRAIN = b"draining"        # the PING after the word that no more streams are wanted
cdef bytes ALIVE = b"alive?\0\0"      # the PING to a peer that is silent

cdef Py_ssize_t FRAME = 16384         # bytes of a frame: what every peer takes, and the most taken here
cdef Py_ssize_t LONGEST = 256 * 1024  # bytes of the longest frame that is sent
cdef object NOBODY = asyncio.BufferedProtocol()   # the protocol of connections that have ended
cdef long long MOST_WINDOW = 0x7FFFFFFF
cdef long long FIRST_WINDOW = 65535   # bytes of a window before the settings
cdef Py_ssize_t STREAM_WINDOW = 256 * 1024   # bytes of a request's body that may come unasked, as upstream
cdef Py_ssize_t READ = 128 * 1024     # bytes of input that are taken at a time
cdef Py_ssize_t SMALL = 64 * 1024     # bytes; a body up to this size is written together with its head
cdef Py_ssize_t WRITE = 256 * 1024    # bytes of one write of a long body, in frames: whole records of TLS
cdef Py_ssize_t FLUSH = 96 * 1024     # bytes of frames that are written before the turn of the loop ends
cdef Py_ssize_t BURST = 512 * 1024    # bytes written by streams that go on in one turn of the loop
cdef Py_ssize_t HELD = 4 * 1024 * 1024  # bytes of waiting answers above which no other request is answered
cdef int MAX_FIELDS = 4096            # of a request's head, as with HTTP/1.1
cdef int MAX_SETTINGS = 64            # entries of one SETTINGS frame
cdef int MAX_FORGOTTEN = 1024         # streams that were reset here and may still get frames
cdef int MAX_HEADS = 8                # heads that are kept for the next requests
cdef Py_ssize_t COMMON = 4096         # bytes; a longer head is not kept
cdef int MIN_UPDATE = 64              # bytes; a window that grows by less is counted as a glitch,
cdef int MIN_DATA = 64                # as is a part of a body that is smaller and not the last one
cdef double RESETS = 1000, RESETS_PER_SECOND = 33         # streams that end by a reset
cdef double GLITCHES = 10_000, GLITCHES_PER_SECOND = 330  # frames that change nothing
cdef double PING_AFTER = 30.0         # seconds of silence after which a peer with open streams is asked,
cdef double PING_TIMEOUT = 15.0       # and further ones after which it is gone
cdef double LEAVE = 1.0               # seconds for a peer to learn that it should open no more streams
cdef int STREAMS = 64                 # streams whose windows SETTINGS may change for the price of a glitch
cdef int MANY = 200                   # connections that are flushed in one turn of the loop

# Units of a turn, besides those of `_hpack`.
cdef int FRAME_UNITS = 150            # any frame
cdef int SETTING_UNITS = 3
cdef int STREAM_UNITS = 10            # a stream whose window changes
cdef int SEND_UNITS = 2000            # one that goes on
cdef int REQUEST_UNITS = 2000         # one that is opened
cdef int RESET_UNITS = 2000           # one that ends early
cdef int DATA_SHIFT = 2               # a byte of a body is a quarter of a unit

include "_http2_output.pxi"
include "_http2_requests.pxi"
include "_http2_control.pxi"
include "_http2_blocks.pxi"
include "_http2_exchange.pxi"
include "_http2_body.pxi"


cdef class Shared:
    """The state that the HTTP/2 connections of one listener share."""

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
        cdef Output connection
        cdef Py_ssize_t count = 0
        for connection in self.connections:
            count += len(connection.streams)
        return count

    cdef wake(self, Output connection):
        """Flush a connection at the end of this turn of the loop."""
        if not connection.dirty:
            connection.dirty = True
            if not self.dirty:
                self.service.loop.call_soon(self.flush)
            self.dirty.append(connection)

    def flush(self):
        """Write what the streams of connections have produced, each connection in one write."""
        cdef Output connection
        dirty, self.dirty = self.dirty[:MANY], self.dirty[MANY:]
        if self.dirty:
            self.service.loop.call_soon(self.flush)
        for connection in dirty:
            connection.dirty = False
            connection.go_on()


cdef class Connection(Blocks):
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
        self.frame_size = FRAME
        self.resize = True
        self.resets.left = RESETS
        self.glitches.left = GLITCHES

    # --- asyncio.Protocol

    def connection_made(self, transport):
        cdef Service service = self.service
        cdef int streams = self.shared.max_streams
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self.peer = tuple(peer[:2]) if isinstance(peer, tuple) else ("", 0)
        ssl_object = transport.get_extra_info("ssl_object")
        if ssl_object is not None:
            self.certificates = self.begin_tls(ssl_object)
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
        if self.secure:
            self.transport.set_protocol(NOBODY)   # uvloop's TLS keeps methods of this otherwise: a cycle
            self.end_tls()
        self.end_input()
        for exchange in list(self.streams.values()):
            exchange.lost(exc or peer_left())
        self.out = []
        self.out_size = 0
        if service.on_change is not None:
            service.on_change()

    def eof_received(self):
        return False

    def get_buffer(self, size):
        return self.shared.view

    def buffer_updated(self, Py_ssize_t size):
        self.receive(<const unsigned char*>PyByteArray_AS_STRING(self.shared.room), size)

    def data_received(self, bytes data not None):
        self.receive(<const unsigned char*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef receive(self, const unsigned char* data, Py_ssize_t size):
        cdef bytes joined
        cdef Py_ssize_t at
        self.service.bytes_in += size
        if size > self.largest:
            self.grow(size)
        if self.leaving == GONE:
            return
        begin(self.service.line, &self.turn)
        self.heard = now(self.service.clock)
        self.pinged = False
        self.completed = 0
        if self.left is None:
            at = self.parse(data, size)
            if at < size and self.leaving != GONE:
                self.left = data[at:size]
                self.left_at = 0
        else:
            joined, self.left = self.left[self.left_at:] + data[:size], None
            self.turn.left -= PyBytes_GET_SIZE(joined) >> DATA_SHIFT
            self.take_input(joined, 0)
        self.note()
        if self.blocked:
            self.unblock()
        if self.out_size:
            self.flush()
        self.regulate()
        end(self.service.line, &self.turn)

    cdef take_input(self, bytes data, Py_ssize_t at):
        """Parse `data` from `at` on, and keep what is left of it."""
        at += self.parse(<const unsigned char*>PyBytes_AS_STRING(data) + at, PyBytes_GET_SIZE(data) - at)
        if at < PyBytes_GET_SIZE(data) and self.leaving != GONE:
            self.left, self.left_at = data, at
            if not self.turn.waits and not self.halted:
                self.left, self.left_at = data[at:], 0     # a part of a frame

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
            self.service.unfinished.note(self.fragment, self.with_buffers(size))
        elif self.fragment is not None:
            fragment, self.fragment = self.fragment, None
            self.service.unfinished.note(fragment, 0)

    cdef end_input(self):
        """Drop what has come and is not answered."""
        self.left = self.block = self.data_of = None
        self.waiting = None
        self.note()

    # --- frames

    cdef Py_ssize_t parse(self, const unsigned char* p, Py_ssize_t length) except -1:
        """Parse frames until the turn is used up, or a request has to wait; returns the bytes taken."""
        cdef Py_ssize_t at = 0, size, pad
        cdef int kind, flags, number
        if self.decoding:
            self.decode()
        while at < length and self.leaving != GONE and not self.turn.waits:
            if self.turn.left <= 0:
                self.line_up()
                break
            if self.paused and self.out_size >= FLUSH:
                self.halted = True
                break
            self.turn.left -= FRAME_UNITS
            if self.data_left:
                size = min(self.data_left, length - at)
                self.take_data(p + at, size)
                at += size
                continue
            if not self.greeted:
                size = min(24, length - at)
                if memcmp(p + at, PyBytes_AS_STRING(PREFACE), size) != 0:
                    self.fail(PROTOCOL_ERROR, "no preface")
                    break
                if size < 24:
                    break
                self.greeted = True
                at += 24
                continue
            if length - at < 9:
                break
            size = p[at] << 16 | p[at + 1] << 8 | p[at + 2]
            kind = p[at + 3]
            flags = p[at + 4]
            number = (p[at + 5] & 0x7F) << 24 | p[at + 6] << 16 | p[at + 7] << 8 | p[at + 8]
            if size > FRAME:
                self.fail(FRAME_SIZE_ERROR, "a frame is too long")
                break
            if self.block is not None and (kind != CONTINUATION or number != self.block_stream):
                self.fail(PROTOCOL_ERROR, "a frame within a header block")
                break
            if kind == DATA:
                pad = 0
                if flags & PADDED:
                    if length - at < 10 and size:
                        break
                    pad = 1 + (p[at + 9] if size else 0)
                self.begin_data(flags, number, size, pad)
                at += 10 if pad else 9
            elif length - at < 9 + size:
                break
            else:
                self.on_frame(kind, flags, number, p + at + 9, size)
                at += 9 + size
        return at

    cdef on_frame(self, int kind, int flags, int number, const unsigned char* data, Py_ssize_t size):
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
                self.glitch(1)
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
                self.glitch(1)
        elif kind == GOAWAY:
            if number:
                self.fail(PROTOCOL_ERROR, "GOAWAY of a stream")
            elif size < 8:
                self.fail(FRAME_SIZE_ERROR, "GOAWAY")
            else:
                self.glitch(1)        # nothing is pushed here, and the peer closes when it wants to
        elif kind == PUSH_PROMISE:
            self.fail(PROTOCOL_ERROR, "PUSH_PROMISE of a client")
        else:
            self.glitch(1)            # an unknown frame is ignored

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
        if size - pad < MIN_DATA and not flags & END_STREAM:
            self.glitch(1)
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
        self.turn.left -= size >> DATA_SHIFT
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

    cdef advance(self):
        """Answer requests that have waited, then parse what has come after them."""
        cdef Exchange exchange
        cdef bytes data
        self.flush()
        if self.blocked:
            self.unblock()
        while self.waiting and self.held <= HELD:
            if not self.service.line.may_answer():
                self.line_up()
                break
            exchange = next(iter(self.waiting))
            del self.waiting[exchange]
            exchange.dispatch()
        if self.leaving != GONE and not self.turn.waits and (self.left is not None or self.decoding):
            data, self.left = (b"" if self.left is None else self.left), None
            self.completed = 1
            self.take_input(data, self.left_at if data else 0)
            self.note()
            if self.blocked:
                self.unblock()
        self.shared.wake(self)
        self.regulate()
