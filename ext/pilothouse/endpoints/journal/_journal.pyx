"""The records of the latest requests, side by side in memory: each has a fixed size, and its texts.

PERF: every request adds one. If each were an object, they would spread over the heap: the one that is pushed
out has long left the processor's caches, and freeing it would cost more than all else that is done here.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

DEF SLAB = 64 * 1024     # bytes of texts that are kept together

cdef struct Slab:
    Slab *next
    Py_ssize_t used, live    # bytes; records whose texts are here
    char data[SLAB]

cdef struct Record:
    Py_ssize_t size, sent
    Slab *slab
    int at, length           # of the texts in the slab
    int code, seats
    int outlives             # the number of the ring that takes it over, 0 = none
    double started, recognised, decided, answered, ended, waited
    PyObject *user
    PyObject *caller
    PyObject *recognition
    PyObject *decision
    PyObject *schema         # None: the request needed no seats
    PyObject *level
    PyObject *acting
    PyObject *error
    PyObject *detail


RECORD = sizeof(Record)


cdef inline PyObject *hold(object value):
    Py_INCREF(value)
    return <PyObject*>value


cdef class Ring:
    """The last `most` requests, or as many of them as fit into `limit` bytes. Their numbers grow by one.

    longest: bytes of the texts of one record that are kept as they are; `shorten` gets a list of longer ones,
    or of those that UTF-8 cannot tell. others: rings that take over records which this one pushes out.
    outlives: gets each request that was refused, has failed or took `slow` seconds, and says which of
    `others` that is, counted from 1; 0 = none.
    """

    cdef readonly Py_ssize_t most, limit, size      # size: bytes that are kept
    cdef readonly long long first, end       # numbers of the oldest record, and of the next one
    cdef Py_ssize_t longest
    cdef object shorten
    cdef double slow
    cdef object outlives
    cdef tuple others
    cdef Record *records
    cdef Slab *oldest
    cdef Slab *newest
    cdef Slab *spare

    def __init__(self, Py_ssize_t most, Py_ssize_t limit, Py_ssize_t longest, shorten, *,
                 double slow=0.0, outlives=None, tuple others=()):
        if self.records is not NULL:
            raise RuntimeError("a ring is made once")
        if most < 1 or longest < 1:
            raise ValueError("a ring keeps at least one request")
        self.most, self.limit, self.longest = most, limit, longest
        self.shorten = shorten
        self.slow, self.outlives, self.others = slow, outlives, others
        for other in others:
            if not isinstance(other, Ring):
                raise TypeError("a ring that is none")
        self.records = <Record*>malloc(most * sizeof(Record))    # nothing reads a record before it is written
        if self.records is NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef Slab *slab
        if self.records is not NULL:
            self.others = ()
            while self.first < self.end:
                self.pop()
            free(self.records)
        while self.oldest is not NULL:
            slab, self.oldest = self.oldest, self.oldest.next
            free(slab)
        free(self.spare)

    def __len__(self):
        return self.end - self.first

    def add(self, tuple request not None):
        """Keep a request that has ended, in the order of what `get` returns, with three differences: the size
        is without the texts, these are a list, and the flow is a `Ticket`, None when it needed no seats.
        """
        cdef Record made
        cdef Slab *slab
        cdef Py_ssize_t length
        cdef list told
        cdef bytes user, caller, detail
        cdef str error
        (made.size, told, user, caller, recognition, decision, ticket, made.code, made.started,
         made.recognised, made.decided, made.answered, made.ended, made.sent, acting, error, detail) = request
        if told is None or user is None or caller is None or error is None or detail is None:
            raise TypeError("a request without its texts")
        made.outlives = 0
        if (made.code >= 400 or made.ended - made.started >= self.slow) and self.others:
            made.outlives = self.outlives(request)
            if not 0 <= made.outlives <= len(self.others):
                raise ValueError("there is no such ring")
        schema = level = None
        made.seats, made.waited = 0, 0.0
        if ticket is not None:
            flow = ticket.flow
            schema, level = flow.schema, flow.level.name
            made.seats, made.waited = ticket.seats, ticket.waited
        try:
            length = measure(told)
        except UnicodeEncodeError:
            length = -1
        if length < 0 or length > self.longest:
            told = self.shorten(told)
            length = measure(told)
            if length > SLAB:
                raise ValueError("texts that are too long")
        made.size += length
        slab = self.room(length)
        if self.end - self.first == self.most:
            self.pop()
        # Nothing fails from here on.
        made.slab, made.at, made.length = slab, <int>slab.used, <int>length
        put(slab, told)
        made.user, made.caller = hold(user), hold(caller)
        made.recognition, made.decision = hold(recognition), hold(decision)
        # Not the flow itself, whose distinguisher may be long, nor its level: a logical cluster may be freed.
        made.schema, made.level = hold(schema), hold(level)
        made.acting, made.error, made.detail = hold(acting), hold(error), hold(detail)
        self.keep(&made)

    cdef void keep(self, Record *made) noexcept:
        """Make a record, whose texts are in a slab, the newest one; there is room for it."""
        self.records[self.end % self.most] = made[0]
        self.size += made.size
        self.end += 1
        while self.size > self.limit and self.first < self.end:
            self.pop()

    cdef int take(self, Record *from_) except -1:
        """Take over a record of another ring, with all that it holds; its texts are copied."""
        cdef Record made = from_[0]
        cdef Slab *slab = self.room(made.length)
        if self.end - self.first == self.most:
            self.pop()
        made.slab, made.at = slab, <int>slab.used
        memcpy(&slab.data[slab.used], &from_.slab.data[from_.at], made.length)
        slab.used += made.length
        slab.live += 1
        self.keep(&made)
        return 0

    def get(self, long long number):
        """One request that is kept, None when it has been pushed out:

        (size, texts by lines, user, caller, recognition, decision, (schema, level, seats, waited) or None,
        code, started, recognised, decided, answered, ended, sent, acting, error, detail).
        """
        cdef Record *record
        if not self.first <= number < self.end:
            return None
        record = &self.records[number % self.most]
        flow = None
        if <object>record.schema is not None:
            flow = <object>record.schema, <object>record.level, record.seats, record.waited
        return (
            record.size,
            PyUnicode_DecodeUTF8(&record.slab.data[record.at], record.length, NULL),
            <object>record.user,
            <object>record.caller,
            <object>record.recognition,
            <object>record.decision,
            flow,
            record.code,
            record.started,
            record.recognised,
            record.decided,
            record.answered,
            record.ended,
            record.sent,
            <object>record.acting,
            <object>record.error,
            <object>record.detail,
        )

    def before(self, long long number, bytes ending not None):
        """The number of the newest record before `number` whose texts end with `ending`; -1 for none."""
        cdef Record *record
        cdef Py_ssize_t size = len(ending)
        cdef const char *wanted = ending
        number = min(number, self.end)
        while number > self.first:
            number -= 1
            record = &self.records[number % self.most]
            if record.length >= size and not memcmp(
                    &record.slab.data[record.at + record.length - size], wanted, size):
                return number
        return -1

    cdef Slab *room(self, Py_ssize_t length) except NULL:
        """The slab that the texts of the next record go to."""
        cdef Slab *slab = self.newest
        if slab is not NULL and slab.used + length <= SLAB:
            return slab
        slab, self.spare = self.spare, NULL
        if slab is NULL:
            slab = <Slab*>malloc(sizeof(Slab))
            if slab is NULL:
                raise MemoryError
        slab.next, slab.used, slab.live = NULL, 0, 0
        if self.newest is NULL:
            self.oldest = slab
        else:
            self.newest.next = slab
        self.newest = slab
        return slab

    cdef void pop(self) noexcept:
        """Let the oldest record go, to another ring or for good; its slab, too, if it was the last there."""
        cdef Record record = self.records[self.first % self.most]
        cdef Slab *slab
        cdef bint taken = False
        self.first += 1
        self.size -= record.size
        if record.outlives and self.others:
            try:
                (<Ring>self.others[record.outlives - 1]).take(&record)
                taken = True
            except MemoryError:
                pass
        record.slab.live -= 1
        while self.oldest is not self.newest and not self.oldest.live:
            slab, self.oldest = self.oldest, self.oldest.next
            if self.spare is NULL:
                self.spare = slab
            else:
                free(slab)
        if not taken:
            release(&record)


cdef void release(Record *record) noexcept:
    """Give up what a record holds."""
    Py_DECREF(<object>record.user)
    Py_DECREF(<object>record.caller)
    Py_DECREF(<object>record.recognition)
    Py_DECREF(<object>record.decision)
    Py_DECREF(<object>record.schema)
    Py_DECREF(<object>record.level)
    Py_DECREF(<object>record.acting)
    Py_DECREF(<object>record.error)
    Py_DECREF(<object>record.detail)


cdef Py_ssize_t measure(list texts) except -1:
    """The bytes of texts, each with the byte that ends it."""
    cdef Py_ssize_t size, total = 0
    for text in texts:
        PyUnicode_AsUTF8AndSize(text, &size)
        total += size + 1
    return total - 1


cdef void put(Slab *slab, list texts):
    """Write texts, which were measured, with a newline between them."""
    cdef Py_ssize_t size
    cdef const char *data
    cdef bint begun = False
    for text in texts:
        if begun:
            slab.data[slab.used] = b"\n"
            slab.used += 1
        begun = True
        data = PyUnicode_AsUTF8AndSize(text, &size)
        memcpy(&slab.data[slab.used], data, size)
        slab.used += size
    slab.live += 1
