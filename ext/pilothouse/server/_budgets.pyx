"""Budgets of bytes for requests that have not arrived completely: one for long bodies, one for the rest.

They are independent of connections: a protocol has an `Incoming` for the message it is receiving, and the
budgets tell it when to stop reading or to refuse the message.
"""

from pilothouse._clock cimport now

cdef Py_ssize_t WINDOW = 256 * 1024   # bytes granted to a body at a time
cdef int SHARES = 4                   # one payer gets at most the budget divided by this
cdef double INTERVAL = 0.25           # seconds between two checks of bodies that make others wait
cdef double GRACE = 1.0               # seconds after a grant in which such a body is not refused
cdef double MIN_RATE = 32 * 1024      # bytes per second at which such a body must arrive,
cdef double MAX_SECONDS = 4.0         # or faster, so that the whole body takes at most this many seconds
cdef double FRESH = 1.0               # seconds for which a message is spared while older ones can be refused


cdef class Incoming:
    """A message being received. A protocol implements how to stop reading it and how to refuse it."""

    cdef regulate(self):
        """Pause or resume reading, according to `awaits_grant`."""
        raise NotImplementedError

    cdef refuse_slow(self):
        """Refuse the body: it arrives too slowly while others wait."""
        raise NotImplementedError

    cdef double since(self):
        """The monotonic time at which the message, or its wait for an answer, began."""
        raise NotImplementedError

    cdef shed(self):
        """Drop the received part of the message, because the budget is exhausted."""
        raise NotImplementedError


cdef class Bodies:
    """Keeps the long bodies that are being received within a budget of bytes.

    A body is granted what has arrived of it and one window more. Further bytes are granted only while all
    admitted bodies can still be completed one after the other, in the order of their admission (Dijkstra's
    banker's algorithm). So no body waits for ever, and slow senders hold little. A body that is alone is
    always granted bytes.

    Each body has a payer: the user who sends it, or the client's address. A payer may use only a share of the
    budget, and the payer with the smallest grants is served first. A body without a grant is not read;
    meanwhile bodies that hold grants and arrive too slowly are refused. Where heads are not judged, all
    bodies have the same payer.
    """

    def __init__(self, loop, Py_ssize_t budget, clock=None):
        self.loop = loop
        self.clock = clock
        self.budget = budget
        self.admitted = {}
        self.waiting = {}
        self.held = {}
        self.crowded = set()

    cdef enter(self, Incoming body):
        """Admit a body or grant it more bytes, or else stop reading it."""
        self.waiting[body] = None
        self.admit()
        if body in self.waiting:
            body.awaits_grant = True
            body.regulate()
            if self.timer is None:
                self.timer = self.loop.call_later(INTERVAL, self.hurry)

    cdef leave(self, Incoming body):
        """Remove a body that was completed or dropped."""
        if body in self.admitted:
            del self.admitted[body]
            self.book(body, -body.granted)
        if body in self.waiting:
            del self.waiting[body]
            body.awaits_grant = False
            body.regulate()
        self.admit()

    cdef book(self, Incoming body, Py_ssize_t size):
        cdef Py_ssize_t held = self.held.get(body.payer, 0) + size
        body.granted += size
        self.reserved += size
        if held:
            self.held[body.payer] = held
        else:
            self.held.pop(body.payer, None)

    cdef admit(self):
        """Grant bytes to waiting bodies: to the oldest one first, then to those whose payers have least."""
        cdef Incoming body
        self.full = False
        self.crowded.clear()
        if not self.waiting:
            return
        body = next(iter(self.admitted), None)
        if body is not None and body in self.waiting:
            self.grant(body)
        while not self.full:
            body = self.neediest()
            if body is None:
                return
            self.grant(body)

    cdef Incoming neediest(self):
        cdef Incoming best = None, body
        cdef Py_ssize_t least = 0, held
        for body in self.waiting:
            held = self.held.get(body.payer, 0)
            if (best is None or held < least) and body.payer not in self.crowded:
                best, least = body, held
                if held == 0:
                    break
        return best

    cdef grant(self, Incoming body):
        """Grant a body its next window, or record what prevents that."""
        cdef Py_ssize_t more = min(body.expected, body.received + WINDOW) - body.granted
        cdef bint again = body not in self.admitted
        self.admitted[body] = None
        self.book(body, more)
        if not self.safe(self.budget, self.reserved, None):
            self.full = True
        elif body.payer is not None and not self.safe(
            self.budget // SHARES, self.held[body.payer], body.payer
        ):
            self.crowded.add(body.payer)
        else:
            del self.waiting[body]
            if again or body.awaits_grant:
                body.mark = body.received
                body.marked = now(self.clock)
            body.awaits_grant = False
            body.regulate()
            return
        self.book(body, -more)
        if again:
            del self.admitted[body]

    cdef bint safe(self, Py_ssize_t budget, Py_ssize_t held, payer):
        """Whether the bodies, or those of one payer, can be completed one after the other."""
        cdef Incoming body
        cdef Py_ssize_t free = budget - held
        cdef bint first = True
        for body in self.admitted:
            if payer is not None and body.payer != payer:
                continue
            if first and body.granted == held:
                return True               # it is the only one
            if free < 0 or body.expected - body.granted > free:
                return False
            first = False
            free += body.granted
        return True

    def hurry(self, double at=0.0):
        """Refuse bodies that arrive too slowly while others wait;
        `at` is the monotonic time to compare with, 0 for now."""
        cdef Incoming body
        cdef double passed
        self.timer = None
        if at == 0.0:
            at = now(self.clock)
        for body in list(self.admitted):
            passed = at - body.marked
            if passed < GRACE or body in self.waiting or body not in self.admitted:
                continue
            if not self.full and body.payer not in self.crowded:
                continue
            if body.received - body.mark < max(MIN_RATE, body.expected / MAX_SECONDS) * passed:
                self.refused += 1
                body.refuse_slow()
            else:
                body.mark = body.received
                body.marked = at
        if self.waiting:
            self.timer = self.loop.call_later(INTERVAL, self.hurry)


cdef class Unfinished:
    """Keeps partly received heads and short bodies within a budget of bytes.

    When they exceed it, messages are refused: those older than a second first, and of these the largest, so
    that ordinary requests are spared. An eighth of the budget is freed at once, so that this is rarely
    necessary.
    """

    def __init__(self, Py_ssize_t budget, clock=None):
        self.budget = budget
        self.clock = clock
        self.messages = set()

    cdef note(self, Incoming message, Py_ssize_t size):
        """Record the bytes that a message takes now."""
        if size == message.kept:
            return
        if size == 0:
            self.messages.discard(message)
        elif message.kept == 0:
            self.messages.add(message)
        self.held += size - message.kept
        message.kept = size
        if self.held > self.budget:
            self.shed(now(self.clock))

    cdef shed(self, double at):
        cdef Incoming message
        cdef list order = []
        for message in self.messages:
            order.append((at - message.since() < FRESH, -message.kept, len(order), message))
        order.sort()
        for _, _, _, message in order:
            if self.held <= self.budget - self.budget // 8:
                return
            self.refused += 1
            message.shed()
