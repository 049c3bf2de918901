"""The counts of one series of a histogram; hot paths move them without making a Python object."""

from libc.stdlib cimport calloc, free, malloc

cdef enum:
    KEPT = 1024                 # values of which quantiles are taken


cdef class Distribution:
    """How many values fell into each bucket, and their sum.
    `bounds` are the upper bounds, in ascending order."""

    def __cinit__(self, tuple bounds not None):
        cdef Py_ssize_t i
        self.bounds = bounds
        self.size = len(bounds)
        self.edges = <double *>malloc((self.size + 1) * sizeof(double))
        self.counts = <long long *>calloc(self.size + 1, sizeof(long long))
        if self.edges == NULL or self.counts == NULL:
            raise MemoryError()
        for i in range(self.size):
            self.edges[i] = bounds[i]

    def __dealloc__(self):
        free(self.edges)
        free(self.counts)

    cpdef void observe(self, double value) noexcept:
        """Count a value in the first bucket whose bound is not below it."""
        cdef Py_ssize_t i = 0
        while i < self.size and value > self.edges[i]:
            i += 1
        self.counts[i] += 1
        self.sum += value

    def buckets(self):
        """The counts of the buckets, the one without a bound last; none includes another."""
        return [self.counts[i] for i in range(self.size + 1)]

    @property
    def count(self):
        """How many values were counted."""
        cdef long long total = 0
        for i in range(self.size + 1):
            total += self.counts[i]
        return total

    def add(self, Distribution other not None):
        """Add the counts of another one, whose bounds are the same or more;
        ValueError when they do not fit."""
        cdef Py_ssize_t i, j = 0
        if self.bounds is not other.bounds and not set(self.bounds) <= set(other.bounds):
            raise ValueError("the bounds do not fit")
        for i in range(other.size + 1):
            while j < self.size and (i == other.size or self.edges[j] < other.edges[i]):
                j += 1
            self.counts[j] += other.counts[i]
        self.sum += other.sum

    def put(self, list counts not None, double sum):
        """Count as many values as `buckets` and `sum` have told of another one with the same bounds;
        ValueError when they are of other bounds."""
        cdef Py_ssize_t i
        if len(counts) != self.size + 1:
            raise ValueError("the bounds do not fit")
        for i in range(self.size + 1):
            self.counts[i] += <long long>counts[i]
        self.sum += sum

    def clear(self):
        """Forget all values."""
        cdef Py_ssize_t i
        for i in range(self.size + 1):
            self.counts[i] = 0
        self.sum = 0


cdef class Recent(Distribution):
    """A distribution that remembers its newest values too, at most 1,024."""

    def __cinit__(self, tuple bounds not None):
        self.values = <double *>malloc(KEPT * sizeof(double))
        if self.values == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.values)

    cpdef void observe(self, double value) noexcept:
        """Count a value and remember it in place of the oldest."""
        Distribution.observe(self, value)
        self.remember(value)

    cdef void remember(self, double value) noexcept:
        self.values[self.seen % KEPT] = value
        self.seen += 1

    def add(self, Distribution other not None):
        """Add the counts of another one; its newest values come after those that are remembered."""
        cdef Recent recent
        cdef long long i
        Distribution.add(self, other)
        if isinstance(other, Recent):
            recent = <Recent>other
            for i in range(max(0, recent.seen - KEPT), recent.seen):
                self.remember(recent.values[i % KEPT])

    def quantiles(self, tuple shares not None):
        """The smallest of the newest values to which each share of them is at most equal; [] without any."""
        cdef list newest = sorted([self.values[i] for i in range(min(self.seen, KEPT))])
        cdef Py_ssize_t last = len(newest) - 1
        return [newest[min(int(share * len(newest)), last)] for share in shares] if newest else []

    def clear(self):
        """Forget all values."""
        Distribution.clear(self)
        self.seen = 0
