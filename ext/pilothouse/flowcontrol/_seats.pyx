"""The seats of a priority level, and the queues of those who wait for them (KEP-1040).

A request takes some seats of its level while it is served. One that finds too few waits in one of the level's
queues. The queues are served fairly by virtual time: each queue has a progress meter in seat-seconds,
all meters grow alike while their queues have work, and the queue that would have finished its oldest
request first is served next (apiserver fairqueuing/queueset). Nobody overtakes a wide request that
waits for enough seats, but for this: one seat in eight is for requests that need one. They may take
those, so that wide ones of another user, which may take long, do not hold them up; it costs the wide
ones nothing. A queue exists only while it has requests, so the number of queues that a configuration
asks for takes no memory.

PERF: a request that need not wait costs a few additions in C: nothing is queued, and no Python code runs.
"""

import cython

from pilothouse._clock cimport now
from pilothouse.metrics._instruments cimport Distribution

cdef double SERVICE = 0.003      # seconds that a request is expected to take, until it has ended
cdef Py_ssize_t KEPT = 8         # one seat in so many is for requests that need one seat
cdef Py_ssize_t WAITING_BYTES = 64 * 1024 * 1024    # of bodies of all who wait, as in offload.py
cdef Py_ssize_t QUEUE_BYTES = 4 * 1024 * 1024       # of those in one queue; one body may be longer

cdef enum State:
    WAITING, RUNNING, LINGERING, ENDED, REFUSED

cdef tuple SECONDS = (0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30)
cdef tuple LENGTHS = (0, 10, 25, 50, 100, 250, 500, 1000)
cdef tuple WATCHERS = (0, 1, 10, 100, 1000, 10000)
cdef tuple ESTIMATES = (1, 2, 4, 8, 16, 32, 64, 100)
cdef tuple DEMANDS = (0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.7, 2, 2.8, 4, 6)
cdef tuple SEATS = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)
cdef tuple REQUESTS = (0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 1)
cdef tuple KINDS = (0, 0.001, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)

BUCKETS = {
    "seconds": SECONDS, "lengths": LENGTHS, "watchers": WATCHERS, "estimates": ESTIMATES, "demands": DEMANDS,
    "seats": SEATS, "requests": REQUESTS, "kinds": KINDS,
}


include "_seats_counts.pxi"
include "_seats_tickets.pxi"


