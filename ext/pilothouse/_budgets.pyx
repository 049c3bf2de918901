"""How much of requests that have not come whole the server keeps:
budgets of bytes for long bodies, and for the rest.

They know nothing of connections: a protocol has an `Incoming` for each message that it receives at a time,
and the budgets tell it when to stop reading or to refuse.
"""

from pilothouse._clock cimport now

cdef Py_ssize_t WINDOW = 256 * 1024   # bytes that a body is given room for at a time
cdef int SHARES = 4                   # one payer has at most the budget divided by this
cdef double INTERVAL = 0.25           # seconds between two checks of bodies that keep others waiting
cdef double GRACE = 1.0               # seconds that one of them has at least
cdef double MIN_RATE = 32 * 1024      # bytes a second at which such a body has to come,
cdef double MAX_SECONDS = 4.0         # or faster, so that the whole body takes at most these seconds
cdef double FRESH = 1.0               # seconds in which a message is spared as long as others can make room


cdef class Incoming:
    """A message on its way in, as the budgets see it;
    a protocol says how to stop reading it and how to refuse it."""

    cdef regulate(self):
        """Read on or not, as `awaits_room` says."""
        raise NotImplementedError

    cdef refuse_slow(self):
        """Refuse the body: it comes too slowly while others wait for its room."""
        raise NotImplementedError

    cdef double since(self):
        """The monotonic time at which the message, or its wait for an answer, began."""
        raise NotImplementedError

    cdef shed(self):
        """Give up what is kept of the message: the budget is used up."""
        raise NotImplementedError


cdef class Bodies:
    """The long bodies that are being received: together they stay within a budget of bytes.

    A body has room for what has come of it and for a window more. More room is given only while it is certain
    that the bodies can still come to their ends one after the other, in the order in which they were let in
    (Dijkstra's banker's algorithm). So no body waits for ever, and slow senders hold little. A body that is
    alone is always let in.

    Each body has a payer: the user who sends it, or the address. One payer may use a part of the budget
    only, and the payer with the least room is served first. A body without room is not read; meanwhile
    the bodies that hold the room and come too slowly are refused. Where no heads are judged all bodies
    have the same payer.
    """

    def __init__(self, loop, Py_ssize_t budget):
        self.loop = loop
        self.budget = budget
        self.admitted = {}
        self.waiting = {}
        self.held = {}
        self.crowded = set()

    cdef enter(self, Incoming body):
        """Let a body in or give it more room, or else stop reading it."""
        self.waiting[body] = None
        self.admit()
        if body in self.waiting:
            body.awaits_room = True
            body.regulate()
            if self.timer is None:
                self.timer = self.loop.call_later(INTERVAL, self.hurry)

    cdef leave(self, Incoming body):
        """A body has ended one way or another."""
        if body in self.admitted:
            del self.admitted[body]
            self.book(body, -body.room)
        if body in self.waiting:
            del self.waiting[body]
            body.awaits_room = False
            body.regulate()
        self.admit()

    cdef book(self, Incoming body, Py_ssize_t size):
        cdef Py_ssize_t held = self.held.get(body.payer, 0) + size
        body.room += size
        self.reserved += size
        if held:
            self.held[body.payer] = held
        else:
            self.held.pop(body.payer, None)

    cdef admit(self):
        """Give room to waiting bodies: to the oldest one, then to those whose payers have least."""
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
        """Give one body room for its next window, or note what keeps it from that."""
        cdef Py_ssize_t more = min(body.expected, body.received + WINDOW) - body.room
        cdef bint anew = body not in self.admitted
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
            if anew or body.awaits_room:
                body.mark = body.received
                body.marked = now()
            body.awaits_room = False
            body.regulate()
            return
        self.book(body, -more)
        if anew:
            del self.admitted[body]

    cdef bint safe(self, Py_ssize_t budget, Py_ssize_t held, payer):
        """Whether the bodies, or those of one payer, can come to their ends one after the other."""
        cdef Incoming body
        cdef Py_ssize_t room = budget - held
        cdef bint first = True
        for body in self.admitted:
            if payer is not None and body.payer != payer:
                continue
            if first and body.room == held:
                return True               # it is alone
            if room < 0 or body.expected - body.room > room:
                return False
            first = False
            room += body.room
        return True

    def hurry(self, double at=0.0):
        """Refuse bodies that come too slowly while others wait; `at` is the monotonic time to judge by."""
        cdef Incoming body
        cdef double passed
        self.timer = None
        if at == 0.0:
            at = now()
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
    """Heads and short bodies of which a part has come: together they stay within a budget of bytes.

    When they exceed it, messages are refused: those older than a second first, and of these the largest,
    so that ordinary requests are spared. An eighth of the budget is made free at once, so that this
    happens seldom.
    """

    def __init__(self, Py_ssize_t budget):
        self.budget = budget
        self.messages = set()

    cdef note(self, Incoming message, Py_ssize_t size):
        """Count the bytes that a message takes now."""
        if size == message.kept:
            return
        if size == 0:
            self.messages.discard(message)
        elif message.kept == 0:
            self.messages.add(message)
        self.held += size - message.kept
        message.kept = size
        if self.held > self.budget:
            self.shed(now())

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
