# Who may send a long body, and who has to wait with it. Included by _http1.pyx.

cdef Py_ssize_t SHORT = 64 * 1024     # bodies up to here are neither counted nor held up
cdef Py_ssize_t WINDOW = 256 * 1024   # bytes that a body is given room for at a time
cdef int SHARES = 4                   # one payer has at most this part of the budget
# seconds between two looks at how those come along who keep others waiting
cdef double LOOK = 0.25
cdef double PATIENCE = 1.0            # seconds that one of them has at least
cdef double PACE = 32 * 1024          # bytes a second that it has to bring,
cdef double DUE = 4.0                 # and so many that the whole body would take at most these seconds


cdef class Bodies:
    """The long bodies that are being received: together they stay within a budget of bytes.

    A body has room for what has come of it and for a window more. More room is given only while it is certain
    that the bodies can still come to their ends one after the other, in the order in which they were let in
    (Dijkstra's banker). So nobody waits for ever, and slow senders hold little. A body that is alone is
    always let in.

    Each body has a payer: the user who sends it, or the address. A payer has a part of the budget only, and
    who has the least room comes first. Who finds no room is not read from; meanwhile the bodies in the way
    that come too slowly are refused. Without a judge of heads there are no payers: all bodies are the same
    one's.
    """

    cdef object loop
    cdef Py_ssize_t budget
    cdef readonly Py_ssize_t reserved
    cdef readonly long long refused   # bodies that came too slowly
    cdef dict admitted                # connections, in the order in which they were let in
    cdef dict waiting                 # those that need room, in order of arrival
    cdef dict held                    # bytes of each payer
    cdef bint full                    # somebody waits for the budget
    cdef set crowded                  # payers who wait for their own part of it
    cdef object timer

    def __init__(self, loop, Py_ssize_t budget):
        self.loop = loop
        self.budget = budget
        self.admitted = {}
        self.waiting = {}
        self.held = {}
        self.crowded = set()

    cdef enter(self, Connection connection):
        """Let a body in or give it more room, or else hold its connection."""
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
            self.book(connection, -connection.room)
        if connection in self.waiting:
            del self.waiting[connection]
            connection.starved = False
            connection.regulate()
        self.admit()

    cdef book(self, Connection connection, Py_ssize_t size):
        cdef Py_ssize_t held = self.held.get(connection.payer, 0) + size
        connection.room += size
        self.reserved += size
        if held:
            self.held[connection.payer] = held
        else:
            self.held.pop(connection.payer, None)

    cdef admit(self):
        """Give room to who waits: to the oldest body, then to those whose payers have least."""
        cdef Connection connection
        self.full = False
        self.crowded.clear()
        if not self.waiting:
            return
        connection = next(iter(self.admitted), None)
        if connection is not None and connection in self.waiting:
            self.grant(connection)
        while not self.full:
            connection = self.neediest()
            if connection is None:
                return
            self.grant(connection)

    cdef Connection neediest(self):
        cdef Connection best = None, connection
        cdef Py_ssize_t least = 0, held
        for connection in self.waiting:
            held = self.held.get(connection.payer, 0)
            if (best is None or held < least) and connection.payer not in self.crowded:
                best, least = connection, held
                if held == 0:
                    break
        return best

    cdef grant(self, Connection connection):
        """Give one body room for its next window, or note what keeps it from that."""
        cdef Py_ssize_t more = min(connection.expected, connection.body_size + WINDOW) - connection.room
        cdef bint anew = connection not in self.admitted
        self.admitted[connection] = None
        self.book(connection, more)
        if not self.safe(self.budget, self.reserved, None):
            self.full = True
        elif connection.payer is not None and not self.safe(
            self.budget // SHARES, self.held[connection.payer], connection.payer
        ):
            self.crowded.add(connection.payer)
        else:
            del self.waiting[connection]
            if anew or connection.starved:
                connection.mark = connection.body_size
                connection.marked = now()
            connection.starved = False
            connection.regulate()
            return
        self.book(connection, -more)
        if anew:
            del self.admitted[connection]

    cdef bint safe(self, Py_ssize_t budget, Py_ssize_t held, payer):
        """Whether the bodies, or those of one payer, can come to their ends one after the other."""
        cdef Connection connection
        cdef Py_ssize_t room = budget - held
        cdef bint first = True
        for connection in self.admitted:
            if payer is not None and connection.payer != payer:
                continue
            if first and connection.room == held:
                return True               # it is alone
            if room < 0 or connection.expected - connection.room > room:
                return False
            first = False
            room += connection.room
        return True

    def hurry(self, double at=0.0):
        """Refuse bodies that come too slowly while others wait; `at` is the monotonic time to judge by."""
        cdef Connection connection
        cdef double passed
        self.timer = None
        if at == 0.0:
            at = now()
        for connection in list(self.admitted):
            passed = at - connection.marked
            if passed < PATIENCE or connection in self.waiting or connection not in self.admitted:
                continue
            if not self.full and connection.payer not in self.crowded:
                continue
            if connection.body_size - connection.mark < max(PACE, connection.expected / DUE) * passed:
                self.refused += 1
                connection.refuse(plain_error("408 Request Timeout", ""))
            else:
                connection.mark = connection.body_size
                connection.marked = at
        if self.waiting:
            self.timer = self.loop.call_later(LOOK, self.hurry)
