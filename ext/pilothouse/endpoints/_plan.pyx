"""Answers reads by plans: the verdicts of the stages that hold for every object below one path.

A plan is made of a request that went through the stages (endpoints/plan.py says which), and is found by what
these verdicts depend on: the credential, the path without the name, the media type and the client's name. It
stands until something changes that a stage looks at. What is counted and kept of a request is the same,
whether the stages or a plan answer it.
"""

cimport cython
from cpython.unicode cimport PyUnicode_GET_LENGTH, PyUnicode_Substring

from pilothouse._clock cimport now
from pilothouse.metrics._instruments cimport Distribution
from pilothouse.metrics._requestmetrics cimport Authenticated, Authorized, Cell, Cells
from pilothouse.server._message cimport Request, Response
from pilothouse.storage._entry cimport Entry
from pilothouse.storage._objects cimport Objects

from pilothouse.api._uuid import new_uuid
from pilothouse.api.values._requestinfo import impersonates
from pilothouse.api.values.identity import RequestInfo

cdef extern from "Python.h":
    Py_ssize_t PyUnicode_FindChar(str text, Py_UCS4 ch, Py_ssize_t start, Py_ssize_t end, int direction)

cdef tuple NO_CACHE = ("Cache-Control", "no-cache, private")


cdef class Plan:
    """The verdicts for GETs of objects below one path by one client, whose answers show what is stored, in
    JSON or in protobuf.

    known: what is remembered of its credential (authn.authenticator.Remembered). decision: of the authorizer;
    allowed: where its count is kept, None when nobody counts. flow: in which it takes a seat. info: of the
    request that the plan is made of. resource: what it reads; objects, prefix: where these are, and how
    their keys begin. shown: the user as the journal has it; weight: bytes of a request there, without texts.
    form: makes the body out of an entry, None where it cannot at once; without it the body is what is stored.
    """

    cdef readonly object user, recognition, decision, flow, info, resource, form
    cdef readonly list allowed
    cdef readonly Objects objects
    cdef readonly str prefix
    cdef readonly double until
    cdef readonly bytes shown
    cdef readonly str content_type
    cdef readonly Py_ssize_t weight
    cdef Distribution remaining     # of certificates, None for tokens
    cdef tuple schema, level    # headers; None where the flow schema and the level are no objects
    cdef tuple sort             # of requests, as their metrics tell it

    def __init__(self, *, known, decision, list allowed, flow, info, resource, Objects objects not None,
                 str prefix not None, str client not None, bytes shown not None, Py_ssize_t weight, form,
                 str content_type not None):
        """`client` is the label of the client in the metrics of requests."""
        self.user, self.recognition = known.user, known.recognition
        self.until, self.remaining = known.until, known.remaining
        self.shown, self.weight = shown, weight
        self.form, self.content_type = form, content_type
        self.decision, self.allowed, self.flow = decision, allowed, flow
        self.info, self.resource, self.objects, self.prefix = info, resource, objects, prefix
        if flow.uids is not None:
            self.schema = ("X-Kubernetes-Pf-Flowschema-Uid", flow.uids[0])
            self.level = ("X-Kubernetes-Pf-Prioritylevel-Uid", flow.uids[1])
        self.sort = ("get", info.group, info.version, info.resource, "", "resource", "", client, 200)


@cython.freelist(64)
cdef class Planned:
    """One request that a plan has answered: what its ticket is about, and what is called at its end."""

    cdef Plans plans
    cdef Plan plan
    cdef readonly Request request
    cdef readonly object flow        # its ticket
    cdef readonly str audit_id, name
    cdef readonly double started, recognised, answered

    is_resource = True
    verb = "get"
    subresource = ""

    @property
    def path(self):
        """The path, as it came: nothing in it is encoded."""
        return self.request.path

    @property
    def group(self):
        """The API group."""
        return self.plan.info.group

    @property
    def version(self):
        """The version of the group."""
        return self.plan.info.version

    @property
    def resource(self):
        """The plural name of the resource."""
        return self.plan.info.resource

    @property
    def namespace(self):
        """The namespace, "" when there is none."""
        return self.plan.info.namespace

    def __call__(self, Py_ssize_t sent, error):
        """Note the end: `Response.on_done`."""
        cdef Plan plan = self.plan
        cdef Plans plans = self.plans
        cdef Cell cell
        cdef dict headers = self.request.headers
        cdef double ended, seconds
        self.flow.release()
        plans.queued.observe(0.0)
        ended = now(None)
        seconds = ended - self.started
        cell = <Cell>plans.cells.cells.get(plan.sort)
        if cell is None:
            plans.cells.observe(plan.info, plan.resource, 200, seconds, 0, sent, headers, None, 0.0)
        else:
            cell.seconds.observe(seconds)
            cell.sli.observe(seconds)
            cell.sizes.observe(sent)
        if error is not None and isinstance(error, ConnectionAbortedError):
            plans.abort(plan.info, plan.resource)
        if plans.ring is not None:
            plans.ring.add((  # in the order of journal.Kept
                plan.weight,
                [self.audit_id, "get", self.request.path, "", self.request.peer[0],
                 headers.get("user-agent", "")],
                plan.shown, plan.shown, plan.recognition, plan.decision, self.flow, 200,
                self.started, self.recognised, self.recognised, self.answered, ended, sent,
                None, "" if error is None else type(error).__name__, b"",
            ))
        self.flow = None                # it refers to this: no cycle may be left


