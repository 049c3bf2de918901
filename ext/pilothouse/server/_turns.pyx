"""Turns: connections cannot keep the event loop for long, neither one nor all together, whatever peers send.

An engine (HTTP/1.1, HTTP/2, HPACK, WebSocket, SPDY, outbound HTTP) declares what its pieces of work cost, in
units of about a nanosecond. They count work, not time, so tests can count them too. A connection that has
used up its units keeps the bytes that are left, pauses its transport's reading and stands in the line of its
server object; the loop runs all else before it comes back to those in the line, one after the other. In a
turn of the loop all of them together get two milliseconds; the more of them wait, the less has each, so that
a short request among a thousand floods is done in its first turn.

Ordinary requests see two comparisons. A callback that uses no more than FREE units counts as nothing, and
each connection gets that much also when all others have used up what they share.
"""

from collections import deque

from pilothouse._clock cimport processor_time

cdef int FEW = 4                      # pipelined requests that are always answered in one turn of the loop,
cdef double ENOUGH = 0.001            # and seconds of processor time during which further ones are
cdef double LATE = 0.004              # seconds after which a turn ends, whatever the units say


cdef class Line:
    """The line of the connections of one server object that wait for their turn on `loop`.

    A connection that stands in it has a method `take_turn()`, which goes on with its work, or does nothing if
    the connection has ended.
    """

    def __init__(self, loop):
        self.loop = loop
        self.takers = deque()
        self.quantum = TURN
        self.epoch = 1

    def __len__(self):
        return len(self.takers)

    cdef charge(self, long long units):
        """Count units; when all that connections share is used up, others get only FREE."""
        self.used += units
        if self.used > self.most:
            self.most = self.used
        if self.used > ROUND and self.quantum > FREE:
            self.quantum = FREE
            self.epoch += 1
        self.schedule()

    cdef put(self, taker):
        self.deferred += 1
        self.takers.append(taker)
        self.schedule()

    cdef schedule(self):
        if not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self.run)

    cdef bint may_answer(self):
        """Whether another pipelined request may be answered in this turn of the loop."""
        if self.requests == 0:
            self.ends = processor_time() + ENOUGH
            self.schedule()
        self.requests += 1
        return self.requests <= FEW or processor_time() < self.ends

    def run(self):
        """Begin a turn of the loop: let those in the line go on, one after the other."""
        cdef Py_ssize_t left = len(self.takers)
        cdef long long before
        cdef double most = processor_time() + LATE
        self.scheduled = False
        self.used = self.requests = 0
        self.epoch += 1
        self.quantum = TURN if left * TURN <= ROUND else max(FREE, ROUND // left)
        try:
            while left and self.goes_on(most):
                left -= 1
                before = self.used
                self.takers.popleft().take_turn()
                if self.used == before:
                    self.used += FREE  # in the line, little counts as well
        finally:                      # a mistake in one engine leaves nobody waiting
            if self.takers:
                self.schedule()

    cdef bint goes_on(self, double most):
        """Whether another connection may take its turn in this turn of the loop."""
        cdef double at
        if self.used >= ROUND:
            return False
        at = processor_time()
        return at < most and (self.requests < FEW or at < self.ends)


cdef class Taker:
    """The turns of one connection whose engine is written in Python.

    `go_on` is called without arguments when the turn of a waiting connection has come. An engine's callback:

        turn.begin()
        while piece := self.next_piece():
            self.handle(piece)
            if not turn.spend(units):
                turn.wait()           # and pause reading; `go_on` does the rest
                break
        turn.end()
    """

    def __init__(self, Line line, go_on):
        self.line = line
        self.go_on = go_on

    @property
    def waits(self):
        """Whether the connection stands in the line: what comes now is added to what is left."""
        return self.turn.waits

    def begin(self):
        """A callback begins."""
        begin(self.line, &self.turn)

    def spend(self, long long units):
        """Use units; false if there are none left."""
        self.turn.left -= units
        return self.turn.left > 0

    def end(self):
        """The callback ends."""
        end(self.line, &self.turn)

    def wait(self):
        """Stand in the line: there is work left."""
        wait(self.line, &self.turn, self)

    def close(self):
        """The connection has ended: `go_on` is not called again."""
        self.go_on = None

    def take_turn(self):
        """Go on; called by the line."""
        resume(&self.turn)
        if self.go_on is not None:
            self.go_on()
