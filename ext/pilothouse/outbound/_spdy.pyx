"""Reads the frames of a SPDY/3.1 connection without I/O, some at a time.

Data is passed on as it arrives, that of small frames in a row together. Header blocks are passed over: those
who open streams here read none, so that nothing is decompressed for a peer (SPDY Protocol - Draft 3.1; Go's
moby/spdystream).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cpdef enum Kind:
    DATA = 0
    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    HEADERS = 8
    WINDOW_UPDATE = 9

cdef enum:                            # what reading costs, in units of a turn (see _turns.pxd):
    FRAME_COST = 40                   # a frame that is no event of its own,
    EVENT_COST = 4000                 # an event, with what its receiver does with it,
    BYTES_COST = 2                    # and these many bytes

cdef enum:
    VERSION = 3
    FIN = 1
    LONGEST_CONTROL = 65536           # bytes of the longest control frame that is read
    SMALL = 1024                      # bytes; data of frames up to this size is gathered,
    GATHERED = 65536                  # this many at most in an event
    LONGEST_HEAD = 16                 # a head, and the first two words of a control frame

include "pilothouse/server/_frame_input.pxi"

cdef int LEAST[10]                    # bytes of a control frame before its header block, -1: no meaning here
LEAST[:] = [-1, 10, 4, 8, -1, -1, 4, 8, 4, -1]


class SpdyError(Exception):
    """The peer has broken the protocol, or a limit; the connection cannot go on."""


cdef inline unsigned int word(const unsigned char* at) noexcept:
    return <unsigned int>at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]


cdef class Reader(FrameInput):
    """Reads the frames of one peer.

    empty: how many frames without data have come: control frames, and data frames that are empty. A receiver
    has no use for many of them. spent: what the last `read` has cost, in units of a turn. error: what the
    peer has done wrong, "" before.
    """

    cdef bint inside                  # the head is complete: the rest of the frame is being read
    cdef bint control                 # the rest is passed over
    cdef unsigned int stream
    cdef Py_ssize_t left              # bytes of the frame that have not come
    cdef bint fin
    cdef unsigned int gathering       # the stream whose data is in `gathered`
    cdef unsigned char* gathered
    cdef Py_ssize_t size              # bytes in `gathered`
    cdef Py_ssize_t told              # events that are counted in `spent`
    cdef readonly long long empty, spent
    cdef readonly str error

    def __cinit__(self):
        self.error = ""

    def __dealloc__(self):
        free(self.gathered)

    @property
    def pending(self):
        """Whether there are bytes that were fed and not read."""
        return self.at < self.end and not self.error

    def read(self, long long units):
        """The next events, `(kind, stream, fin, data, value)`, until these units are spent.

        DATA comes as its bytes do, `fin` with the last ones. value: the status of a RST_STREAM, the number of
        a PING. SYN_REPLY and HEADERS are events only if they end their stream; SETTINGS, WINDOW_UPDATE and
        what nobody knows are none. When the peer breaks the protocol, the events before are returned, `error`
        is set and nothing more is read.
        """
        cdef list out = []
        cdef Py_ssize_t at = self.at
        self.spent = 0
        while self.spent < units and not self.error:
            if not self.inside and not self.begin(out):
                break
            if self.control:
                self.skip()
            elif not self.content(out):
                break
            self.spent += FRAME_COST + EVENT_COST * (len(out) - self.told) + (self.at - at) // BYTES_COST
            self.told = len(out)
            at = self.at
            if self.left:
                break
            self.inside = False
        self.tell(out)
        self.spent += EVENT_COST * (len(out) - self.told)
        self.told = 0
        free(self.gathered)
        self.gathered = NULL
        if self.at == self.end or self.error:
            self.drop()
        return out

    cdef bint begin(self, list out) except -1:
        """Read the head of a frame, and what is needed of a control frame; False when it is not complete, or
        wrong."""
        cdef unsigned int first
        cdef int needed = 8
        cdef int kind = 0
        while True:
            if not self.fill(needed):
                return False
            if needed > 8:
                break
            first = word(self.head)
            self.left = word(&self.head[4]) & 0xFFFFFF
            self.control = first >> 31
            if not self.control:
                break
            kind = first & 0xFFFF
            if not self.fits(first >> 16 & 0x7FFF, kind):
                return False
            needed = 8 + (8 if kind == RST_STREAM else 4)
            if kind > HEADERS or LEAST[kind] < 0:
                break
        self.inside, self.have = True, 0
        self.fin = self.head[4] & FIN
        if self.control or self.left == 0:
            self.empty += 1
        if self.control:
            if needed > 8 and kind <= HEADERS and LEAST[kind] >= 0:
                self.left -= needed - 8
                self.tell_control(kind, out)
            return not self.error
        self.stream = first
        if not first:
            self.error = "stream id zero is disallowed"
        return not self.error

    cdef bint fits(self, int version, int kind) except -1:
        """Whether a control frame may come."""
        if version != VERSION:
            self.error = "unsupported version"
        elif self.left > LONGEST_CONTROL:
            self.error = "frame too large"
        elif kind <= HEADERS and self.left < LEAST[kind]:
            self.error = "invalid control frame"
        return not self.error

    cdef tell_control(self, int kind, list out):
        """The event of a control frame, if it is one; its stream is in the head."""
        cdef unsigned int first = word(&self.head[8])
        if kind == GOAWAY:
            first = 0
        if kind == PING:
            self.tell(out)
            out.append((kind, 0, False, NOTHING, first))
            return
        first &= 0x7FFFFFFF
        if not first and kind != GOAWAY:
            self.error = "stream id zero is disallowed"
        elif kind == RST_STREAM:
            self.tell(out)
            out.append((kind, first, False, NOTHING, word(&self.head[12])))
        elif kind == SYN_STREAM or kind == GOAWAY or self.fin:
            self.tell(out)
            out.append((kind, first, kind != GOAWAY and self.fin, NOTHING, 0))

    cdef skip(self):
        """Pass over the rest of a control frame, as far as it is there."""
        cdef Py_ssize_t size = min(self.left, self.end - self.at)
        self.at += size
        self.left -= size

    cdef bint content(self, list out) except -1:
        """Read as much of the data as is there; False when there is none."""
        cdef Py_ssize_t size = min(self.left, self.end - self.at)
        cdef bint fin
        if self.left and not size:
            return False
        self.left -= size
        fin = self.fin and not self.left
        if size and size <= SMALL and not fin:
            self.gather(out, size)
        elif size or fin:
            self.tell(out)
            out.append((DATA, self.stream, fin, self.data[self.at:self.at + size] if size else NOTHING, 0))
        self.at += size
        return True

    cdef gather(self, list out, Py_ssize_t size):
        """Keep a little data for one event with what follows it on the same stream."""
        if self.size and (self.gathering != self.stream or self.size + size > GATHERED):
            self.tell(out)
        if self.gathered == NULL:
            self.gathered = <unsigned char*>malloc(min(GATHERED, self.end - self.at))
            if self.gathered == NULL:
                raise MemoryError
        self.gathering = self.stream
        memcpy(self.gathered + self.size, PyBytes_AS_STRING(self.data) + self.at, size)
        self.size += size

    cdef tell(self, list out):
        """The event of what was gathered."""
        if self.size:
            data = PyBytes_FromStringAndSize(<char*>self.gathered, self.size)
            out.append((DATA, self.gathering, False, data, 0))
            self.size = 0
