"""WebSocket frames (RFC 6455) without I/O: reads those of a client, some at a time, and writes those of a
server.

A frame is passed on as its bytes arrive, so that no message needs memory for more than one read brings,
however long it is. A caller says how much work it wants done, and reads on later from there.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

cpdef enum Opcode:
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10

cdef enum:                            # what reading costs, in units of a turn (see _turns.pxd):
    FRAME_COST = 60                   # a frame that is no event,
    EVENT_COST = 3000                 # an event, with what its receiver does with it,
    BYTES_COST = 2                    # and these many bytes

cdef enum:
    LONGEST_CONTROL = 125             # bytes in a control frame (5.5)
    LONGEST_HEAD = 14
    PROTOCOL_ERROR = 1002             # codes of a close frame (7.4.1)
    INVALID_DATA = 1007

include "_frame_input.pxi"


cdef class Reader(FrameInput):
    """Reads the frames of one client.

    empty: how many frames without data have come: control frames, and empty ones of messages. A receiver has
    no use for many of them. spent: what the last `read` has cost, in units of a turn. error: the code to
    close with once the peer has broken the protocol, 0 before.
    """

    cdef bint inside                  # the head is complete: its payload is being read
    cdef int opcode                   # of the frame
    cdef int message                  # opcode of the message that is being read, 0 between messages
    cdef bint final
    cdef unsigned long long left      # bytes of the payload that have not come
    cdef unsigned char mask[4]
    cdef bytes control                # the payload of a control frame, as far as it has come
    cdef bint closed                  # a close frame has come: nothing counts after it
    cdef int missing                  # bytes that the character at the end of a text still needs
    cdef unsigned char lowest, highest  # between which its next byte lies
    cdef readonly long long empty, spent
    cdef readonly int error

    def __cinit__(self):
        self.control = NOTHING

    @property
    def pending(self):
        """Whether there are bytes that were fed and not read."""
        return self.at < self.end and not (self.closed or self.error)

    def read(self, long long units):
        """The next events, `(opcode, data, finished)`, until these units are spent.

        BINARY and TEXT are parts of messages, `finished` the last one; an empty part is told only if it is
        that. PING and CLOSE come whole; CLOSE is the last event. A PONG is none. When the peer breaks the
        protocol, the events before are returned, `error` is set and nothing more is read.
        """
        cdef list out = []
        cdef Py_ssize_t at
        self.spent = 0
        while self.spent < units and not (self.closed or self.error):
            if not self.inside:
                if not self.begin():
                    break
                self.spent += FRAME_COST
            if self.left and self.at == self.end:
                break
            at = self.at
            if self.payload(out):
                self.spent += EVENT_COST
            self.spent += (self.at - at) // BYTES_COST
        if self.at == self.end or self.closed or self.error:
            self.drop()
        return out

    cdef bint begin(self) except -1:
        """Read the head of a frame (5.2); False when it is not complete, or wrong, which is seen as soon as
        can be."""
        cdef int size
        if not self.fill(2):
            return False
        if not self.fits():
            self.error = PROTOCOL_ERROR
            return False
        self.left = self.head[1] & 0x7F
        size = 4 if self.left == 126 else 10 if self.left == 127 else 2
        if size > 2:
            if not self.fill(size):
                return False
            if not self.long_enough(size):
                self.error = PROTOCOL_ERROR
                return False
        if not self.fill(size + 4):
            return False
        memcpy(self.mask, &self.head[size], 4)
        self.have = 0
        self.inside = True
        self.final = self.head[0] & 0x80 != 0
        self.opcode = self.head[0] & 15
        if self.opcode >= CLOSE or self.left == 0:
            self.empty += 1
        if self.opcode == TEXT or self.opcode == BINARY:
            self.message = self.opcode
        return True

    cdef bint long_enough(self, int size) noexcept:
        """Read a length of two or eight bytes, which must not be shorter than that needs, nor of 64 bits."""
        cdef int i
        self.left = 0
        for i in range(2, size):
            self.left = self.left << 8 | self.head[i]
        return not self.left >> 63 and self.left >= (126 if size == 4 else 1 << 16)

    cdef bint fits(self) noexcept:
        """Whether the first two bytes of a head may come here."""
        cdef int opcode = self.head[0] & 15
        if self.head[0] & 0x70 or not self.head[1] & 0x80:
            return False
        if opcode >= CLOSE:
            return opcode <= PONG and self.head[0] & 0x80 and self.head[1] & 0x7F <= LONGEST_CONTROL
        if opcode == CONTINUATION:
            return self.message != 0
        return opcode <= BINARY and self.message == 0

    cdef bint payload(self, list out) except -1:
        """Read as much of the payload as is there; whether that was an event."""
        cdef bytes data = self.unmasked()
        cdef bint done = self.left == 0
        cdef int kind = self.message
        if done:
            self.inside = False
        if self.opcode >= CLOSE:
            return self.controlled(data, done, out)
        if kind == TEXT and not self.readable(data):
            self.error = INVALID_DATA
            return False
        if done and self.final:
            self.message = 0
            if self.missing:
                self.error = INVALID_DATA
                return False
        elif data is NOTHING:
            return False
        out.append((kind, data, done and self.final))
        return True

    cdef bytes unmasked(self):
        """The bytes of the payload that are there, without the mask, which is turned to the byte that follows
        them."""
        cdef Py_ssize_t size = <Py_ssize_t>min(self.left, <unsigned long long>(self.end - self.at))
        cdef unsigned char* source = <unsigned char*>PyBytes_AS_STRING(self.data) + self.at
        cdef unsigned char* target
        cdef unsigned char turned[8]
        cdef unsigned long long word, mask
        cdef Py_ssize_t i = 0
        cdef bytes out
        if size == 0:
            return NOTHING
        out = PyBytes_FromStringAndSize(NULL, size)
        target = <unsigned char*>PyBytes_AS_STRING(out)
        memcpy(turned, self.mask, 4)
        memcpy(&turned[4], self.mask, 4)
        memcpy(&mask, turned, 8)
        while i + 8 <= size:
            memcpy(&word, source + i, 8)
            word ^= mask
            memcpy(target + i, &word, 8)
            i += 8
        while i < size:
            target[i] = source[i] ^ turned[i & 3]
            i += 1
        for i in range(4):
            self.mask[i] = turned[(size + i) & 3]
        self.at += size
        self.left -= size
        return out

    cdef bint controlled(self, bytes data, bint done, list out) except -1:
        """A part of a control frame; whether it is an event."""
        if self.control is not NOTHING or not done:
            self.control = data = self.control + data
        if not done:
            return False
        self.control = NOTHING
        if self.opcode == PONG:
            return False
        if self.opcode == CLOSE:
            self.error = wrong_goodbye(data)
            if self.error:
                return False
            self.closed = True
        out.append((self.opcode, data, True))
        return True

    cdef bint readable(self, bytes data) noexcept:
        """Whether a part of a text may come here: UTF-8 (RFC 3629), whose characters may be cut between two
        parts."""
        cdef unsigned char* text = <unsigned char*>PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef Py_ssize_t i = 0
        cdef unsigned long long word
        cdef unsigned char c
        while i < size:
            if self.missing == 0:
                while i + 8 <= size:
                    memcpy(&word, text + i, 8)
                    if word & <unsigned long long>0x8080808080808080:
                        break
                    i += 8
                if i == size:
                    break
            c = text[i]
            i += 1
            if self.missing:
                if c < self.lowest or c > self.highest:
                    return False
                self.missing -= 1
                self.lowest, self.highest = 0x80, 0xBF
            elif c >= 0x80:
                if c < 0xC2 or c > 0xF4:
                    return False
                self.missing = 1 if c < 0xE0 else 2 if c < 0xF0 else 3
                # no form longer than needed, no surrogate, nothing above U+10FFFF
                self.lowest = 0xA0 if c == 0xE0 else 0x90 if c == 0xF0 else 0x80
                self.highest = 0x9F if c == 0xED else 0x8F if c == 0xF4 else 0xBF
        return True


cdef int wrong_goodbye(bytes data) except -1:
    """The code with which to answer the payload of a close frame that is wrong (5.5.1, 7.4), else 0."""
    cdef int code
    if not data:
        return 0
    if len(data) == 1:
        return PROTOCOL_ERROR
    code = <unsigned char>data[0] << 8 | <unsigned char>data[1]
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        return PROTOCOL_ERROR
    try:
        data[2:].decode()
    except UnicodeDecodeError:
        return INVALID_DATA
    return 0


def frame(int opcode, bytes data not None):
    """A whole frame of a server: a message, or a control frame."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t head = 2 if size < 126 else 4 if size < 1 << 16 else 10
    cdef bytes out = PyBytes_FromStringAndSize(NULL, head + size)
    cdef unsigned char* target = <unsigned char*>PyBytes_AS_STRING(out)
    cdef Py_ssize_t i
    target[0] = 0x80 | opcode
    target[1] = size if head == 2 else 126 if head == 4 else 127
    for i in range(2, head):
        target[i] = size >> 8 * (head - 1 - i) & 0xFF
    memcpy(target + head, PyBytes_AS_STRING(data), size)
    return out
