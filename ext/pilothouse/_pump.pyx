"""Writes the body of an answer to a sink no faster than the sink takes it;
it knows nothing of HTTP/1.1's framing.

A body is bytes, a list of buffers, Pieces that are built as they go out, or a stream. The sink is a
connection of HTTP/1.1 (`_answers`) or one stream of HTTP/2: it frames, it tells by `Pump.paused` whether it
takes more, and after it has resumed it calls `Pump.run`.
"""

import logging

from cpython.bytes cimport PyBytes_GET_SIZE

cdef object log = logging.getLogger("pilothouse.server")
cdef Py_ssize_t BURST = 512 * 1024    # bytes written in one loop turn: under 1 ms with TLS


cdef class Sink:
    """Where a pump hands its bytes."""

    cdef bint hand_over(self, data) except -1:
        """Give bytes to the transport; false when it does not take any, because the peer has gone."""
        raise NotImplementedError

    cdef Py_ssize_t buffered(self) except -1:
        """Bytes that were handed over and that the socket has not taken yet."""
        raise NotImplementedError

    cdef bytes frame(self, bytes data):
        """One part of a stream as it goes out."""
        raise NotImplementedError

    cdef bytes last_frame(self):
        """What ends a stream, None when nothing does."""
        raise NotImplementedError

    cdef body_ended(self):
        """The whole body was handed over."""
        raise NotImplementedError

    cdef cut(self, error):
        """End the answer before its end, because of `error`."""
        raise NotImplementedError


cdef class Gone(Sink):
    """Stands for a sink that has gone, so that pump and sink do not keep each other alive."""

    cdef bint hand_over(self, data) except -1:
        return False

    cdef Py_ssize_t buffered(self) except -1:
        return 0

    cdef bytes frame(self, bytes data):
        return data

    cdef bytes last_frame(self):
        return None

    cdef body_ended(self):
        pass

    cdef cut(self, error):
        pass


cdef Sink GONE = Gone()


cdef class Turns:
    """Runs the pumps that were written to in one turn of the loop at the end of it,
    so that writes are joined."""

    def __init__(self, loop):
        self.loop = loop
        self.dirty = []

    cdef schedule(self, Pump pump):
        """Have a pump run at the end of this turn of the loop."""
        pump.scheduled = True
        if not self.dirty:
            self.loop.call_soon(self.flush)
        self.dirty.append(pump)

    def flush(self):
        """Run the pumps; after a burst of bytes the rest waits until the loop has done what else is due."""
        cdef Pump pump
        cdef Py_ssize_t done = 0
        cdef long long end = self.bytes_out + BURST
        dirty = self.dirty
        self.dirty = []
        for pump in dirty:
            if self.bytes_out > end:
                if not self.dirty:
                    self.loop.call_soon(self.flush)
                self.dirty = dirty[done:] + self.dirty
                return
            done += 1
            pump.scheduled = False
            pump.run()