cdef class Plans:
    """The plans of one server, and what they count in.

    known: plans by credential (the header, or the certificate), path without the name, user agent and
    `Accept`. unreadable: keys of objects that cannot be read. hit: counts known tokens. ring: the journal's,
    None without one. abort(info, resource): counts answers that the server cuts short. proxied: headers by
    which front proxies name users.
    """

    cdef object known
    cdef dict unreadable
    cdef Authenticated authenticated
    cdef Authorized authorized
    cdef Distribution hit, queued
    cdef Cells cells
    cdef object ring, abort, clock, wall
    cdef tuple proxied

    def __init__(self, *, known, dict unreadable not None, Authenticated authenticated not None,
                 Authorized authorized not None, Distribution hit not None, Distribution queued not None,
                 Cells cells not None, ring, abort, tuple proxied not None, wall, clock=None):
        """`clock` is the authenticator's for tokens, None for the monotonic clock; `wall` that for
        certificates."""
        self.known, self.unreadable = known, unreadable
        self.authenticated, self.authorized, self.hit, self.queued = authenticated, authorized, hit, queued
        self.cells, self.ring, self.abort, self.proxied = cells, ring, abort, proxied
        self.clock, self.wall = clock, wall

    def answer(self, Request request not None):
        """The answer to a request by its plan; None when it has to go through the stages: there is no plan,
        the object is not there, or no seat is free.

        PERF: for every request.
        """
        cdef str path, name
        cdef Py_ssize_t slash, length
        cdef Plan plan
        cdef Entry entry
        cdef Planned planned
        cdef Response response
        cdef dict headers
        cdef double started, left = 0
        if request.method != "GET" or request.query or request.body:
            return None
        headers = request.headers
        certificates = request.peer_certificates
        if certificates:
            credential = certificates[0]
        else:
            credential = headers.get("authorization")
            if credential is None:
                return None
        path = request.path
        length = PyUnicode_GET_LENGTH(path)
        slash = PyUnicode_FindChar(path, u"/", 0, length, -1) + 1
        found = self.known[credential, PyUnicode_Substring(path, 0, slash), headers.get("user-agent"),
                           headers.get("accept")]
        if found is None or self.unreadable:
            return None
        started = now(None)
        plan = <Plan?>found
        if plan.remaining is None:
            if now(self.clock) >= plan.until:
                return None
        else:
            left = plan.until - <double>self.wall()
            if left <= 0 or self.is_proxied(headers):
                return None
        if impersonates(headers):
            return None
        name = PyUnicode_Substring(path, slash, length)
        if PyUnicode_FindChar(name, u"%", 0, length - slash, 1) >= 0:
            return None
        entry = <Entry>plan.objects.by_key.get(plan.prefix + name)
        if entry is None:
            return None
        body = entry.value + b"\n" if plan.form is None else plan.form(entry)
        if body is None:
            return None
        planned = Planned.__new__(Planned)
        planned.plans, planned.plan, planned.request, planned.name = self, plan, request, name
        planned.started = started
        ticket = plan.flow.at_once(plan.user, planned)
        if ticket is None:
            return None
        planned.flow = ticket
        ticket.answered = True
        planned.audit_id = headers.get("audit-id") or new_uuid()
        request.caller, request.recognition = plan.user.name, plan.recognition
        planned.recognised = now(None)
        (self.hit if plan.remaining is None else plan.remaining).observe(left)
        self.authenticated.count(planned.recognised - started, request.caller)
        self.authorized.count(0.0)
        if plan.allowed is not None:
            plan.allowed[0] += 1
        response = Response.__new__(Response)
        response.status, response.content_type, response.body = 200, plan.content_type, body
        if plan.schema is None:
            response.headers = [("Audit-Id", planned.audit_id), NO_CACHE]
        else:
            response.headers = [("Audit-Id", planned.audit_id), NO_CACHE, plan.schema, plan.level]
        response.on_done = planned
        planned.answered = now(None)
        return response

    cdef bint is_proxied(self, dict headers) except -1:
        """Whether a certificate may be that of a front proxy, or of a browser with another origin's page."""
        if "origin" in headers or "sec-fetch-site" in headers:
            return True
        for name in self.proxied:
            if name in headers:
                return True
        return False


def verdict_of(known, Request request not None):
    """The verdict (endpoints/verdict.py) on requests like this one, and what it is about; None without one.

    `known` has them by credential, method, path without the name, query, user agent, `Accept` and
    `Content-Type`. The path of an object ends with a slash there; behind the name of a subresource's object
    stands another one.

    PERF: for every request that no plan answers.
    """
    cdef dict headers = request.headers
    cdef str path = request.path
    cdef str method = request.method
    cdef str name = "", rest = ""
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(path)
    cdef Py_ssize_t slash, last
    certificates = request.peer_certificates
    credential = certificates[0] if certificates else headers.get("authorization")
    if credential is None:
        return None
    query, agent = request.query, headers.get("user-agent")
    accept, content = headers.get("accept"), headers.get("content-type")
    if method == "GET" or method == "POST":
        found = known[credential, method, path, query, agent, accept, content]
    else:
        last = PyUnicode_FindChar(path, u"/", 0, length, -1)
        name = PyUnicode_Substring(path, last + 1, length)
        head = PyUnicode_Substring(path, 0, last + 1)
        found = known[credential, method, head, query, agent, accept, content]
        if found is None and last > 0:
            rest = name
            slash = PyUnicode_FindChar(path, u"/", 0, last, -1)
            name = PyUnicode_Substring(path, slash + 1, last)
            head = PyUnicode_Substring(path, 0, slash + 1) + "/" + rest
            found = known[credential, method, head, query, agent, accept, content]
    if found is None or "%" in name or impersonates(headers):
        return None
    like = found.info
    parts = (like.resource, name, rest) if rest else (like.resource, name) if name else (like.resource,)
    return found, RequestInfo(path, like.verb, True, like.prefix, like.group, like.version, like.namespace,
                              like.resource, rest, name, parts)
