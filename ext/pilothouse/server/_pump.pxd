cdef enum:
    SLICE = 262144                    # bytes in one write of a long body
    PART = 32768                      # bytes in one write of a stream; small as many streams may be blocked

cdef class Reader:
    cdef Py_ssize_t left              # bytes of the body that were not read yet

    cdef void read(self, char* to, Py_ssize_t size) noexcept

cdef class Readable:
    cdef Reader reader(self)

cdef class Sink:
    cdef bint hand_over(self, data) except -1
    cdef Py_ssize_t draw(self, Reader reader) except -1
    cdef Py_ssize_t buffered(self) except -1
    cdef bytes frame(self, bytes data)
    cdef bytes last_frame(self)
    cdef stream_ended(self)
    cdef body_ended(self)
    cdef cut(self, error)

cdef class Turns:
    cdef object loop
    cdef list dirty                   # pumps written to in this turn of the loop
    cdef long long bytes_out          # bytes given to transports
    cdef schedule(self, Pump pump)

cdef class Pump:
    cdef Sink sink
    cdef Turns turns
    cdef Stream stream                # the stream that supplies the body, if it is written piece by piece
    cdef list out                     # queued buffers; the first one is written up to out_from
    cdef object source                # the rest of a long body, made while it is sent: iterator or Reader
    cdef Py_ssize_t out_from, size    # size: bytes that are queued
    cdef Py_ssize_t taken, taken_from  # buffers that the current slice uses up; where the next one begins
    cdef Py_ssize_t part              # most bytes of one write
    cdef Py_ssize_t handed            # bytes of this answer that the sink has taken, with head and framing
    cdef Py_ssize_t payload           # bytes written to the stream, without framing
    cdef bint ending                  # nothing will be added to `out`: it holds the rest of an answer
    cdef bint paused                  # the sink accepts no more for now
    cdef bint scheduled

    cdef Stream begin_stream(self)
    cdef begin(self, bytes head)
    cdef put(self, bytes data)
    cdef put_body(self, body, Py_ssize_t size)
    cdef draw_body(self, Readable body)
    cdef end_stream(self)
    cdef wake(self)
    cdef run(self)
    cdef Py_ssize_t draw(self) except -1
    cdef leave(self)
    cdef stop(self)
    cdef bint refill(self) except -1
    cdef take(self)

cdef class Stream:
    cdef Pump pump
    cdef tuple closers, drainers
    cdef bint open, asked             # asked: the writer has seen a backlog and may wait for it to be sent
    cdef taken(self)
    cdef closed(self)