cdef class Level:
    """The seats of one priority level.

    queues: how many there are; 0: who finds no seats is refused; -1: nobody ever waits (exempt).
    limit: seats that may be in use together. `clock` gives seconds; `later(seconds, call)` calls back.
    """

    cdef readonly str name
    cdef readonly Py_ssize_t queues, hand_size, length_limit, limit
    cdef readonly Py_ssize_t waiting, waiting_seats, executing, seats_in_use
    cdef readonly Py_ssize_t kept            # seats for requests that need one
    cdef readonly Py_ssize_t narrow          # requests that need one and have it
    cdef readonly long long dispatched, rejected, timed_out, cancelled
    cdef readonly double meter               # virtual time, in seat-seconds of each queue
    cdef readonly double dispatch_meter, latest_start, next_min, next_max, discounted_min, discounted_max
    cdef object clock, later
    cdef dict by_index
    cdef Py_ssize_t active                   # queues with requests that wait or are served
    cdef Py_ssize_t robin
    cdef long long enqueued
    cdef Line served
    cdef Kinds kinds
    cdef Timing demand_timing, seat_timing, executing_timing, waiting_timing
    cdef double at                           # when meter and integral were moved last
    cdef double elapsed, integral, square    # of the demand for seats, since it was asked for last
    cdef Py_ssize_t highest

    def __init__(self, str name not None, Kinds kinds not None, later, clock=None):
        cdef double at = now(clock)
        self.name, self.kinds, self.later, self.clock = name, kinds, later, clock
        self.by_index = {}
        self.served = Line()
        self.at = at
        self.demand_timing = Timing(DEMANDS, at)
        self.seat_timing = Timing(SEATS, at)
        self.executing_timing = Timing(REQUESTS, at)
        self.waiting_timing = Timing(REQUESTS, at)

    # --- configuration

    def configure(self, Py_ssize_t queues, Py_ssize_t hand_size=0, Py_ssize_t length_limit=0):
        """Set the queues. Those that are too many go when they are empty."""
        cdef double at = now(self.clock)
        self.advance(at)
        self.queues, self.hand_size, self.length_limit = queues, hand_size, length_limit
        self.waiting_timing.relate(max(length_limit, 1) * max(queues, 1), at)
        self.dispatch(at)

    def resize(self, Py_ssize_t limit, Py_ssize_t usual):
        """Set the limit; `usual` is what metrics relate seats in use to."""
        cdef double at = now(self.clock)
        self.advance(at)
        self.limit = limit
        self.kept = limit // KEPT
        self.seat_timing.relate(usual, at)
        self.executing_timing.relate(usual, at)
        self.demand_timing.relate(usual, at)
        self.dispatch(at)

    # --- what others see

    @property
    def idle(self):
        """Whether nobody waits or is served."""
        return not self.waiting and not self.executing

    @property
    def used(self):
        """Whether a request has ever come."""
        return self.dispatched > 0 or self.rejected > 0 or self.waiting > 0

    def queues_in_use(self):
        """The queues that have requests, by index."""
        return dict(self.by_index)

    def served_tickets(self):
        """The tickets that have seats."""
        return self.served.all()

    def timings(self):
        """The distributions of demand, seats in use, and requests that are served and that wait; up to
        now."""
        cdef double at = now(self.clock)
        cdef Timing timing
        cdef list out = []
        for timing in (self.demand_timing, self.seat_timing, self.executing_timing, self.waiting_timing):
            timing.sync(at)
            out.append(timing.distribution)
        return tuple(out)

    def demand(self):
        """Seats that were wanted since the last call: (seconds, average, standard deviation, most)."""
        cdef double average = 0, deviation = 0, seconds, variance
        cdef Py_ssize_t highest = self.highest
        self.advance(now(self.clock))
        seconds = self.elapsed
        if seconds > 0:
            average = self.integral / seconds
            variance = self.square / seconds - average * average
            deviation = variance ** 0.5 if variance > 0 else 0
        self.elapsed = self.integral = self.square = 0
        self.highest = self.seats_in_use + self.waiting_seats
        return seconds, average, deviation, highest

    # --- a request comes and goes

    cdef enter(self, Ticket ticket):
        cdef Flow flow = ticket.flow
        cdef Queue queue
        cdef double at = now(self.clock)
        self.advance(at)
        ticket.arrived = ticket.started = at
        ticket.arrival = self.meter
        flow.series.estimates.observe(ticket.width)
        if self.queues <= 0:
            if not self.fits(ticket.width):
                self.refuse(ticket, "concurrency-limit")
                return
            self.demand_timing.move(ticket.width, at)
            self.start(ticket, at)
            return
        queue = self.choose(flow.hand)
        if self.seats_in_use >= self.limit and queue.length >= self.length_limit:
            self.refuse(ticket, "queue-full")
            return
        if not queue.length:
            if not queue.executing:
                self.active += 1
                queue.next_dispatch = self.meter
                self.by_index[queue.index] = queue
            elif queue.next_dispatch < self.meter:
                queue.next_dispatch = self.meter
        ticket.queue = queue
        flow.series.lengths.observe(queue.length + 1)
        if not self.waiting and self.seats_in_use < self.limit:
            self.reshape(ticket)
            if self.fits(ticket.width):
                self.note(queue.next_dispatch, queue.next_dispatch, queue.next_dispatch, queue)
                self.robin = queue.index
                self.demand_timing.move(ticket.width, at)
                self.start(ticket, at)
                return
        if ticket.size and not self.bears(queue, ticket.size):
            ticket.heavy = True
            self.refuse(ticket, "queue-full")
            self.tidy(queue, True)
            return
        self.stand(ticket, at)
        self.dispatch(at)

    cdef bint bears(self, Queue queue, Py_ssize_t size) noexcept:
        """Whether a body of so many bytes may wait in a queue."""
        if self.kinds.waiting_bytes + size > WAITING_BYTES:
            return False
        return not queue.length or queue.size + size <= QUEUE_BYTES

    cdef Queue choose(self, tuple hand):
        """The queue with the least work waiting, of those that a flow may use. Each request looks at them
        from another start, so that flows that share queues spread over those that are equal."""
        cdef Py_ssize_t size = len(hand), i, offset
        cdef Queue queue, best = None
        if not size:
            hand, size = (0,), 1
        offset = <Py_ssize_t>(self.enqueued % size)
        self.enqueued += 1
        for i in range(size):
            index = hand[(offset + i) % size]
            queue = <Queue>self.by_index.get(index)
            if queue is None:
                queue = Queue.__new__(Queue)
                queue.index = index
                return queue
            if best is None or queue.units < best.units:
                best = queue
            if not best.length:
                break
        return best

    cdef bint fits(self, Py_ssize_t width) noexcept:
        """Whether so many seats are free. What is too wide for the level gets all of it, alone; a level
        without seats that has no queues refuses everything (kubernetes#134196)."""
        if self.queues < 0:
            return True
        if width == 1:
            return self.seats_in_use < self.limit
        if self.too_wide(width):
            return self.executing == 0 and (self.queues > 0 or self.limit > 0)
        return self.seats_in_use + width + max(self.kept - self.narrow, 0) <= self.limit

    cdef bint too_wide(self, Py_ssize_t width) noexcept:
        """Whether a request needs more seats than wide ones may have together."""
        return width + self.kept > self.limit

    cdef void reshape(self, Ticket ticket) noexcept:
        """Final seats beyond the limit become fewer, for longer."""
        if ticket.final_seats > self.limit > 0:
            ticket.extra = ticket.final_seats * ticket.extra / self.limit
            ticket.final_seats = self.limit
            ticket.width = max(ticket.seats, ticket.final_seats)

    cdef void stand(self, Ticket ticket, double at):
        """Put a request into its queue."""
        cdef Series series = ticket.flow.series
        ticket.state = WAITING
        ticket.queue.push(ticket)
        self.waiting += 1
        self.waiting_seats += ticket.width
        self.kinds.waiting_bytes += ticket.size
        series.waiting += 1
        series.waiting_seats += ticket.width
        self.waiting_timing.move(1, at)
        (self.kinds.waiting_writes if ticket.mutating else self.kinds.waiting_reads).move(1, at)
        self.demand_timing.move(ticket.width, at)
        self.wanted()

    cdef void unstand(self, Ticket ticket, double at):
        """Take a request out of its queue."""
        cdef Series series = ticket.flow.series
        ticket.queue.pull(ticket)
        self.waiting -= 1
        self.waiting_seats -= ticket.width
        self.kinds.waiting_bytes -= ticket.size
        series.waiting -= 1
        series.waiting_seats -= ticket.width
        self.waiting_timing.move(-1, at)
        (self.kinds.waiting_writes if ticket.mutating else self.kinds.waiting_reads).move(-1, at)

    cdef void wanted(self) noexcept:
        """Note how many seats are wanted."""
        if self.seats_in_use + self.waiting_seats > self.highest:
            self.highest = self.seats_in_use + self.waiting_seats

    cdef void start(self, Ticket ticket, double at):
        """Give a request its seats."""
        cdef Series series = ticket.flow.series
        cdef Queue queue = ticket.queue
        cdef Py_ssize_t width = ticket.width
        ticket.state = RUNNING
        ticket.started = at
        self.served.append(ticket)
        self.executing += 1
        self.seats_in_use += width
        self.dispatched += 1
        series.executing += 1
        series.executing_seats += width
        series.dispatched += 1
        if width == 1:
            self.narrow += 1
        if queue is not None:
            queue.executing += 1
            queue.seats_in_use += width
            queue.next_dispatch += ticket.work
        if self.queues >= 0:
            series.waits.observe(at - ticket.arrived)
        self.seat_timing.move(width, at)
        self.executing_timing.move(1, at)
        (self.kinds.executing_writes if ticket.mutating else self.kinds.executing_reads).move(1, at)
        self.wanted()

    cdef void refuse(self, Ticket ticket, str reason):
        """Count a request that gets no seats."""
        cdef Series series = ticket.flow.series
        ticket.state = REFUSED
        ticket.reason = reason
        self.rejected += 1
        if reason == "queue-full":
            series.queue_full += 1
        elif reason == "concurrency-limit":
            series.concurrency_limit += 1
        elif reason == "time-out":
            series.timed_out += 1
            self.timed_out += 1
        else:
            series.cancelled += 1
            self.cancelled += 1
        series.vain.observe(ticket.started - ticket.arrived)

    cdef drop(self, Ticket ticket, str reason):
        """Remove a request from its queue."""
        cdef double at = now(self.clock)
        cdef Queue queue = ticket.queue
        self.advance(at)
        self.unstand(ticket, at)
        self.demand_timing.move(-ticket.width, at)
        ticket.started = at
        self.refuse(ticket, reason)
        queue.bound()
        self.tidy(queue, True)
        ticket.tell()
        self.dispatch(at)

    cdef end(self, Ticket ticket):
        """A request has been served."""
        cdef double at = now(self.clock)
        cdef Series series = ticket.flow.series
        cdef Queue queue = ticket.queue
        cdef Distribution counts
        self.advance(at)
        self.served.remove(ticket)
        self.executing -= 1
        series.executing -= 1
        watch = ticket.info is not None and ticket.info.verb == "watch"
        counts = series.watches if watch else series.regular
        counts.observe(at - ticket.started)
        self.executing_timing.move(-1, at)
        (self.kinds.executing_writes if ticket.mutating else self.kinds.executing_reads).move(-1, at)
        if queue is not None:
            queue.executing -= 1
            queue.next_dispatch -= ticket.seats * (SERVICE - (at - ticket.started))
            queue.bound()
        if ticket.extra > 0 and ticket.final_seats > 0:
            ticket.state = LINGERING
            if queue is not None:
                self.tidy(queue, True)
            self.later(ticket.extra, ticket.linger)
            self.dispatch(at)
            return
        if queue is not None and not queue.executing and not queue.length:
            self.active -= 1
        self.vacate(ticket, at)

    cdef free(self, Ticket ticket):
        """The seats that were kept after the end of a request are free."""
        cdef double at = now(self.clock)
        self.advance(at)
        self.vacate(ticket, at)

    cdef vacate(self, Ticket ticket, double at):
        cdef Queue queue = ticket.queue
        ticket.state = ENDED
        self.seats_in_use -= ticket.width
        if ticket.width == 1:
            self.narrow -= 1
        ticket.flow.series.executing_seats -= ticket.width
        self.seat_timing.move(-ticket.width, at)
        self.demand_timing.move(-ticket.width, at)
        if queue is not None:
            queue.seats_in_use -= ticket.width
            self.tidy(queue, False)
        self.dispatch(at)

    cdef void tidy(self, Queue queue, bint stops):
        """Forget a queue that has no requests and no seats; `stops`: it may just have lost its last
        request."""
        if queue.executing or queue.length:
            return
        if stops:
            self.active -= 1
        if not queue.seats_in_use:
            self.by_index.pop(queue.index, None)

    def let_go(self, double seconds):
        """Give the seats of those to others whose clients have been taking their answers for `seconds`."""
        cdef double at = now(self.clock)
        cdef Ticket ticket
        for ticket in self.served.all():
            if not ticket.answered:
                continue
            if ticket.looked == 0:
                ticket.looked = at
            elif at - ticket.looked >= seconds and ticket.state == RUNNING:
                ticket.flow.series.let_go += 1
                self.end(ticket)

    # --- fair queuing

    cdef void advance(self, double at) noexcept:
        """Move the meter, and the integral of the demand, up to now."""
        cdef double seconds = at - self.at
        cdef Py_ssize_t demand = self.seats_in_use + self.waiting_seats
        if seconds <= 0:
            return
        self.at = at
        if self.active:
            self.meter += seconds * (demand if demand < self.limit else self.limit) / self.active
        self.elapsed += seconds
        self.integral += seconds * demand
        self.square += seconds * demand * demand

    cdef dispatch(self, double at):
        """Give seats to those who wait, as far as there are some."""
        cdef Ticket ticket
        while self.waiting and self.seats_in_use < self.limit:
            ticket = self.next_ticket()
            if ticket is None:
                return
            self.unstand(ticket, at)
            self.demand_timing.move(-ticket.width, at)
            self.reshape(ticket)
            self.demand_timing.move(ticket.width, at)
            self.start(ticket, at)
            ticket.queue.bound()
            ticket.tell()

    cdef Ticket next_ticket(self):
        """The ticket whose turn it is, None if there are too few seats for it; then
        one that needs one seat may take one of the seats that are kept. Of queues that
        are equal, the next one after the queue that was served last has its turn."""
        cdef Queue queue, best = None, narrow = None
        cdef double finish, least = 0, least_narrow = 0, low = 0, high = 0, discounted
        cdef Py_ssize_t distance, nearest = 0, nearest_narrow = 0
        cdef Py_ssize_t around = max(self.queues, 1)
        for queue in self.by_index.values():
            if not queue.length:
                continue
            finish = queue.next_dispatch + queue.first.work
            distance = (queue.index - self.robin - 1) % around
            discounted = queue.next_dispatch - queue.seats_in_use * SERVICE
            if best is None:
                low = high = queue.next_dispatch
                self.discounted_min = self.discounted_max = discounted
            low, high = min(low, queue.next_dispatch), max(high, queue.next_dispatch)
            self.discounted_min = min(self.discounted_min, discounted)
            self.discounted_max = max(self.discounted_max, discounted)
            if best is None or finish < least or (finish == least and distance < nearest):
                best, least, nearest = queue, finish, distance
            if queue.first.width == 1 and (narrow is None or finish < least_narrow or (
                    finish == least_narrow and distance < nearest_narrow)):
                narrow, least_narrow, nearest_narrow = queue, finish, distance
        if best is None:
            return None
        if not self.fits(best.first.width):
            best.first.flow.series.crowded += 1
            if narrow is None or self.narrow >= self.kept or self.too_wide(best.first.width):
                return None
            best = narrow
        self.robin = best.index
        self.dispatch_meter, self.latest_start = self.meter, best.next_dispatch
        self.next_min, self.next_max = low, high
        return best.first

    cdef void note(self, double start, double low, double high, Queue queue) noexcept:
        """Keep, for the metrics, what a dispatch without waiting has seen."""
        self.dispatch_meter, self.latest_start = self.meter, start
        self.next_min, self.next_max = low, high
        self.discounted_min = self.discounted_max = start - queue.seats_in_use * SERVICE
