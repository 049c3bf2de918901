# How the body of an answer is sent: as far as the windows and the socket allow.


cdef class Sending(Stream):
    """A stream as the sink of the pump that writes its answer."""

    # --- implemented by the exchange

    cdef end_answer(self):
        """The answer was sent."""
        raise NotImplementedError

    cdef reset(self, int code, error):
        """End the stream with an error."""
        raise NotImplementedError

    # --- the pump's sink

    cdef long long room(self) except? -1:
        """Bytes that may be sent now."""
        return 0 if self.connection.core.paused else min(self.window, self.connection.core.window)

    cdef bint hand_over(self, data) except -1:
        """Send bytes of the body as far as the windows allow; the rest waits, and the pump with it."""
        cdef Py_ssize_t size = len(data)
        cdef long long room
        if self.ended:
            return False
        room = self.room()
        if size <= room:
            self.end_sent = self.pump.ending and self.pump.source is None and self.pump.size == size
            self.connection.core.put_data(self, data, size, self.end_sent)
        elif room > 0:
            self.connection.core.put_data(self, memoryview(data)[:room], room, False)
            self.rest = memoryview(data)[room:]
            size = room
        else:
            self.rest = data
            size = 0
        self.sent += size
        if size:
            self.written()
        if self.rest is not None or self.connection.core.paused:
            self.stall()
            if 0 < size < MIN_UPDATE and self.rest is not None:
                self.connection.core.glitch(1)
        return not self.ended

    cdef Py_ssize_t draw(self, Reader reader) except -1:
        """Send of a body what the windows allow, in one write."""
        cdef Py_ssize_t size = min(<long long>min(reader.left, self.connection.core.piece()), self.room())
        if self.ended:
            self.pump.paused = True
            return 0
        if size > 0:
            self.end_sent = size == reader.left
            self.connection.core.put_read(self, reader, size)
            self.sent += size
            self.written()
        if self.connection.core.paused or reader.left and self.room() <= 0:
            self.stall()
            if 0 < size < MIN_UPDATE and reader.left:
                self.connection.core.glitch(1)
        return max(size, 0)

    cdef written(self):
        """Write what is queued when it is much, or at the end of this turn of the loop."""
        if self.connection.core.out_size >= FLUSH:
            self.connection.flush()
        self.connection.shared.wake(self.connection)

    cdef stall(self):
        """Wait for a window to grow, or for the socket to take more."""
        self.pump.paused = True
        if not self.stalled:
            self.stalled = True
            self.since = now(self.connection.service.clock)
            self.counted = self.pump.size
            self.connection.held += self.counted
        if self.window > 0:
            self.connection.blocked[self] = None

    cdef go_on(self):
        """Continue after a window has grown, or the socket has taken what it had."""
        cdef Sending me = self           # lives until this returns
        cdef Pump pump = self.pump       # drawing may end the connection, and then this has none any more
        cdef long long room = self.room()
        cdef Py_ssize_t size
        if not self.stalled or room <= 0:
            if self.stalled and self.window > 0:
                self.connection.blocked[self] = None
            return
        self.stalled = False
        self.connection.held -= self.counted
        self.counted = 0
        if self.rest is not None:
            data, self.rest = self.rest, None
            size = min(<long long>len(data), room)
            if size < len(data):
                self.rest = memoryview(data)[size:]
                data = memoryview(data)[:size]
            self.connection.core.put_data(self, data, size, False)
            self.sent += size
            self.connection.shared.wake(self.connection)
            if self.rest is not None:
                self.stall()
                if size < MIN_UPDATE:
                    self.connection.core.glitch(1)
                return
        if self.end_pending:
            self.end_pending = False
            self.body_ended()
            return
        pump.paused = False
        if isinstance(pump.source, Reader):
            pump.draw()               # now, so that streams that are read write in turn
        pump.wake()

    cdef Py_ssize_t buffered(self) except -1:
        cdef Connection connection = self.connection
        cdef Py_ssize_t size = connection.core.out_size
        if self.ended:
            return 0
        if connection.core.paused:
            size += connection.transport.get_write_buffer_size()
        if self.stalled:
            if connection.held > HELD:
                size += HELD          # others wait as well: this one gets no queue of its own
            if self.rest is not None:
                size += len(self.rest)
        return size

    cdef bytes frame(self, bytes data):
        if self.stalled:
            self.counted += PyBytes_GET_SIZE(data)
            self.connection.held += PyBytes_GET_SIZE(data)
        return data

    cdef bytes last_frame(self):
        return None

    cdef stream_ended(self):
        self.since = now(self.connection.service.clock)

    cdef body_ended(self):
        cdef Sending me = self           # lives until this returns
        if self.rest is not None:
            self.end_pending = True
            return
        if not self.end_sent:
            self.connection.core.put_data(self, b"", 0, True)
        self.end_answer()

    cdef cut(self, error):
        """End the answer prematurely; what the windows allow is still sent."""
        cdef Sending me = self           # lives until this returns
        cdef Pump pump = self.pump
        cdef PumpStream stream
        if self.ended:
            return
        if pump is not None:
            stream = pump.stream
            pump.source = pump.stream = None
            pump.ending = False
            if not pump.paused:
                pump.run()
            pump.stream = stream
        self.reset(INTERNAL_ERROR, error)
