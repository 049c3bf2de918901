"""Writes the body of an answer to a sink, no faster than the sink accepts it;
independent of HTTP/1.1's framing.

A body is bytes, a list of buffers, Pieces that are built while they are sent, or a stream. A sink that makes
its own buffers reads Pieces that are Readable into them, which saves a copy. The sink is an
HTTP/1.1 connection (`_answers`) or a stream of HTTP/2. It frames the body, sets `Pump.paused` while it
accepts no more, and calls `Pump.run` when it does again.
"""

from cpython.bytes cimport PyBytes_GET_SIZE

from pilothouse.logs import Logger

cdef object log = Logger("pilothouse.server", "_pump.pyx")
cdef Py_ssize_t BURST = 512 * 1024    # bytes written in one loop turn: under 1 ms with TLS
cdef Py_ssize_t MANY = 500            # pumps that run in one


cdef class Reader:
    """Reads a body once, from its beginning to its end."""

    cdef void read(self, char* to, Py_ssize_t size) noexcept:
        """Copy the next `size` bytes, of which there are at least so many, to `to`."""


cdef class Readable:
    """A body that can be read into buffers of the sink."""

    cdef Reader reader(self):
        raise NotImplementedError


cdef class Sink:
    """The destination of a pump's bytes."""

    cdef bint hand_over(self, data) except -1:
        """Give bytes to the transport; returns false if the peer has gone."""
        raise NotImplementedError

    cdef Py_ssize_t draw(self, Reader reader) except -1:
        """Read as much as is accepted now, and give it to the transport; returns its size."""
        raise NotImplementedError

    cdef Py_ssize_t buffered(self) except -1:
        """Bytes given to the transport that the socket has not taken yet."""
        raise NotImplementedError

    cdef bytes frame(self, bytes data):
        """Frame one part of a stream."""
        raise NotImplementedError

    cdef bytes last_frame(self):
        """The bytes that end a stream, None if there are none."""
        raise NotImplementedError

    cdef stream_ended(self):
        """Called when a stream was ended: from now on its peer has the time of an answer to take the rest."""
        raise NotImplementedError

    cdef body_ended(self):
        """Called when the whole body has been handed over."""
        raise NotImplementedError

    cdef cut(self, error):
        """End the answer prematurely because of `error`."""
        raise NotImplementedError


cdef class Gone(Sink):
    """Replaces a sink that has gone, so that pump and sink do not keep each other alive."""

    cdef bint hand_over(self, data) except -1:
        return False

    cdef Py_ssize_t buffered(self) except -1:
        return 0

    cdef bytes frame(self, bytes data):
        return data

    cdef bytes last_frame(self):
        return None

    cdef stream_ended(self):
        pass

    cdef body_ended(self):
        pass

    cdef cut(self, error):
        pass


cdef Sink GONE = Gone()


cdef class Turns:
    """Runs the pumps written to in a turn of the loop at its end, so that their writes are joined."""

    def __init__(self, loop):
        self.loop = loop
        self.dirty = []

    cdef schedule(self, Pump pump):
        """Run a pump at the end of this turn of the loop."""
        pump.scheduled = True
        if not self.dirty:
            self.loop.call_soon(self.flush)
        self.dirty.append(pump)

    def flush(self):
        """Run the pumps; after a burst of bytes, or MANY pumps, the rest waits for the loop's next turn."""
        cdef Pump pump
        cdef Py_ssize_t done = 0
        cdef long long end = self.bytes_out + BURST
        dirty = self.dirty
        self.dirty = []
        for pump in dirty:
            if self.bytes_out > end or done >= MANY:
                if not self.dirty:
                    self.loop.call_soon(self.flush)
                self.dirty = dirty[done:] + self.dirty
                return
            done += 1
            pump.scheduled = False
            pump.run()


