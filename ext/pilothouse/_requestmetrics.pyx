"""The counts of answered requests: one look-up and two additions each,
for it is done at the end of every request."""

from pilothouse._instruments cimport Distribution

cdef tuple SECONDS = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
)
cdef tuple BYTES = tuple([10**n for n in range(3, 10)])

DURATION, RESPONSE_SIZES = SECONDS, BYTES


cdef class Cell:
    """The requests of one sort and one status code. `sizes` is None for those that are no reads."""

    cdef readonly Distribution seconds
    cdef readonly Distribution sizes
    cdef readonly bint deprecated

    def __init__(self, bint deprecated, bint sized):
        self.seconds = Distribution(SECONDS)
        self.sizes = Distribution(BYTES) if sized else None
        self.deprecated = deprecated


cdef class Cells:
    """The cells by (verb, group, version, resource, subresource, scope, status code)."""

    cdef readonly dict cells
    cdef object body_sizes    # an instruments.Histogram

    def __init__(self, body_sizes):
        self.cells = {}
        self.body_sizes = body_sizes

    def observe(self, info not None, resource, status, double seconds, Py_ssize_t received, Py_ssize_t sent):
        """Count one answered request, with the bytes of its body and of its answer.

        Unknown resources and subresources are not counted, as upstream does. So there are not many cells.
        """
        cdef Cell cell
        if resource is None:
            return
        verb, subresource = info.verb, info.subresource
        if subresource and subresource not in resource.subresources:
            return
        if info.name or verb == "create":
            scope = "resource"
        else:
            scope = "namespace" if info.namespace else "cluster"
        key = (verb, info.group, info.version, info.resource, subresource, scope, status)
        cell = <Cell>self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell(bool(resource.deprecated), verb == "get" or verb == "list")
        cell.seconds.observe(seconds)
        if cell.sizes is not None:
            cell.sizes.observe(sent)
        if received:
            self.body_sizes.observe(received, info.group, info.resource, verb)


cdef class Authenticated:
    """Counts authenticated requests: their duration, and one for the label of the user."""

    cdef Distribution seconds
    cdef object users         # user name -> a list whose only item is the count

    def __init__(self, Distribution seconds not None, users):
        self.seconds = seconds
        self.users = users

    def __call__(self, double seconds, str name not None):
        self.seconds.observe(seconds)
        cdef list count = self.users[name]
        count[0] += 1


cdef class Authorized:
    """Counts the decisions about requests by their result, with the duration."""

    cdef Distribution allowed, denied, no_opinion

    def __init__(
        self, Distribution allowed not None, Distribution denied not None, Distribution no_opinion not None
    ):
        self.allowed = allowed
        self.denied = denied
        self.no_opinion = no_opinion

    def __call__(self, double seconds, decision):
        if decision.allowed:
            self.allowed.observe(seconds)
        elif decision.denied:
            self.denied.observe(seconds)
        else:
            self.no_opinion.observe(seconds)
