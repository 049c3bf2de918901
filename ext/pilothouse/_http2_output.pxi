# What a connection sends, how fast, and how it ends.


cdef inline unsigned int int_of(const unsigned char* data) noexcept:
    """A number of four bytes."""
    return <unsigned int>data[0] << 24 | data[1] << 16 | data[2] << 8 | data[3]


cdef class Output(Endpoint):
    """The sending side of a connection: its queue of frames, its windows, its streams and its end."""

    # --- implemented by the receiving side

    cdef end_input(self):
        """Drop what has come and is not answered."""
        raise NotImplementedError

    def is_answering(self):
        """Whether a request is being answered."""
        return len(self.streams) > 0

    def pause_writing(self):
        self.paused = True
        self.since = now(self.service.clock)
        self.regulate()

    def resume_writing(self):
        self.paused = False
        self.heard = now(self.service.clock)
        self.go_on()
        self.regulate()

    # uvloop reads into the buffer of a protocol that has these two methods, which saves it one for each read
    cdef regulate(self):
        """Read no more from a peer that does not read, or whose requests wait for their turn."""
        cdef bint stop = self.paused and self.settled or self.turn.waits or self.halted
        if stop != self.stopped and self.leaving != GONE:
            self.stopped = stop
            if stop:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    cdef spend(self, Allowance* allowance, double burst, double rate, double count):
        """Use up `count` of what a peer may do so often."""
        cdef double at
        allowance.left -= count
        if allowance.left < 0:
            at = now(self.service.clock)
            allowance.left = min(burst, allowance.left + (at - allowance.at) * rate)
            allowance.at = at
            if allowance.left < 0:
                self.fail(ENHANCE_YOUR_CALM, "too many frames without use")

    cdef glitch(self, double count):
        """Count a frame that changes nothing, or next to nothing; more than once if it makes more work."""
        self.spend(&self.glitches, GLITCHES, GLITCHES_PER_SECOND, count)

    # --- writing

    cdef put(self, bytes data):
        """Queue frames until the turn of the loop ends, or the input has been parsed."""
        self.out.append(data)
        self.out_size += PyBytes_GET_SIZE(data)

    cdef put_frame(self, int kind, int flags, int number, bytes payload):
        self.put(frame_head(PyBytes_GET_SIZE(payload), kind, flags, number) + payload)

    cdef put_number(self, int kind, int number, long long value):
        """Queue a frame whose payload is a number."""
        self.put_frame(kind, 0, number, struct.pack(">I", value))

    cdef put_data(self, int number, data, Py_ssize_t size, bint ends):
        """Queue DATA frames of one body; those of an event share its bytes with other streams."""
        self.window -= size
        if size > self.frame_size:
            self.lay_frames(number, data, size, ends)
        else:
            self.put(frame_head(size, DATA, END_STREAM if ends else 0, number))
            if size:
                self.out.append(data)
                self.out_size += size
        self.shared.wake(self)

    cdef put_read(self, int number, Reader reader, Py_ssize_t size):
        """Queue DATA frames with the next `size` bytes of a body; the last ones end the stream."""
        cdef Py_ssize_t part
        cdef bint ends = reader.left == size
        cdef char* to = self.extend(size + 9 * ((size + self.frame_size - 1) // self.frame_size))
        self.window -= size
        while size:
            part = min(self.frame_size, size)
            size -= part
            put_head(<unsigned char*>to, part, DATA, END_STREAM if ends and not size else 0, number)
            reader.read(to + 9, part)
            to += 9 + part
        self.shared.wake(self)

    cdef lay_frames(self, int number, data, Py_ssize_t size, bint ends):
        """Queue DATA frames with a copy of `data`."""
        cdef Py_ssize_t part, at = 0
        cdef Py_buffer buffer
        cdef char* to = self.extend(size + 9 * ((size + self.frame_size - 1) // self.frame_size))
        PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
        while at < size:
            part = min(self.frame_size, size - at)
            put_head(<unsigned char*>to, part, DATA, END_STREAM if ends and at + part == size else 0, number)
            memcpy(to + 9, <char*>buffer.buf + at, part)
            to += 9 + part
            at += part
        PyBuffer_Release(&buffer)

    cdef char* extend(self, Py_ssize_t size) except NULL:
        """Queue `size` bytes that the caller fills with frames, in one piece with what is queued already."""
        cdef bytes whole = PyBytes_FromStringAndSize(NULL, self.out_size + size)
        cdef char* to = PyBytes_AS_STRING(whole)
        cdef Py_buffer buffer
        for data in self.out:
            PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
            memcpy(to, buffer.buf, buffer.len)
            to += buffer.len
            PyBuffer_Release(&buffer)
        self.out = [whole]
        self.out_size += size
        return to

    cdef Py_ssize_t piece(self) noexcept:
        """The bytes of a body with which the queue fills one write."""
        cdef Py_ssize_t room = max(WRITE - self.out_size, WRITE // 2)
        return room - 9 * ((room + self.frame_size + 8) // (self.frame_size + 9))

    cdef reset_stream(self, int number, int code, bint forget):
        """Queue RST_STREAM; with `forget`, frames of the stream that still come are ignored."""
        self.put_number(RST_STREAM, number, code)
        if forget:
            if self.forgotten is None:
                self.forgotten = {}
            elif len(self.forgotten) >= MAX_FORGOTTEN:
                del self.forgotten[next(iter(self.forgotten))]
            self.forgotten[number] = None

    cdef bint take_resize(self):
        resize, self.resize = self.resize, False
        return resize

    cdef flush(self):
        """Write the queued frames in one write."""
        cdef list out = self.out
        if not self.out_size or self.paused or self.leaving == GONE:
            return
        self.out = []
        data = out[0] if len(out) == 1 else b"".join(out)
        self.service.turns.bytes_out += self.out_size
        self.out_size = 0
        try:
            self.transport.write(data)
        except RuntimeError:
            pass                      # uvloop: the peer has gone, connection_lost follows

    cdef go_on(self):
        """Write what is queued, then let streams go on that have waited; close if this was the end."""
        if self.leaving == GONE:
            return
        begin(self.service.line, &self.turn)
        self.flush()
        if self.blocked:
            self.unblock()
            self.flush()
        if not self.turn.waits and (self.waiting and self.held <= HELD or self.halted and not self.paused):
            self.halted = False
            self.advance()
        end(self.service.line, &self.turn)
        if self.leaving == LEAVES and not self.streams and not self.paused:
            self.close()

    cdef unblock(self):
        """Let streams go on that have waited for the socket or for a window, one after the other."""
        cdef Exchange exchange
        cdef Py_ssize_t left = len(self.blocked)
        cdef Py_ssize_t most = self.out_size + BURST
        while left and self.blocked and not self.paused and self.window > 0:
            if self.turn.left <= 0:
                self.line_up()
                return
            if self.out_size > most:
                self.shared.wake(self)
                return
            left -= 1
            self.turn.left -= SEND_UNITS
            exchange = next(iter(self.blocked))
            del self.blocked[exchange]
            exchange.go_on()

    cdef dropped(self, Exchange exchange):
        """A stream has ended."""
        exchange.ended = True
        self.streams.pop(exchange.id, None)
        self.blocked.pop(exchange, None)
        if self.waiting:
            self.waiting.pop(exchange, None)
        self.held -= exchange.counted
        exchange.counted = 0
        if not self.streams:
            self.since = now(self.service.clock)
            if self.leaving == STAYS and self.is_outgrown():
                self.leaving = ANNOUNCED  # nothing is answered any more, so at once
                self.leave_now()
            if self.service.on_change is not None or self.leaving != STAYS:
                self.shared.wake(self)

    # --- the end

    cdef bint is_idle(self):
        return not self.streams and self.block is None

    cdef drain(self):
        self.leave()
        if self.is_idle():
            self.leave_now()

    cdef leave(self):
        """Tell the peer to open no more streams here; those that are open end as they would."""
        if self.leaving == STAYS:
            self.leaving = ANNOUNCED
            self.put_frame(GOAWAY, 0, 0, struct.pack(">II", MOST_WINDOW, NO_ERROR))
            self.put_frame(PING, 0, 0, DRAIN)
            self.since = now(self.service.clock)
            self.shared.wake(self)

    cdef leave_now(self):
        """The peer knows that it should open no more streams: later ones are ignored."""
        if self.leaving == ANNOUNCED:
            self.leaving = LEAVES
            self.put_frame(GOAWAY, 0, 0, struct.pack(">II", self.last, NO_ERROR))
            self.shared.wake(self)

    cdef fail(self, int code, str text):
        """End the connection because of what the peer did."""
        if self.leaving == GONE:
            return
        name = ERRORS.get(code, "")
        self.shared.faults[name] = self.shared.faults.get(name, 0) + 1
        self.put_frame(GOAWAY, 0, 0, struct.pack(">II", self.last, code) + text.encode())
        self.close()

    cdef close(self):
        """Close the connection; what the transport holds is still sent."""
        cdef Exchange exchange
        if self.leaving == GONE:
            return
        self.flush()
        self.leaving = GONE
        self.service.connections.discard(self)
        self.service.leaving.add(self)
        self.end_input()
        for exchange in list(self.streams.values()):
            exchange.lost(ConnectionAbortedError("the connection was ended"))
        if self.paused:
            self.transport.abort()
        else:
            self.transport.close()
            if self.is_outgrown() and self.unauthenticated is not None:
                self.abort_soon()
        if self.service.on_change is not None:
            self.service.on_change()

    cdef check(self, double at):
        cdef Service service = self.service
        cdef double began
        if self.leaving == GONE:
            return
        if self.paused:
            if at - self.since > service.body_timeout:
                self.close()
        elif not self.settled or self.fragment is not None:
            began = self.since if self.fragment is None else self.fragment.began
            if at - began > service.header_timeout:
                self.fail(NO_ERROR, "a frame has not come whole")
        elif self.leaving == ANNOUNCED and at - self.since > LEAVE:
            self.leave_now()
        elif not self.streams:
            if at - self.since > service.idle_timeout:
                self.drain()
        elif at - self.heard > PING_AFTER + PING_TIMEOUT:
            self.close()
        elif at - self.heard > PING_AFTER and not self.pinged:
            self.pinged = True
            self.put_frame(PING, 0, 0, ALIVE)
            self.shared.wake(self)
        if self.streams and self.leaving != GONE:
            self.check_streams(at)

    cdef check_streams(self, double at):
        """End requests that do not come to their end, and answers that are not taken."""
        cdef Exchange exchange
        cdef Body body
        cdef double limit = self.service.body_timeout
        for exchange in list(self.streams.values()):
            if exchange.ended:
                continue
            if exchange.body is not None and not exchange.remote_closed:
                body = exchange.body
                if at - body.began > limit:
                    body.refuse(plain_answer(408, "408 Request Timeout"))
            elif exchange.stalled and exchange.pump.stream is None and at - exchange.since > limit:
                exchange.reset(CANCEL, TimeoutError("the client has not taken the answer"))


cdef bytes frame_head(Py_ssize_t size, int kind, int flags, int number):
    cdef unsigned char head[9]
    put_head(head, size, kind, flags, number)
    return PyBytes_FromStringAndSize(<char*>head, 9)
