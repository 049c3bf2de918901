# What the connections of one listener share. Included by _http1.pyx.


cdef class Service:
    """What the connections of one listener share: the handler, limits (bytes, seconds) and counters.

    `too_large` answers a body over the limit. `compress(stream, pieces)` writes a body compressed to a stream
    and closes it; `peer_chain(ssl_object)` reads the client's certificates. `admit(request)` judges a request
    by its head before more of a long body is read: None lets the body come, a Response refuses it, and so
    does what an awaitable brings of these.
    """

    cdef object handler, admit, loop, compress, peer_chain, too_large
    cdef readonly set connections, leaving   # open; closed by us and not yet gone
    cdef public bint draining
    cdef public object on_change      # called when a connection was closed or has gone
    cdef readonly long long accepted, requests, bytes_in, bytes_out
    cdef public long long refused_connections
    cdef Py_ssize_t max_header_bytes, max_body_bytes, gzip_above
    cdef double header_timeout, body_timeout, idle_timeout
    cdef dict names                   # header names as they came -> lower-case text; bounded
    cdef list dirty                   # connections with stream writes of this loop turn
    cdef object line                  # connections whose pipelined requests wait for a turn
    cdef int extra                    # pipelined requests that were answered in this turn of the loop
    cdef double turn_ends             # by the processor time of the thread
    cdef Heads heads
    cdef readonly Bodies bodies
    cdef readonly Unfinished unfinished

    def __init__(
        self, handler, loop, *, too_large, compress, peer_chain, max_header_bytes, max_body_bytes,
        body_budget, header_timeout, body_timeout, idle_timeout, gzip_above, unfinished_budget, admit=None
    ):
        self.handler = handler
        self.admit = admit
        self.loop = loop
        self.too_large = too_large
        self.compress = compress
        self.peer_chain = peer_chain
        self.max_header_bytes = max_header_bytes
        self.max_body_bytes = max_body_bytes
        self.header_timeout = header_timeout
        self.body_timeout = body_timeout
        self.idle_timeout = idle_timeout
        self.gzip_above = gzip_above
        self.connections = set()
        self.leaving = set()
        self.names = {}
        self.dirty = []
        self.line = deque()
        self.heads = Heads()
        self.bodies = Bodies(loop, body_budget)
        self.unfinished = Unfinished(unfinished_budget)

    def __call__(self):
        """Make the protocol of a new connection."""
        return Connection(self)

    @property
    def open(self):
        """Connections that are open now."""
        return len(self.connections)

    def sweep(self, double at=0.0):
        """Close the connections whose time is up; `at` is the monotonic time to judge by."""
        cdef Connection connection
        if at == 0.0:
            at = now()
        for connection in list(self.connections):
            connection.check(at)

    def drain(self):
        """Close idle connections; the others end with the answer they are giving."""
        cdef Connection connection
        self.draining = True
        for connection in list(self.connections):
            if connection.current is None and not connection.in_message and not connection.waiting:
                connection.close()

    def abort(self):
        """Cut every connection."""
        cdef Connection connection
        for connection in [*self.connections, *self.leaving]:
            connection.transport.abort()

    def flush(self):
        """Hand what streams wrote in this loop turn to their transports."""
        cdef Answers connection
        cdef Py_ssize_t done = 0
        cdef long long end = self.bytes_out + BURST
        dirty = self.dirty
        self.dirty = []
        for connection in dirty:
            if self.bytes_out > end:  # the others have their turn after what else waits on the loop
                if not self.dirty:
                    self.loop.call_soon(self.flush)
                self.dirty = dirty[done:] + self.dirty
                return
            done += 1
            connection.scheduled = False
            connection.pump()

    cdef bint may_go_on(self):
        """Whether one more pipelined request may be answered in this turn of the loop."""
        if self.extra == 0:
            self.turn_ends = processor_time() + TURN
            self.loop.call_soon(self.turn)
        self.extra += 1
        return self.extra <= FEW or processor_time() < self.turn_ends

    cdef line_up(self, Answers connection):
        """Have a connection go on with its pipelined requests when it is its turn."""
        if not connection.lined_up:
            connection.lined_up = True
            self.line.append(connection)

    def turn(self):
        """Go on with pipelined requests, one connection after the other."""
        cdef Answers connection
        cdef Py_ssize_t left = len(self.line)
        self.extra = 0
        while left and self.turn_goes_on():
            left -= 1
            connection = self.line.popleft()
            connection.lined_up = False
            connection.advance()
        if self.line and self.extra == 0:
            self.extra = 1
            self.loop.call_soon(self.turn)

    cdef bint turn_goes_on(self):
        return self.extra < FEW or processor_time() < self.turn_ends

    cdef schedule(self, Answers connection):
        connection.scheduled = True
        if not self.dirty:
            self.loop.call_soon(self.flush)
        self.dirty.append(connection)

    cdef bytes refusal_of_body(self):
        body = self.too_large.body
        return self.heads.head(self.too_large, len(body), True, False, False, body)
