"""HTTP/2 for the server: one object per connection is the asyncio protocol, one per stream answers a request.

A request that the handler answers at once is parsed, answered and written inside the protocol's callback, as
with HTTP/1.1. Handler, body pump, budgets, time-outs and counters are those of the listener's service. What
all streams of a connection write in one turn of the loop goes out in one write. Frames, windows and heads are
`_http2core`'s, whose calls come in by `_http2/calls.pxi`; `_http2/body.pxi` receives bodies,
`_http2/exchange.pxi` answers, `_http2/sending.pxi` sends.
"""

import asyncio

from pilothouse.logs import Logger
from pilothouse.server.request import Http2Request, Response

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from pilothouse._clock cimport now
from pilothouse.server._answers cimport Endpoint, Service, peer_left, report, takes_gzip
from pilothouse.server._budgets cimport SHORT, Incoming
from pilothouse.server._continuation cimport Continuation
from pilothouse.server._hpack cimport (
    AUTHORITY, COOKIE, EXPECT, HOST, LENGTH, MALFORMED, METHOD, PATH, PLAIN, SCHEME, AnswerHeads, Decoder,
    Field, Kind, Scratch,
)
from pilothouse.server._http2core cimport (
    ANNOUNCED, CANCEL, COMPRESSION_ERROR, END_HEADERS, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FLUSH,
    FRAME_SIZE_ERROR, GONE, HEADERS, INTERNAL_ERROR, LEAVES, MIN_UPDATE, NO_ERROR, PING, PROTOCOL_ERROR,
    STAYS, STREAM_CLOSED, STREAM_WINDOW, Core, Stream,
)
from pilothouse.server._pump cimport Pump, Readable, Reader
from pilothouse.server._pump cimport Stream as PumpStream
from pilothouse.server._turns cimport begin, end

cdef object log = Logger("pilothouse.server.http2", "_http2.pyx")

cdef dict ERRORS = {
    NO_ERROR: "NO_ERROR", PROTOCOL_ERROR: "PROTOCOL_ERROR", INTERNAL_ERROR: "INTERNAL_ERROR",
    FLOW_CONTROL_ERROR: "FLOW_CONTROL_ERROR", STREAM_CLOSED: "STREAM_CLOSED",
    FRAME_SIZE_ERROR: "FRAME_SIZE_ERROR",
    COMPRESSION_ERROR: "COMPRESSION_ERROR", ENHANCE_YOUR_CALM: "ENHANCE_YOUR_CALM",
}

cdef bytes ALIVE = b"alive?\0\0"      # the PING to a peer that is silent

cdef object NOBODY = asyncio.BufferedProtocol()   # the protocol of connections that have ended
cdef Py_ssize_t READ = 128 * 1024     # bytes of input that are taken at a time
cdef Py_ssize_t SMALL = 64 * 1024     # bytes; a body up to this size is written together with its head
cdef Py_ssize_t BURST = 512 * 1024    # bytes written by streams that go on in one turn of the loop
cdef Py_ssize_t HELD = 4 * 1024 * 1024  # bytes of waiting answers above which no other request is answered
cdef int MAX_HEADS = 8                # heads that are kept for the next requests
cdef Py_ssize_t COMMON = 4096         # bytes; a longer head is not kept
cdef double PING_AFTER = 30.0         # seconds of silence after which a peer with open streams is asked,
cdef double PING_TIMEOUT = 15.0       # and further ones after which it is gone
cdef double LEAVE = 1.0               # seconds for a peer to learn that it should open no more streams
cdef int MANY = 200                   # connections that are flushed in one turn of the loop
cdef int SEND_UNITS = 2000            # of a turn, for a stream that goes on

include "_http2/output.pxi"
include "_http2/requests.pxi"
include "_http2/sending.pxi"
include "_http2/exchange.pxi"
include "_http2/body.pxi"
include "_http2/calls.pxi"


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
            count += len(connection.core.streams)
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


cdef class Connection(Requests):
    """One connection: asyncio's protocol, and the requests that its streams share."""

    def __init__(self, Shared shared):
        cdef Calls core = Calls.__new__(Calls)
        self.shared = shared
        self.service = shared.service
        self.core = core
        core.connection = <void*>self
        core.turn = &self.turn
        core.clock = shared.service.clock
        core.decoder = Decoder(shared.scratch)
        self.blocked = {}
        self.heads = {}

    # --- asyncio.Protocol

    def connection_made(self, transport):
        cdef Service service = self.service
        self.accepted(transport)
        self.shared.connections.add(self)
        self.since = self.heard = now(service.clock)
        self.core.begin(self.shared.max_streams, service.max_header_bytes)
        self.shared.wake(self)        # the transport may not be ready to write within this call

    def connection_lost(self, exc):
        cdef Exchange exchange
        cdef Service service = self.service
        service.connections.discard(self)
        service.leaving.discard(self)
        self.shared.connections.discard(self)
        self.core.leaving = GONE
        if self.unauthenticated is not None:
            self.unauthenticated.leave()
        if self.secure:
            self.transport.set_protocol(NOBODY)   # uvloop's TLS keeps methods of this otherwise: a cycle
            self.end_tls()
        self.end_input()
        for exchange in list(self.core.streams.values()):
            exchange.lost(exc or peer_left())
        self.core.take()
        if service.on_change is not None:
            service.on_change()

    def eof_received(self):
        return False

    # uvloop reads into the buffer of a protocol that has these two methods, which saves it one for each read
    def get_buffer(self, size):
        return self.shared.view

    def buffer_updated(self, Py_ssize_t size):
        self.receive(<const unsigned char*>PyByteArray_AS_STRING(self.shared.room), size)

    def data_received(self, bytes data not None):
        self.receive(<const unsigned char*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef receive(self, const unsigned char* data, Py_ssize_t size):
        self.service.bytes_in += size
        if size > self.largest:
            self.grow(size)
        if self.core.leaving == GONE:
            return
        begin(self.service.line, &self.turn)
        self.heard = now(self.service.clock)
        self.pinged = False
        self.completed = 0
        self.core.feed(data, size)
        self.note()
        if self.blocked:
            self.unblock()
        if self.core.out_size:
            self.flush()
        self.regulate()
        end(self.service.line, &self.turn)

    cdef note(self):
        """Count what has come of a frame or of a header block."""
        cdef Py_ssize_t size = self.core.unfinished()
        if size and self.core.leaving != GONE:
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
        self.core.end_input()
        self.waiting = None
        self.note()

    cdef advance(self):
        """Answer requests that have waited, then parse what has come after them."""
        cdef Exchange exchange
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
        if not self.turn.waits and self.core.has_input():
            self.completed = 1
            self.core.go_on()
            self.note()
            if self.blocked:
                self.unblock()
        self.shared.wake(self)
        self.regulate()
