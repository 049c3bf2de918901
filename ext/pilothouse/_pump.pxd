cdef enum:
    SLICE = 262144                    # bytes of one write of a long body
    PART = 32768                      # bytes of one write of a stream: many streams may be stuck at a time

cdef class Sink:
    cdef bint hand_over(self, data) except -1
    cdef Py_ssize_t buffered(self) except -1
    cdef bytes frame(self, bytes data)
    cdef bytes last_frame(self)
    cdef body_ended(self)
    cdef cut(self, error)

cdef class Turns:
    cdef object loop
    cdef list dirty                   # pumps that were written to in this turn of the loop
    cdef long long bytes_out          # that sinks have handed to their transports
    cdef schedule(self, Pump pump)

cdef class Pump:
    cdef Sink sink
    cdef Turns turns
    cdef Stream stream                # who writes the body bit by bit, if that is how it comes
    cdef list out                     # queued buffers; of the first, bytes up to out_from are written
    cdef object source                # an iterator over the rest of a body that is built as it goes out
    cdef Py_ssize_t out_from, size    # size: bytes that are queued
    cdef Py_ssize_t taken, taken_from  # buffers that the slice under way empties; where the next one begins
    cdef Py_ssize_t part              # most bytes of one write
    cdef Py_ssize_t handed            # bytes that the sink has taken of this answer, head and frames included
    cdef Py_ssize_t payload           # bytes that the stream was given, without frames
    cdef bint ending                  # nothing will be added to `out`: it is the rest of an answer
    cdef bint paused                  # the sink takes no more
    cdef bint scheduled

    cdef Stream begin_stream(self)
    cdef begin(self, bytes head)
    cdef put(self, bytes data)
    cdef put_body(self, body, Py_ssize_t size)
    cdef end_stream(self)
    cdef wake(self)
    cdef run(self)
    cdef leave(self)
    cdef stop(self)
    cdef bint refill(self) except -1
    cdef take(self)

cdef class Stream:
    cdef Pump pump
    cdef list closers, drainers
    cdef bint open, asked             # asked: the writer has seen that much waits, and may be waiting too
    cdef taken(self)
    cdef closed(self)
