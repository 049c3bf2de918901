# The bytes that a reader of frames was fed, and the head of the frame that it reads. Included by the modules
# of such readers, which say how long the LONGEST_HEAD is.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

cdef bytes NOTHING = b""


cdef class FrameInput:
    """The bytes of a peer, some of which make a head."""

    cdef bytes data                   # what was fed; it is read up to `at`
    cdef Py_ssize_t at, end
    cdef unsigned char head[LONGEST_HEAD]
    cdef int have                     # bytes of `head` that have come

    def __cinit__(self):
        self.data = NOTHING

    def feed(self, bytes data not None):
        """Take bytes of the peer. Those that were fed before should have been read: what is left is
        copied."""
        if self.at < self.end:
            data = self.data[self.at:self.end] + data
        self.data = data
        self.at, self.end = 0, PyBytes_GET_SIZE(data)

    cdef bint fill(self, int size) noexcept:
        """Gather this many bytes of a head; False when they are not there."""
        cdef unsigned char* data = <unsigned char*>PyBytes_AS_STRING(self.data)
        while self.have < size:
            if self.at == self.end:
                return False
            self.head[self.have] = data[self.at]
            self.have += 1
            self.at += 1
        return True

    cdef drop(self):
        """Let go of the bytes: they were read, or nobody reads them."""
        self.data = NOTHING
        self.at = self.end = 0
