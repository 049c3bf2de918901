"""Holds the changes that were kept last, so that reading them needs no file."""

cimport cython
from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject

cdef enum:
    DROPPED = 255                     # the kind of a change that is not here any more
    BESIDE = 160                      # bytes of a change beside its value
    OF_KEY = 192                      # bytes of a key beside its text
    SPARE = 1024                      # dropped changes for which the list may have room


cdef class Since:
    """The changes of a key that are undone, in the order in which they were made.

    before, first: the ids of the one that came before, 0 for none, and of the first of them; and their times.
    kind: of the last one. values: what is kept of each, None while there are none.
    """

    cdef void add(self, long long id, int kind, long long time_ms, value):
        if self.values is None:
            self.first, self.first_ms, self.values = id, time_ms, []
        self.kind = kind
        self.values.append(value)


@cython.no_gc
cdef class RecentChange:
    """A change, which leads to the one before it. prev: the id of that one, 0 for none.

    PERF: it is no concern of the garbage collector, for it is in no cycle. So it is also never freed by way
    of the one behind it: each is cut off from the one before when that one is dropped.
    """


@cython.no_gc
cdef class RecentChanges:
    """All changes with ids above `after`, as many as fit into `most` bytes: the oldest are dropped.

    since_ms: no change up to `after` is of a later time. changed: the kind of a change that keeps the
    difference.

    One thread adds changes, others read them, each under the interpreter lock. No method gives it up while
    it looks at a key's changes, for it runs no Python code and allocates nothing that the garbage collector
    follows.
    """

    def __init__(self, Py_ssize_t most, int changed):
        self.most, self.changed = most, changed
        self.newest, self.changes = {}, []

    def __dealloc__(self):
        self.drop(0)

    def begin(self, long long after, long long time_ms):
        """Forget all changes; those above an id come next, and no earlier one is later than a time."""
        self.drop(0)
        self.changes, self.head = [], 0
        self.after, self.since_ms = after, time_ms

    def add(self, list changes not None):
        """Add changes, in the order of ids. Those up to `after` are left out."""
        cdef RecentChange one
        cdef PyObject* known
        for one in changes:
            if one.id <= self.after:
                continue
            known = PyDict_GetItemWithError(self.newest, one.key)
            if known != NULL:
                one.before = <RecentChange>known
                one.key = one.before.key
            else:
                self.size += weight_of_key(one.key)
            self.newest[one.key] = one
            self.changes.append(one)
            self.size += weight(one)
        if self.size > self.most:
            self.drop(self.most)

    cdef void drop(self, Py_ssize_t most):
        """Drop the oldest changes until at most so many bytes are left."""
        cdef RecentChange one
        while self.size > most and self.head < len(self.changes):
            one = <RecentChange>self.changes[self.head]
            self.changes[self.head] = None
            self.head += 1
            self.after, self.since_ms = one.id, max(self.since_ms, one.time_ms)
            self.size -= weight(one)
            one.kind, one.value, one.before = DROPPED, None, None
            if <RecentChange>PyDict_GetItemWithError(self.newest, one.key) is one:
                del self.newest[one.key]
                self.size -= weight_of_key(one.key)
        if self.head > SPARE and 2 * self.head > len(self.changes):
            del self.changes[:self.head]
            self.head = 0

    def first_after(self, long long time_ms):
        """The id of the first change after a time, 0 where there is none here or it is not known."""
        cdef Py_ssize_t low = self.head, high = len(self.changes), middle
        if time_ms < self.since_ms:
            return 0
        while low < high:
            middle = (low + high) // 2
            if (<RecentChange>self.changes[middle]).time_ms > time_ms:
                high = middle
            else:
                low = middle + 1
        return (<RecentChange>self.changes[low]).id if low < len(self.changes) else 0

    def of(self, str key not None, long long after, long long upto):
        """The changes of a key with ids above one and up to another; None where they are not known."""
        cdef Since since = Since.__new__(Since)
        cdef list values = []
        cdef PyObject* found = PyDict_GetItemWithError(self.newest, key)
        if after < self.after:
            return None
        if found != NULL and not self.gather(since, <RecentChange>found, values, after, upto):
            return None
        return since

    cdef list latest(self):
        """The newest change of each key."""
        return list(self.newest.values())

    cdef bint gather(self, Since since, RecentChange one, list values, long long after, long long upto):
        """Gather the changes of a key, of which `one` is the newest; False where some are not here.

        values: an empty list. Those before a change that keeps the whole object are not needed.
        """
        cdef RecentChange last = None
        while one is not None and one.id > upto:
            one = one.before
        since.kind = self.changed
        while one is not None and one.id > after:
            if one.kind == DROPPED:
                return False
            if one.kind != self.changed:
                values.clear()
                since.kind = one.kind
            values.append(one.value)
            last, one = one, one.before
        if last is not None:
            values.reverse()
            since.values = values
            since.first, since.first_ms = last.id, last.time_ms
            if one is None:
                since.before = last.prev if last.prev <= after else 0
                since.before_ms = self.since_ms if since.before else 0
            else:
                since.before, since.before_ms = one.id, one.time_ms
        return True


cdef inline Py_ssize_t weight(RecentChange one):
    """The bytes in memory of a change."""
    return BESIDE + (0 if one.value is None else PyBytes_GET_SIZE(one.value))


cdef inline Py_ssize_t weight_of_key(str key):
    """The bytes in memory of a key."""
    return OF_KEY + len(key)