cdef class Pump:
    """The queue between answers and one sink; serves one answer at a time."""

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
        """Begin a body that is written piece by piece."""
        self.part = PART
        self.stream = Stream(self)
        self.wake()
        return self.stream

    cdef put_body(self, body, Py_ssize_t size):
        """Queue a body of `size` bytes: bytes, a list of buffers or Pieces;
        writes what the sink accepts now."""
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

    cdef draw_body(self, Readable body):
        """Have the sink read a body; nothing else is queued."""
        self.source = body.reader()
        self.ending = True
        self.run()

    cdef put(self, bytes data):
        """Queue bytes; all that is queued in one turn of the loop is sent in one write."""
        self.out.append(data)
        self.size += PyBytes_GET_SIZE(data)
        self.wake()

    cdef end_stream(self):
        """End the stream's body."""
        cdef Stream stream = self.stream
        cdef bytes last = self.sink.last_frame()
        if last is not None:
            self.put(last)
        self.stream = None
        self.part = SLICE
        self.ending = True
        self.sink.stream_ended()
        self.wake()
        stream.closed()

    cdef wake(self):
        """Run at the end of this turn of the loop, unless the sink accepts no more."""
        if not self.scheduled and not self.paused:
            self.turns.schedule(self)

    cdef run(self):
        """Hand queued buffers to the sink, one slice per write, until it accepts no more.

        A peer that reads as fast as this writes would never stop this, so other tasks run after each burst.
        """
        cdef Py_ssize_t written = 0, size
        while (self.size or self.source is not None) and not self.paused:
            if written > BURST:
                self.wake()
                return
            if isinstance(self.source, Reader):
                written += self.draw()
                continue
            if self.source is not None and self.size < SLICE and not self.refill():
                return
            if self.size:
                data = self.take()
                size = len(data)
                if not self.sink.hand_over(data):
                    self.paused = True    # permanently
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

    cdef Py_ssize_t draw(self) except -1:
        """Have the sink read on in the Reader that is the source; the sink may be gone after that."""
        cdef Reader reader = self.source
        cdef Py_ssize_t size = self.sink.draw(reader)
        self.handed += size
        if reader.left == 0:
            self.source = None
        return size

    cdef leave(self):
        """Detach from a sink that has gone."""
        self.stop()
        self.sink = GONE

    cdef stop(self):
        """Drop queued bytes, which will not be sent."""
        self.out = []
        self.out_from = self.size = 0
        self.source = self.stream = None
        self.ending = False
        self.part = SLICE

    cdef bint refill(self) except -1:
        """Build the next part of a long body; false if that failed, which cuts the answer."""
        try:
            data = next(self.source, None)
        except Exception as error:
            log.exception("A body was not written to its end", err=error)
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
        """The next slice of the queue: joined buffers or a part of a long one;
        `run` removes it after sending."""
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
    """The body of an answer written piece by piece: `server.request.Stream` over a pump."""

    def __init__(self, Pump pump):
        self.pump = pump
        self.open = True
        self.closers = self.drainers = ()

    def write(self, bytes data not None):
        """Queue one chunk; all that is queued in one turn of the loop is sent in one write."""
        if self.open and PyBytes_GET_SIZE(data):
            self.pump.payload += PyBytes_GET_SIZE(data)
            self.pump.put(self.pump.sink.frame(data))

    def buffered(self):
        """Bytes written but not yet taken by the socket."""
        cdef Py_ssize_t size
        if not self.open:
            return 0
        size = self.pump.size + self.pump.sink.buffered()
        self.asked |= size > SLICE or self.pump.paused
        return size

    def close(self):
        """End the body properly; the connection may serve another request."""
        if self.open:
            self.pump.end_stream()

    def abort(self, error=None):
        """Cut the connection without the final chunk,
        so that the peer notices that the body is incomplete."""
        if self.open:
            self.pump.sink.cut(error or ConnectionAbortedError("the body was cut short"))

    def on_close(self, callback):
        """Call back once, when the peer has gone or the body has ended."""
        if self.open:
            self.closers += (callback,)
        else:
            callback()

    def on_drain(self, callback):
        """Call back whenever a backlog of written bytes has been sent."""
        self.drainers += (callback,)

    cdef taken(self):
        """All written bytes are with the transport, which can take more."""
        if self.asked:
            self.asked = False
            for callback in self.drainers:
                try:
                    callback()
                except Exception as error:
                    log.exception("A stream could not go on")
                    self.abort(error)

    cdef closed(self):
        """The body has ended, completely or not."""
        if not self.open:
            return
        self.open = False
        closers = self.closers
        self.closers = self.drainers = ()
        for callback in closers:
            callback()
