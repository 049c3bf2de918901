"""One side of HTTP/2 (RFC 9113) without transport, loop and time-outs: bytes in, calls and frames out.

A server or a client derives from `Core` and implements the calls of `Frames`. It hands input to `feed`, and
writes what `take` returns. What a peer may cost is limited here: sizes, glitches, resets, and units of work
by the owner's turn. `Session` is a core for Python, which notes the calls as events.
"""

import struct

from pilothouse.server._hpack import CompressionError

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memcmp, memcpy

from pilothouse._clock cimport now
from pilothouse.server._hpack cimport AnswerHeads, Decoder, Field, Scratch, put_head
from pilothouse.server._pump cimport Reader, Sink
from pilothouse.server._turns cimport Turn

cdef bytes PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
cdef bytes DRAIN = b"draining"        # the PING after the word that no more streams are wanted

cdef Py_ssize_t FRAME = 16384         # bytes of a frame: what every peer takes, and the most taken here
cdef Py_ssize_t LONGEST = 256 * 1024  # bytes of the longest frame that is sent
cdef long long MOST_WINDOW = 0x7FFFFFFF
cdef long long FIRST_WINDOW = 65535   # bytes of a window before the settings
cdef Py_ssize_t WRITE = 256 * 1024    # bytes of one write of a long body, in frames: whole records of TLS
cdef int MAX_FIELDS = 4096            # of a head, as with HTTP/1.1
cdef int MAX_SETTINGS = 64            # entries of one SETTINGS frame
cdef int MAX_FORGOTTEN = 1024         # streams that were reset here and may still get frames
cdef int MIN_DATA = 64                # bytes; a smaller part of a body is a glitch, unless it is the last
cdef double RESETS = 1000, RESETS_PER_SECOND = 33         # streams that end by a reset
cdef double GLITCHES = 10_000, GLITCHES_PER_SECOND = 330  # frames that change nothing
cdef int STREAMS = 64                 # streams whose windows SETTINGS may change for the price of a glitch

# Units of a turn, besides those of `_hpack`.
cdef int FRAME_UNITS = 150            # any frame
cdef int SETTING_UNITS = 3
cdef int STREAM_UNITS = 10            # a stream whose window changes
cdef int REQUEST_UNITS = 2000         # one that is opened
cdef int RESET_UNITS = 2000           # one that ends early
cdef int DATA_SHIFT = 2               # a byte of a body is a quarter of a unit

include "_http2core_frames.pxi"
include "_http2core_windows.pxi"
include "_http2core_blocks.pxi"


cdef class Core(Blocks):
    """One side of a connection: what it receives."""

    def __cinit__(self):
        self.streams = {}
        self.out = []
        self.window = self.first_window = FIRST_WINDOW
        self.frame_size = FRAME
        self.resize = True
        self.resets.left = RESETS
        self.glitches.left = GLITCHES

    cdef feed(self, const unsigned char* data, Py_ssize_t size):
        """Take input; what the turn has no room for is kept."""
        cdef bytes joined
        cdef Py_ssize_t at
        if self.left is None:
            at = self.parse(data, size)
            if at < size and self.leaving != GONE:
                self.left = data[at:size]
                self.left_at = 0
        else:
            joined, self.left = self.left[self.left_at:] + data[:size], None
            self.turn.left -= PyBytes_GET_SIZE(joined) >> DATA_SHIFT
            self.take_input(joined, 0)

    cdef bint has_input(self):
        """Whether there is input that was not parsed, or is a part of a frame."""
        return self.leaving != GONE and (self.left is not None or self.decoding)

    cdef go_on(self):
        """Go on with the input that was kept."""
        data, self.left = (b"" if self.left is None else self.left), None
        self.take_input(data, self.left_at if data else 0)

    cdef take_input(self, bytes data, Py_ssize_t at):
        """Parse `data` from `at` on, and keep what is left of it."""
        at += self.parse(<const unsigned char*>PyBytes_AS_STRING(data) + at, PyBytes_GET_SIZE(data) - at)
        if at < PyBytes_GET_SIZE(data) and self.leaving != GONE:
            self.left, self.left_at = data, at
            if not self.turn.waits and not self.halted:
                self.left, self.left_at = data[at:], 0     # a part of a frame

    cdef Py_ssize_t unfinished(self):
        """Bytes that are kept of a frame or of a header block."""
        cdef Py_ssize_t size = 0
        if self.left is not None:
            size = PyBytes_GET_SIZE(self.left)
        if self.block is not None:
            size += PyByteArray_GET_SIZE(self.block)
        return size

    cdef end_input(self):
        """Drop what has come and was not passed on."""
        self.left = self.block = self.data_of = None

    # --- frames

    cdef Py_ssize_t parse(self, const unsigned char* p, Py_ssize_t length) except -1:
        """Parse frames until the turn is used up, or the owner has to wait; returns the bytes taken."""
        cdef Py_ssize_t at = 0, size, pad
        cdef int kind, flags, number
        if self.decoding:
            self.decode()
        while at < length and self.leaving != GONE and not self.turn.waits:
            if self.turn.left <= 0:
                self.on_tired()
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
                self.on_stream_reset(number, int_of(data))
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
                self.glitch(1)
                self.on_goaway(int_of(data) & 0x7FFFFFFF, int_of(data + 4))
        elif kind == PUSH_PROMISE:
            self.fail(PROTOCOL_ERROR, "PUSH_PROMISE")
        else:
            self.glitch(1)            # an unknown frame is ignored

    # --- DATA

    cdef begin_data(self, int flags, int number, Py_ssize_t size, Py_ssize_t pad):
        """The head of a DATA frame: account for its length in the windows, and find its stream."""
        cdef Stream stream = self.streams.get(number)
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
        if stream is not None and not stream.remote_closed:
            stream.open_window -= size
            if stream.open_window < 0:
                self.on_broken(stream, FLOW_CONTROL_ERROR, "more than the stream's window")
            else:
                stream.taken += pad
                self.data_of = stream
        elif stream is not None:
            self.on_broken(stream, STREAM_CLOSED, "DATA after the end of the stream")
        elif self.forgotten is None or number not in self.forgotten:
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
        cdef Stream stream = self.data_of
        self.data_left -= size
        self.turn.left -= size >> DATA_SHIFT
        if useful > 0 and stream is not None and not stream.ended:
            stream.taken += useful
            self.on_data(stream, data, useful)
        if not self.data_left:
            self.end_data()

    cdef end_data(self):
        """A DATA frame has come whole."""
        cdef Stream stream = self.data_of
        self.data_of = None
        if self.taken >= STREAM_WINDOW:
            self.put_number(WINDOW_UPDATE, 0, self.taken)
            self.open_window += self.taken
            self.taken = 0
        if stream is not None and self.data_ends and not stream.ended:
            stream.remote_closed = True
            self.on_end(stream)


include "_http2core_session.pxi"
