"""Encodes audit events: the members around their objects, in one pass and with one allocation.

Every request that the audit policy names has one or two events.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.ref cimport PyObject
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.string cimport memcpy, strlen
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec

include "_audit_text.pxi"


cdef class Target:
    """The objectRef of an event: what a path says of an object, and what a body adds to that."""

    cdef public str resource, namespace, name, uid, group, version, resource_version, subresource

    cdef int write(self, Pieces* out, list kept) except -1:
        cdef int first = out.count
        _member(out, b',"resource":"', self.resource, kept)
        _member(out, b',"namespace":"', self.namespace, kept)
        _member(out, b',"name":"', self.name, kept)
        _member(out, b',"uid":"', self.uid, kept)
        _member(out, b',"apiGroup":"', self.group, kept)
        _member(out, b',"apiVersion":"', self.version, kept)
        _member(out, b',"resourceVersion":"', self.resource_version, kept)
        _member(out, b',"subresource":"', self.subresource, kept)
        if out.count > first:  # the first member has no comma
            out.at[first] += 1
            out.size[first] -= 1
            out.total -= 1
        return 0


cdef dict STAGES = {
    stage: stage.encode() for stage in ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
}
cdef list CODES = [b',"responseStatus":{"metadata":{},"code":%d}' % code for code in range(600)]

cdef enum:
    SLOW = 500000000   # nanoseconds of a request from which on it is told what took how long


cdef long long _now() noexcept:
    """Nanoseconds since the epoch."""
    cdef timespec at
    clock_gettime(CLOCK_REALTIME, &at)
    return <long long>at.tv_sec * 1000000000 + at.tv_nsec


cdef double _monotonic() noexcept:
    """The time that time.perf_counter() returns."""
    cdef timespec at
    clock_gettime(CLOCK_MONOTONIC, &at)
    return at.tv_sec + at.tv_nsec * 1e-9


cdef class Event:
    """One stage of one request, as a line of JSON. `end` are its annotations and the end of the line.

    `fields` are those of the legacy form, where a back end writes it.
    """

    cdef public int level
    cdef readonly bytes line
    cdef public bytes end
    cdef public object fields

    def __init__(self, int level, bytes line, bytes end, fields=None):
        self.level = level
        self.line = line
        self.end = end
        self.fields = fields

    @property
    def objects(self):
        """Bytes of the objects that are not yet part of the line."""
        return 0

    @property
    def size(self):
        """Bytes that the event takes."""
        return PyBytes_GET_SIZE(self.line)


cdef class Lines:
    """Lines that wait to be written together.

    begin: called before the first line. full: called when they have more than `limit` bytes.
    """

    cdef list _lines
    cdef Py_ssize_t _size
    cdef Py_ssize_t _limit
    cdef object _begin
    cdef object _full

    def __init__(self, Py_ssize_t limit, begin not None, full not None):
        self._lines = []
        self._size = 0
        self._limit = limit
        self._begin = begin
        self._full = full

    cpdef int add(self, bytes line) except -1:
        """Add a line."""
        if not self._lines:
            self._begin()
        self._lines.append(line)
        self._size += PyBytes_GET_SIZE(line)
        if self._size > self._limit:
            self._full()
        return 0

    def take(self):
        """All lines, which are forgotten."""
        taken, self._lines, self._size = self._lines, [], 0
        return taken


cdef class Draft:
    """The common part of the events of one request, and its stages where there is nothing special about it.

    `special` tells that more is known than the caller, the target, the decision of authorization and the
    code of the answer: a subclass is then told of the answer (`answers`) and makes the event (`event`). It
    is asked, too, how a request that is special, slow or without an answer has ended (`closing`).

    received_at: nanoseconds since the epoch. acting: the members that tell the impersonated user. end: the
    annotations and the end of the line. status: the member responseStatus. held: an event that is written
    together with the next one. early: nobody was authenticated, so the only event is that of the answer.
    authentication, impersonation, authorization: seconds that these stages took.
    """

    cdef readonly Desk sink
    cdef readonly object verdict
    cdef readonly object request
    cdef readonly object user
    cdef readonly str audit_id
    cdef readonly str verb
    cdef readonly Target target
    cdef readonly long long received_at
    cdef readonly long long answered_at
    cdef public object code
    cdef public object held
    cdef public bytes acting
    cdef public bytes end
    cdef public bytes status
    cdef readonly bint request_wanted
    cdef readonly bint response_wanted
    cdef readonly object decision
    cdef public bint early
    cdef public bint special
    cdef readonly double authentication
    cdef public double impersonation
    cdef readonly double authorization
    cdef bytes _held_line
    cdef bytes _first            # PERF: the line of the beginning, of which later ones copy what they share
    cdef Py_ssize_t _stage_at    # where in it the stage begins, and from where to where it tells the request
    cdef Py_ssize_t _from
    cdef Py_ssize_t _upto
    cdef bytes _head
    cdef bytes _who
    cdef bytes _source
    cdef str _uri
    cdef int _level
    cdef frozenset _omitted
    cdef object _decisions

    # The stages

    def received(self):
        """The request has come: whether it may go on, or an awaitable of that."""
        if "RequestReceived" in self._omitted:
            return True
        if self.sink.lines is not None and not self.special:
            self._held_line = self._first = self.whole("RequestReceived", self.received_at, b"}\n")
            return True
        return self.sink.store(self, self._event("RequestReceived", self.received_at))

    def refused(self):
        """The request was refused by its head, before its body had come: this is its beginning as well."""
        if not self.early:
            self.sink.count(self._level)
            if "RequestReceived" not in self._omitted:
                code, status, decision, end = self.code, self.status, self.decision, self.end
                self.code, self.status, self.decision, self.end = None, b"", None, b"}\n"
                self.held = self._event("RequestReceived", self.received_at)
                self.code, self.status, self.decision, self.end = code, status, decision, end

    def authorized(self, tuple decision not None, double seconds):
        """Authorization has decided: whether it allows the request, and why. It took `seconds`."""
        cdef PyObject* found = PyDict_GetItemWithError(self._decisions, decision)
        self.decision = decision
        self.authorization = seconds
        self.end = <bytes><object>found if found != NULL else self.sink.decided(decision)

    def answered(self, response):
        """The head of the answer goes out."""
        cdef int code = response.status
        self.code = code
        self.answered_at = _now()
        if not self.special and 100 <= code < 600:
            self.status = CODES[code]
        else:
            self.answers(response)

    def renamed(self):
        """Note that what events say of the caller or of the target has changed."""
        self._first = None

    def flush(self):
        """Hand on what is held: the request begins to wait."""
        cdef bytes line = self._held_line
        self._first = None
        if line is not None:
            self._held_line = None
            self.sink.put(line)
            self.sink.flush(None)
        if self.held is not None:
            held, self.held = self.held, None
            self.sink.flush(held)

    def started(self):
        """The head of a long-running answer goes out."""
        self._emit("ResponseStarted", _now())

    def complete(self, deprecated=None):
        """The request has ended.

        `deprecated` is the release that removes its API version, "" where none is known.
        """
        cdef long long at = _now()
        cdef str stage = "ResponseComplete"
        if self.special or self.code is None or deprecated is not None or at - self.received_at > SLOW:
            stage = self.closing(deprecated, at)
        self._emit(stage, at)

    cdef int _emit(self, str stage, long long at) except -1:
        cdef bytes line = self._held_line
        if stage in self._omitted:
            self.flush()
            return 0
        if line is not None:
            self._held_line = None
            self.sink.put(line)
        if self.sink.lines is not None and not self.special and self.held is None:
            self.sink.put(self.whole(stage, at, self.end))
            return 0
        made = self._event(stage, at)
        if self.held is None:
            self.sink.send((made,))
        else:
            held, self.held = self.held, None
            self.sink.send((held, made))
        return 0

    cdef object _event(self, str stage, long long at):
        cdef Event out
        if self.special:
            return self.event(stage, at)
        out = Event.__new__(Event)
        out.level = self._level
        out.end = self.end if stage != "RequestReceived" else b"}\n"
        out.line = self.whole(stage, at, out.end)
        return out

    # Encoding

    cpdef bytes whole(self, str stage, long long at, bytes end):
        """An event without objects.

        `at` is the time of its stage, `end` its annotations and the end of the line.
        """
        cdef Pieces out
        cdef list kept = []
        cdef char received[MICROS]
        cdef char staged[MICROS]
        out.count = 0
        out.total = 0
        self._before(&out, stage, kept)
        self._times(&out, received, staged, at)
        _raw(&out, end)
        return _joined(&out)

    def around(self, str stage, long long at):
        """The members of an event before its objects, and the times behind them."""
        cdef Pieces out
        cdef list kept = []
        cdef char received[MICROS]
        cdef char staged[MICROS]
        out.count = 0
        out.total = 0
        self._before(&out, stage, kept)
        before = _joined(&out)
        out.count = 0
        out.total = 0
        self._times(&out, received, staged, at)
        return before, _joined(&out)

    cdef int _before(self, Pieces* out, str stage, list kept) except -1:
        cdef const char* first
        if self._first is not None:
            first = PyBytes_AS_STRING(self._first)
            _add(out, first, self._stage_at)
            _raw(out, <bytes>STAGES[stage])
            _add(out, first + self._from, self._upto - self._from)
            _raw(out, self.status)
            return 0
        _raw(out, self._head)
        _literal(out, b'"')
        _text(out, self.audit_id, kept)
        _literal(out, b'","stage":"')
        self._stage_at = out.total
        _raw(out, <bytes>STAGES[stage])
        self._from = out.total
        _literal(out, b'","requestURI":"')
        _text(out, self._uri, kept)
        _literal(out, b'","verb":"')
        _text(out, self.verb, kept)
        _literal(out, b'"')
        _raw(out, self._who)
        _raw(out, self.acting)
        _raw(out, self._source)
        if self.target is not None:
            _literal(out, b',"objectRef":{')
            self.target.write(out, kept)
            _literal(out, b'}')
        self._upto = out.total
        _raw(out, self.status)
        return 0

    cdef void _times(self, Pieces* out, char* received, char* staged, long long at) noexcept:
        _write_micros(received, self.received_at)
        _write_micros(staged, at)
        _literal(out, b',"requestReceivedTimestamp":"')
        _add(out, received, MICROS)
        _literal(out, b'","stageTimestamp":"')
        _add(out, staged, MICROS)
        _literal(out, b'"')


cdef class Desk:
    """Begins the records of requests.

    A subclass answers, once for all requests that are alike, what is not remembered yet: `judge` the verdict
    of the policy, `describe` the members that tell the caller and where the request came from.

    record: the subclass of Draft. heads: what an event of each level begins with. verdicts, callers,
    decisions: the caches. level_counts, event_counts: how many requests got each level, and how many events
    there were. by_user, by_name: what the policy asks for beside verb and resource. legacy: events need the
    members of the legacy form. lines: where the lines of events that have nothing special about them go at
    once, None when there is more to do with them.
    """

    cdef type _record
    cdef tuple _heads
    cdef object _verdicts  # caches: dicts of which a miss is looked up by Python
    cdef object _callers
    cdef object _decisions
    cdef list _level_counts
    cdef list _event_counts
    cdef public Lines lines
    cdef public bint by_user
    cdef public bint by_name
    cdef public bint legacy

    def __init__(
        self, type record not None, tuple heads not None, verdicts, callers, decisions,
        list level_counts not None, list event_counts not None,
    ):
        self._record = record
        self._heads = heads
        self._verdicts = verdicts
        self._callers = callers
        self._decisions = decisions
        self._level_counts = level_counts
        self._event_counts = event_counts

    def count(self, int level):
        """Count a request in the metric of levels."""
        self._level_counts[level] += 1

    cdef int put(self, bytes line) except -1:
        """Hand on the line of an event."""
        self._event_counts[0] += 1
        return self.lines.add(line)

    def begin(
        self, request, user, attributes, str audit_id not None, double started, double seconds=0.0,
        bint whole=True,
    ):
        """The record of a request of the authenticated `user`, None when nothing of it is recorded.

        `user` is None where authentication has failed. `started` is when it came, by time.perf_counter(), and
        `seconds` what authentication took. Of a request that is not `whole` the body has not come yet: it is
        begun again unless it is refused (Draft.refused).
        """
        cdef PyObject* found
        cdef Target target = None
        cdef Draft draft
        cdef int level
        cdef str verb = attributes.verb
        who = (user.name, user.groups) if self.by_user and user is not None else None
        if attributes.is_resource:
            target = Target.__new__(Target)
            target.resource = attributes.resource
            target.namespace = attributes.namespace
            target.name = attributes.name
            target.uid = target.resource_version = ""
            target.group = attributes.group
            target.version = attributes.version
            target.subresource = attributes.subresource
            question = (
                who, verb, target.group, target.resource, target.subresource, target.namespace,
                target.name if self.by_name else None,
            )
        else:
            question = (who, verb, attributes.path)
        found = PyDict_GetItemWithError(self._verdicts, question)
        verdict = <object>found if found != NULL else self.judge(question, user, attributes)
        level = verdict.level
        if whole:
            self._level_counts[level] += 1
        if not level:
            return None
        draft = <Draft>self._record.__new__(self._record)
        self._name_caller(draft, request, user)
        draft.sink = self
        draft.verdict = verdict
        draft.request = request
        draft.user = user
        draft.audit_id = audit_id
        draft.verb = verb
        draft.target = target
        draft.received_at = _now() - <long long>((_monotonic() - started) * 1e9)
        draft.end = b"}\n"
        draft.acting = draft.status = b""
        draft._head = <bytes>self._heads[level]
        draft._uri = request.target
        draft._level = level
        draft.special = self.legacy
        draft.request_wanted = level >= 2
        draft.response_wanted = level >= 3
        draft._omitted = verdict.omitted
        draft._decisions = self._decisions
        draft.authentication = seconds
        if request.annotations:
            for key, value in request.annotations:
                draft.annotate(key, value)
        return draft

    cdef int _name_caller(self, Draft draft, request, user) except -1:
        cdef PyObject* found
        cdef dict headers = request.headers
        key = (
            user.name if user is not None else None,
            request.peer[0],
            headers.get("user-agent"),
            headers.get("x-forwarded-for"),
            headers.get("x-real-ip"),
        )
        found = PyDict_GetItemWithError(self._callers, key)
        caller = <tuple><object>found if found != NULL else None
        if caller is None or (caller[0] is not user and caller[0] != user):
            caller = self.describe(key, request, user)
        draft._who = <bytes>caller[1]
        draft._source = <bytes>caller[2]
        return 0
