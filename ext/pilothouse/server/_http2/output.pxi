# What a connection sends, how fast, and how it ends.


cdef class Output(Endpoint):
    """The sending side of a connection: how it writes, its streams and its end."""

    # --- implemented by the receiving side

    cdef end_input(self):
        """Drop what has come and is not answered."""
        raise NotImplementedError

    def is_answering(self):
        """Whether a request is being answered."""
        return len(self.core.streams) > 0

    def pause_writing(self):
        self.core.paused = True
        self.since = now(self.service.clock)
        self.regulate()

    def resume_writing(self):
        self.core.paused = False
        self.heard = now(self.service.clock)
        self.go_on()
        self.regulate()

    cdef regulate(self):
        """Read no more from a peer that does not read, or whose requests wait for their turn."""
        cdef bint stop = self.core.paused and self.core.settled or self.turn.waits or self.core.halted
        if stop != self.stopped and self.core.leaving != GONE:
            self.stopped = stop
            if stop:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    # --- writing

    cdef flush(self):
        """Write the queued frames in one write."""
        cdef Calls core = self.core
        if not core.out_size or core.paused or core.leaving == GONE:
            return
        self.service.turns.bytes_out += core.out_size
        try:
            self.transport.write(core.take())
        except RuntimeError:
            pass                      # uvloop: the peer has gone, connection_lost follows

    cdef go_on(self):
        """Write what is queued, then let streams go on that have waited; close if this was the end."""
        cdef bint halted
        if self.core.leaving == GONE:
            return
        begin(self.service.line, &self.turn)
        self.flush()
        if self.blocked:
            self.unblock()
            self.flush()
        halted = self.core.halted and not self.core.paused
        if not self.turn.waits and (halted or self.waiting and self.held <= HELD):
            self.core.halted = False
            self.advance()
        end(self.service.line, &self.turn)
        if self.core.leaving == LEAVES and not self.core.streams and not self.core.paused:
            self.close()

    cdef unblock(self):
        """Let streams go on that have waited for the socket or for a window, one after the other."""
        cdef Exchange exchange
        cdef Py_ssize_t left = len(self.blocked)
        cdef Py_ssize_t most = self.core.out_size + BURST
        while left and self.blocked and not self.core.paused and self.core.window > 0:
            if self.turn.left <= 0:
                self.line_up()
                return
            if self.core.out_size > most:
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
        self.core.streams.pop(exchange.id, None)
        self.blocked.pop(exchange, None)
        if self.waiting:
            self.waiting.pop(exchange, None)
        self.held -= exchange.counted
        exchange.counted = 0
        if not self.core.streams:
            self.since = now(self.service.clock)
            if self.core.leaving == STAYS and self.is_outgrown():
                self.core.leaving = ANNOUNCED  # nothing is answered any more, so at once
                self.leave_now()
            if self.service.on_change is not None or self.core.leaving != STAYS:
                self.shared.wake(self)

    # --- the end

    cdef bint is_idle(self):
        return not self.core.streams and self.core.block is None

    cdef drain(self):
        self.leave()
        if self.is_idle():
            self.leave_now()

    cdef leave(self):
        """Tell the peer to open no more streams here; those that are open end as they would."""
        if self.core.leaving == STAYS:
            self.core.leave()
            self.since = now(self.service.clock)
            self.shared.wake(self)

    cdef leave_now(self):
        """The peer knows that it should open no more streams."""
        self.core.leave_now()
        self.shared.wake(self)

    cdef failed(self, int code):
        """The connection has to end because of what the peer did."""
        name = ERRORS.get(code, "")
        self.shared.faults[name] = self.shared.faults.get(name, 0) + 1
        self.close()

    cdef close(self):
        """Close the connection; what the transport holds is still sent."""
        cdef Exchange exchange
        if self.core.leaving == GONE:
            return
        self.flush()
        self.core.leaving = GONE
        self.service.connections.discard(self)
        self.service.leaving.add(self)
        self.end_input()
        for exchange in list(self.core.streams.values()):
            exchange.lost(ConnectionAbortedError("the connection was ended"))
        if self.core.paused:
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
        if self.core.leaving == GONE:
            return
        if self.core.paused:
            if at - self.since > service.body_timeout:
                self.close()
        elif not self.core.settled or self.fragment is not None:
            began = self.since if self.fragment is None else self.fragment.began
            if at - began > service.header_timeout:
                self.core.fail(NO_ERROR, "a frame has not come whole")
        elif self.core.leaving == ANNOUNCED and at - self.since > LEAVE:
            self.leave_now()
        elif not self.core.streams:
            if at - self.since > service.idle_timeout:
                self.drain()
        elif at - self.heard > PING_AFTER + PING_TIMEOUT:
            self.close()
        elif at - self.heard > PING_AFTER and not self.pinged:
            self.pinged = True
            self.core.put_frame(PING, 0, 0, ALIVE)
            self.shared.wake(self)
        if self.core.streams and self.core.leaving != GONE:
            self.check_streams(at)

    cdef check_streams(self, double at):
        """End requests that do not come to their end, and answers that are not taken."""
        cdef Exchange exchange
        cdef Body body
        cdef double limit = self.service.body_timeout
        for exchange in list(self.core.streams.values()):
            if exchange.ended:
                continue
            if exchange.body is not None and not exchange.remote_closed:
                body = exchange.body
                if at - body.began > limit:
                    body.refuse(plain_answer(408, "408 Request Timeout"))
            elif exchange.stalled and exchange.pump.stream is None and at - exchange.since > limit:
                exchange.reset(CANCEL, TimeoutError("the client has not taken the answer"))