cdef class Pump:
    """The queue between answers and one sink; it serves one answer at a time."""

    def __init__(self, Sink sink, Turns turns):
        self.sink = sink
        self.turns = turns
        self.out = []
        self.part = SLICE

    cdef begin(self, bytes head):
        """Queue the head of the next answer."""
        self.handed = self.payload = 0
        self.out = [head]
        self.size = PyBytes_GET_SIZE(head)

    cdef Stream begin_stream(self):
        """The body comes bit by bit."""
        self.part = PART
        self.stream = Stream(self)
        self.wake()
        return self.stream

    cdef put_body(self, body, Py_ssize_t size):
        """Queue a whole body of `size` bytes: bytes, a list of buffers or Pieces;
        write what the sink takes now."""
        if type(body) is bytes:
            self.out.append(body)
            self.size += size
        elif type(body) is list:
            self.out.extend(body)
            self.size += size
        else:
            self.source = iter(body)
        self.ending = True
        self.run()

    cdef put(self, bytes data):
        """Queue bytes; what is queued in one turn of the loop leaves in one write."""
        self.out.append(data)
        self.size += PyBytes_GET_SIZE(data)
        self.wake()

    cdef end_stream(self):
        """The stream's body is complete."""
        cdef Stream stream = self.stream
        cdef bytes last = self.sink.last_frame()
        if last is not None:
            self.put(last)
        self.stream = None
        self.part = SLICE
        self.ending = True
        self.wake()
        stream.closed()

    cdef wake(self):
        """Run at the end of this turn of the loop, unless the sink takes no more."""
        if not self.scheduled and not self.paused:
            self.turns.schedule(self)

    cdef run(self):
        """Hand queued buffers to the sink, one slice to a write, until it has enough.

        A peer that reads as fast as we write never lets it have enough:
        the loop gets its turn after each burst.
        """
        cdef Py_ssize_t written = 0, size
        while (self.size or self.source is not None) and not self.paused:
            if written > BURST:
                self.wake()
                return
            if self.source is not None and self.size < SLICE and not self.refill():
                return
            if self.size:
                data = self.take()
                size = len(data)
                if not self.sink.hand_over(data):
                    self.paused = True    # for good
                    return
                written += size
                self.handed += size
                self.size -= size
                del self.out[:self.taken]
                self.out_from = self.taken_from
        if self.size == 0 and self.source is None:
            if self.ending:
                self.ending = False
                self.sink.body_ended()
            elif not self.paused and self.stream is not None:
                self.stream.taken()

    cdef leave(self):
        """The sink has gone."""
        self.stop()
        self.sink = GONE

    cdef stop(self):
        """Forget what is queued: it will not be sent."""
        self.out = []
        self.out_from = self.size = 0
        self.source = self.stream = None
        self.ending = False
        self.part = SLICE

    cdef bint refill(self) except -1:
        """Have the next part of a long body built; false when that failed, which cuts the answer."""
        try:
            data = next(self.source, None)
        except Exception as error:
            log.error("a body was not written to its end", exc_info=error)
            self.source = None
            self.sink.cut(error)
            return False
        if data is None:
            self.source = None
        else:
            self.out.append(data)
            self.size += len(data)
        return True

    cdef take(self):
        """The next slice of what is queued, buffers joined or a part of a long one;
        `run` removes it once it is sent."""
        cdef list out = self.out
        cdef Py_ssize_t end = 1, size, more
        first = out[0]
        size = len(first) - self.out_from
        if size > self.part:
            self.taken = 0
            self.taken_from = self.out_from + self.part
            return memoryview(first)[self.out_from:self.taken_from]
        while end < len(out):
            more = len(out[end])
            if size + more > self.part:
                break
            size += more
            end += 1
        if self.out_from:
            first = memoryview(first)[self.out_from:]
        self.taken = end
        self.taken_from = 0
        return first if end == 1 else b"".join([first, *out[1:end]])


cdef class Stream:
    """The body of an answer that is written bit by bit: `server.request.Stream` over a pump."""

    def __init__(self, Pump pump):
        self.pump = pump
        self.open = True
        self.closers = []
        self.drainers = []

    def write(self, bytes data not None):
        """Queue one chunk; what is queued in one loop turn leaves in one write."""
        if self.open and PyBytes_GET_SIZE(data):
            self.pump.payload += PyBytes_GET_SIZE(data)
            self.pump.put(self.pump.sink.frame(data))

    def buffered(self):
        """Bytes that were written and not yet taken by the socket."""
        cdef Py_ssize_t size
        if not self.open:
            return 0
        size = self.pump.size + self.pump.sink.buffered()
        self.asked |= size > SLICE or self.pump.paused
        return size

    def close(self):
        """End the body cleanly; the connection may serve another request."""
        if self.open:
            self.pump.end_stream()

    def abort(self, error=None):
        """Cut the connection without the final chunk, so that the peer sees an unclean end."""
        if self.open:
            self.pump.sink.cut(error or ConnectionAbortedError("the body was cut short"))

    def on_close(self, callback):
        """Call back once, when the peer has gone or the body has ended."""
        if self.open:
            self.closers.append(callback)
        else:
            callback()

    def on_drain(self, callback):
        """Call back each time there is room again after `buffered` had shown much."""
        self.drainers.append(callback)

    cdef taken(self):
        """All that was written is with the transport, which can take more."""
        if self.asked:
            self.asked = False
            for callback in list(self.drainers):
                try:
                    callback()
                except Exception as error:
                    log.exception("a stream could not go on")
                    self.abort(error)

    cdef closed(self):
        """The body has ended one way or another."""
        if not self.open:
            return
        self.open = False
        closers = self.closers
        self.closers = self.drainers = []
        for callback in closers:
            callback()
