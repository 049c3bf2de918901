# Who may send a long body, and who has to wait with it. Included by _http1.pyx.

cdef Py_ssize_t SHORT = 64 * 1024     # bodies up to here are neither counted nor held up
cdef double LOOK = 0.25               # seconds between two looks at how those come along who keep others waiting
cdef double PATIENCE = 1.0            # seconds that one of them has at least
cdef double PACE = 32 * 1024          # bytes a second that it has to bring


cdef class Bodies:
    """The long bodies that are being received: together they stay within a budget of bytes.

    Each one is let in with all the bytes that it may have, so that it never has to stop again and always comes to an end.
    Who comes when there is no room left is not read from until others have ended, in the order of arrival; meanwhile the
    bodies that come too slowly are refused.
    """

    cdef object loop
    cdef Py_ssize_t budget
    cdef readonly Py_ssize_t reserved
    cdef dict admitted, waiting       # connections, in order of arrival
    cdef object timer

    def __init__(self, loop, Py_ssize_t budget):
        self.loop = loop
        self.budget = budget
        self.admitted = {}
        self.waiting = {}

    cdef enter(self, Connection connection):
        """Let a body in, or hold its connection."""
        self.waiting[connection] = None
        self.admit()
        if connection in self.waiting:
            connection.starved = True
            connection.regulate()
            if self.timer is None:
                self.timer = self.loop.call_later(LOOK, self.hurry)

    cdef leave(self, Connection connection):
        """A body has ended one way or another."""
        if connection in self.admitted:
            del self.admitted[connection]
            self.reserved -= connection.expected
        else:
            del self.waiting[connection]
            connection.starved = False
            connection.regulate()
        self.admit()

    cdef admit(self):
        """Let in who waits, as far as there is room; one alone always has it."""
        cdef Connection connection
        while self.waiting:
            connection = next(iter(self.waiting))
            if self.admitted and self.reserved + connection.expected > self.budget:
                return
            del self.waiting[connection]
            self.admitted[connection] = None
            self.reserved += connection.expected
            connection.mark = connection.body_size
            connection.marked = now()
            connection.starved = False
            connection.regulate()

    def hurry(self, double at=0.0):
        """Refuse bodies that come too slowly while others wait; `at` is the monotonic time to judge by."""
        cdef Connection connection
        cdef double passed
        self.timer = None
        if at == 0.0:
            at = now()
        for connection in list(self.admitted):
            passed = at - connection.marked
            if not self.waiting or passed < PATIENCE:
                continue
            if connection.body_size - connection.mark < PACE * passed:
                connection.refuse(plain_error("408 Request Timeout", ""))
            connection.mark = connection.body_size
            connection.marked = at
        if self.waiting:
            self.timer = self.loop.call_later(LOOK, self.hurry)
