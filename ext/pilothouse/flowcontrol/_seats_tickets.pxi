# Requests that have seats or wait for them, the queues in which they wait, and the flows that they belong to.


cdef class Line:
    """Tickets in the order in which they came."""

    cdef Ticket first, last
    cdef Py_ssize_t length

    cdef void append(self, Ticket ticket):
        ticket.before = self.last
        if self.last is None:
            self.first = ticket
        else:
            self.last.after = ticket
        self.last = ticket
        self.length += 1

    cdef void remove(self, Ticket ticket):
        if ticket.before is None:
            self.first = ticket.after
        else:
            ticket.before.after = ticket.after
        if ticket.after is None:
            self.last = ticket.before
        else:
            ticket.after.before = ticket.before
        ticket.before = ticket.after = None
        self.length -= 1

    cdef list all(self):
        cdef list out = []
        cdef Ticket ticket = self.first
        while ticket is not None:
            out.append(ticket)
            ticket = ticket.after
        return out


cdef class Queue(Line):
    """The requests of one queue: those that wait, in line, and those that are served."""

    cdef readonly Py_ssize_t index, executing, seats_in_use, initial_seats, max_seats
    cdef readonly Py_ssize_t size            # bytes of the bodies of those who wait
    cdef readonly double next_dispatch       # reading of the meter at which its next request is due
    cdef long long units                     # work of those who wait; exact, so that equals are equal

    def __init__(self, Py_ssize_t index):
        self.index = index

    @property
    def work(self):
        """Seat-seconds of those who wait."""
        return self.units / 1e8

    @property
    def waiting(self):
        """How many requests wait."""
        return self.length

    def tickets(self):
        """The tickets that wait, the oldest first."""
        return self.all()

    cdef void push(self, Ticket ticket):
        self.append(ticket)
        self.initial_seats += ticket.seats
        self.max_seats += ticket.width
        self.units += units(ticket)
        self.size += ticket.size

    cdef void pull(self, Ticket ticket):
        self.remove(ticket)
        self.initial_seats -= ticket.seats
        self.max_seats -= ticket.width
        self.units -= units(ticket)
        self.size -= ticket.size

    cdef void bound(self) noexcept:
        """A queue is not served earlier, in virtual time, than its oldest request came.
        Without this a queue that uses less than its part would save up claims."""
        if self.first is not None and self.next_dispatch < self.first.arrival:
            self.next_dispatch = self.first.arrival


cdef inline long long units(Ticket ticket) noexcept:
    """The work of a request in hundred-millionths of a seat-second."""
    return <long long>(ticket.work * 1e8 + 0.5)


cdef class Flow:
    """Requests that are treated alike: those of a flow schema, and of one user or namespace if it
    tells these apart.

    hand: the queues that its requests may wait in; () where the level has no queues.
    uids: those of the flow schema and of the priority level; None where the two do not exist as objects.
    """

    cdef readonly Level level
    cdef readonly Series series
    cdef readonly str schema, distinguisher
    cdef readonly tuple hand, uids

    def __init__(self, Level level not None, Series series not None, str schema not None,
                 str distinguisher="", tuple hand=(), tuple uids=None):
        self.level, self.series = level, series
        self.schema, self.distinguisher = schema, distinguisher
        self.hand, self.uids = hand, uids

    def enter(self, user, info, Py_ssize_t seats=1, Py_ssize_t final_seats=0, double extra=0.0,
              bint mutating=False, Py_ssize_t size=0):
        """Take `seats` for a request, or stand in line: look at the ticket's `running` and `waiting`.

        `final_seats` are kept for `extra` seconds after its end. `size` is the length of its body in
        bytes. `user` and `info` are for dumps.
        """
        cdef Ticket ticket = Ticket.__new__(Ticket)
        ticket.flow = self
        ticket.user = user
        ticket.info = info
        ticket.seats = seats
        ticket.final_seats = final_seats
        ticket.width = max(seats, final_seats)
        ticket.extra = extra
        ticket.mutating = mutating
        ticket.size = size
        ticket.work = seats * SERVICE + final_seats * extra
        self.level.enter(ticket)
        return ticket

    def at_once(self, user, info):
        """Take a seat for a read when one is free; None, with nothing counted, when it had to wait."""
        cdef Level level = self.level
        if level.queues >= 0 and (level.waiting or level.seats_in_use >= level.limit):
            return None
        return self.enter(user, info)


@cython.freelist(64)
cdef class Ticket:
    """The seats of one request, or its place in a queue. `release` gives either back and may be called again.

    answered: set when the answer has begun; from then on only its client can hold it up.
    waiter: a future that is resolved when its waiting ends, whether by seats or by a refusal.
    reason: why it was refused, under the names of upstream's metric; "" otherwise.
    heavy: it was refused because the bodies of those that wait take too much memory.
    """

    cdef readonly Flow flow
    cdef readonly object user, info
    cdef readonly Py_ssize_t seats, final_seats
    cdef readonly double extra, arrived, started
    cdef readonly str reason
    cdef readonly bint heavy
    cdef readonly Py_ssize_t size
    cdef public bint answered, mutating
    cdef public object waiter
    cdef Py_ssize_t width
    cdef double work, arrival, looked
    cdef State state
    cdef Queue queue
    cdef Ticket before, after

    @property
    def running(self):
        """Whether it has its seats."""
        return self.state == RUNNING

    @property
    def waiting(self):
        """Whether it waits for seats."""
        return self.state == WAITING

    @property
    def lingering(self):
        """Whether it has ended and keeps its final seats for a while."""
        return self.state == LINGERING

    @property
    def refused(self):
        """Whether it has got no seats and will not."""
        return self.state == REFUSED

    @property
    def schema(self):
        """The name of its flow schema."""
        return self.flow.schema

    @property
    def level(self):
        """The name of its priority level."""
        return self.flow.level.name

    @property
    def queue_index(self):
        """The queue that it went through, -1 for none."""
        return -1 if self.queue is None else self.queue.index

    @property
    def waited(self):
        """Seconds that it has waited for its seats so far, or did."""
        cdef double until = self.started
        if self.state == WAITING:
            until = now(self.flow.level.clock)
        return max(until - self.arrived, 0.0)

    def release(self):
        """Give the seats, or the place in the queue, back: the request has ended, or its client has left."""
        if self.state == RUNNING:
            self.flow.level.end(self)
        elif self.state == WAITING:
            self.flow.level.drop(self, "cancelled")

    def time_out(self):
        """Refuse a request that has waited too long."""
        if self.state == WAITING:
            self.flow.level.drop(self, "time-out")

    def linger(self):
        """Give the seats back that were kept after the end."""
        if self.state == LINGERING:
            self.flow.level.free(self)

    cdef tell(self):
        """Have the request go on."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
