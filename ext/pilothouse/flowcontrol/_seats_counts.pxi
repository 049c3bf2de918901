# What is measured of the seats of a level: times, and counts of each flow schema.


cdef class Timing:
    """The nanoseconds for which a number, divided by a limit, was in each bucket
    (component-base TimingHistogram)."""

    cdef readonly Distribution distribution
    cdef double value, limit, since

    def __init__(self, tuple bounds not None, double at):
        self.distribution = Distribution(bounds)
        self.limit = 1
        self.since = at

    cdef void sync(self, double at) noexcept:
        """Count the time up to now."""
        cdef Distribution counts = self.distribution
        cdef double fraction
        cdef long long nanoseconds
        cdef Py_ssize_t i = 0
        if at <= self.since:
            return
        nanoseconds = <long long>((at - self.since) * 1e9)
        self.since = at
        fraction = self.value / self.limit
        while i < counts.size and fraction > counts.edges[i]:
            i += 1
        counts.counts[i] += nanoseconds
        counts.sum += fraction * nanoseconds

    cdef void move(self, double by, double at) noexcept:
        """Change the number."""
        self.sync(at)
        self.value += by

    cdef void relate(self, double limit, double at) noexcept:
        """Change the limit."""
        self.sync(at)
        self.limit = limit if limit > 0 else 1


cdef class Kinds:
    """Requests of all levels by whether they change something, for the metrics; and the bytes of those
    that wait."""

    cdef readonly Py_ssize_t waiting_bytes
    cdef object clock
    cdef Timing waiting_reads, waiting_writes, executing_reads, executing_writes

    def __init__(self, clock=None):
        cdef double at = now(clock)
        self.clock = clock
        self.waiting_reads, self.waiting_writes = Timing(KINDS, at), Timing(KINDS, at)
        self.executing_reads, self.executing_writes = Timing(KINDS, at), Timing(KINDS, at)

    def relate(self, Py_ssize_t waiting, Py_ssize_t executing):
        """Set the limits: places in all queues, and seats of all levels."""
        cdef double at = now(self.clock)
        self.waiting_reads.relate(waiting, at)
        self.waiting_writes.relate(waiting, at)
        self.executing_reads.relate(executing, at)
        self.executing_writes.relate(executing, at)

    def timings(self):
        """The distributions by (phase, kind of request), up to now."""
        cdef double at = now(self.clock)
        cdef Timing timing
        out = {
            ("waiting", "readOnly"): self.waiting_reads,
            ("waiting", "mutating"): self.waiting_writes,
            ("executing", "readOnly"): self.executing_reads,
            ("executing", "mutating"): self.executing_writes,
        }
        for timing in out.values():
            timing.sync(at)
        return {labels: (<Timing>timing).distribution for labels, timing in out.items()}


cdef class Series:
    """The counts of the requests of one flow schema in one level."""

    cdef readonly long long dispatched, executing, executing_seats, waiting, waiting_seats
    cdef readonly long long queue_full, concurrency_limit, timed_out, cancelled
    cdef readonly long long crowded          # dispatches that found too few seats for the next request
    cdef readonly long long let_go           # seats given to others while a slow client took its answer
    cdef readonly Distribution waits, vain, regular, watches, lengths, watchers, estimates

    def __cinit__(self):
        self.waits, self.vain = Distribution(SECONDS), Distribution(SECONDS)
        self.regular, self.watches = Distribution(SECONDS), Distribution(SECONDS)
        self.lengths = Distribution(LENGTHS)
        self.watchers = Distribution(WATCHERS)
        self.estimates = Distribution(ESTIMATES)

    @property
    def idle(self):
        """Whether no request of it waits or is served."""
        return not self.executing and not self.waiting
