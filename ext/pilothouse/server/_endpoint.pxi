# A connection of either protocol, as the listener's service sees it, and what TLS keeps for it.

cdef Py_ssize_t WIDE = 32 * 1024      # bytes; a read that brings more makes TLS's buffers large
cdef int MANY_WIDE = 128              # connections with large buffers, of which each takes up to 600 KB
cdef int BUFFERS = 3                  # bytes that TLS keeps for each byte of the largest read, with copies
cdef Py_ssize_t READ_AHEAD = 16 * 1024  # bytes that TLS may buffer for a connection that is not being read


cdef class Endpoint(Sink):
    """A connection of either protocol, as the listener's service sees it."""

    cdef line_up(self):
        """Wait for the connection's turn to go on with what has come."""
        wait(self.service.line, &self.turn, self)

    def take_turn(self):
        """Go on; called by the line."""
        resume(&self.turn)
        begin(self.service.line, &self.turn)
        self.advance()
        end(self.service.line, &self.turn)

    @property
    def units(self):
        """Units of work that the last callback has used, 0 if they are too few to be counted."""
        return self.turn.had - self.turn.left

    cdef advance(self):
        """Go on with what has waited for the connection's turn."""
        raise NotImplementedError

    cdef check(self, double at):
        """Close the connection if its time-out has expired."""
        raise NotImplementedError

    cdef bint is_idle(self):
        """Whether no request is being received or answered."""
        raise NotImplementedError

    cdef drain(self):
        """Close the connection, or have it end after its current answers."""
        raise NotImplementedError

    cdef authenticated(self):
        """Note that a request on this connection was authenticated."""
        if self.unauthenticated is not None:
            self.unauthenticated.leave()
            self.unauthenticated = None
            if self.secure and self.service.wide < MANY_WIDE:
                receive_buffer.widen(self.transport.get_extra_info("socket"))

    cdef accepted(self, transport):
        """Note a new connection, with who its client is."""
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self.peer = tuple(peer[:2]) if isinstance(peer, tuple) else ("", 0)
        ssl_object = transport.get_extra_info("ssl_object")
        self.certificates = () if ssl_object is None else self.begin_tls(ssl_object)
        self.service.accepted += 1
        self.service.connections.add(self)

    # --- TLS

    cdef begin_tls(self, ssl_object):
        """The connection is over TLS: limit what TLS buffers for it; returns the client's certificates."""
        self.secure = True
        # TLS has its own buffer, so a small one is enough here. With TLS 1.2 that buffer still holds the
        # server's Finished message, so this pauses writing at once, until the transport has done its
        # first read.
        self.transport.set_write_buffer_limits(high=1)
        self.transport.set_read_buffer_limits(high=READ_AHEAD)
        return self.service.peer_chain(ssl_object)

    cdef grow(self, Py_ssize_t size):
        """Note the largest read so far. TLS keeps two buffers of that size until the connection ends."""
        if self.secure and size > WIDE:
            self.service.wide += self.largest <= WIDE
            if self.service.wide > MANY_WIDE:
                receive_buffer.narrow(self.transport.get_extra_info("socket"))
        self.largest = size

    cdef end_tls(self):
        """The connection has ended, and its buffers go."""
        if self.secure and self.largest > WIDE:
            self.service.wide -= 1
            if self.service.on_freed is not None:
                self.service.on_freed()
        self.secure = False

    cdef bint is_outgrown(self):
        """Whether the connection is to end with its answer, so that TLS's large buffers go:
        that of a stranger, and each while there are many."""
        if self.largest <= WIDE or not self.secure:
            return False
        return self.unauthenticated is not None or self.service.wide > MANY_WIDE

    cdef Py_ssize_t with_buffers(self, Py_ssize_t size):
        """Bytes of memory that `size` bytes of an unfinished message take together with TLS's buffers."""
        return size + BUFFERS * self.largest if self.secure and size else size

    cdef abort_soon(self):
        """End the connection when what was written has gone to the socket. The peer gets no time to close it,
        because TLS keeps its buffers until then."""
        self.service.loop.call_soon(self.transport.abort)
