"""The counts of answered requests: one look-up and two additions each,
for it is done at the end of every request."""

from pilothouse.metrics._instruments cimport Distribution

cdef tuple SECONDS = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
)
cdef tuple BYTES = tuple([10**n for n in range(3, 10)])

cdef tuple FILTER_SECONDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 5, 10, 15, 30)

cdef frozenset STREAMS = frozenset(("log", "exec", "portforward", "attach", "proxy"))

DURATION, RESPONSE_SIZES, FILTER_DURATION = SECONDS, BYTES, FILTER_SECONDS
CONNECTED = STREAMS  # subresources whose requests are told as CONNECT (endpoints/metrics CleanVerb)

cdef str APPLY = "application/apply-patch+"
cdef frozenset SYSTEM_CLIENTS = frozenset(("kube-apiserver", "kube-controller-manager", "kube-scheduler"))
cdef frozenset LONG_RUNNING = frozenset(("watch", "connect"))
cdef int UPGRADED = 101
cdef frozenset WRITES = frozenset(("create", "update", "patch", "apply"))
cdef frozenset VALIDATIONS = frozenset(("Ignore", "Strict", "Warn"))


cdef class Cell:
    """The requests of one kind and one status code.

    `sli` are the seconds without those that they have waited for others, None for requests that run long and
    for dry runs. `sizes` is None for those that are no reads; a log is one.
    """

    def __init__(self, bint deprecated, verb, bint dry_run, bint log=False):
        self.seconds = Distribution(SECONDS)
        self.sli = None if dry_run or verb in LONG_RUNNING else Distribution(SECONDS)
        self.sizes = Distribution(BYTES) if verb == "get" or verb == "list" or log else None
        self.deprecated = deprecated
        self.written = verb in WRITES


cdef str dry_run_of(query):
    """The label for the dryRun of a query (endpoints/metrics cleanDryRun)."""
    values = query.get("dryRun")
    if not values:
        return ""
    return "All" if list(values) == ["All"] else "invalid"


cpdef str sort_of(str verb, headers):
    """The verb of a request as metrics sort it: a patch may be an apply."""
    return "apply" if verb == "patch" and headers.get("content-type", "").startswith(APPLY) else verb


cpdef str system_client_of(headers):
    """The name of a control plane's client, by its User-Agent; "" for all others."""
    cdef str agent = headers.get("user-agent", "")
    if not agent.startswith("kube-"):
        return ""
    name, slash, _ = agent.partition("/")
    return name if slash and name in SYSTEM_CLIENTS else ""


cdef str validation_of(query):
    """The label for the fieldValidation of a query (endpoints/metrics cleanFieldValidation)."""
    values = query.get("fieldValidation")
    if values is None:
        return ""
    return values[0] if len(values) == 1 and values[0] in VALIDATIONS else "invalid"


cdef class Cells:
    """The cells by (verb, group, version, resource, subresource, scope, dry run, system client, code)."""

    def __init__(self, body_sizes, validated):
        self.cells = {}
        self.body_sizes = body_sizes
        self.validated = validated

    cpdef observe(self, info, resource, status, double seconds, Py_ssize_t received, Py_ssize_t sent,
                  dict headers, query, double waited):
        """Count one answered request: the bytes of its body and of its answer, its headers and its decoded
        query, and how many of its seconds it has waited for seats and for webhooks.

        Unknown resources and subresources are not counted, as upstream does. So there are not many cells.
        A connection that was taken over has the code 0, as upstream sees no header of its answer.
        """
        cdef Cell cell
        cdef str dry_run = ""
        if resource is None:
            return
        verb, subresource = info.verb, info.subresource
        if subresource:
            if subresource not in resource.subresources:
                return
            if subresource in STREAMS:
                verb = "connect"
        if info.name or info.verb == "create":
            scope = "resource"
        else:
            scope = "namespace" if info.namespace else "cluster"
        if query:
            dry_run = dry_run_of(query)
        if status == UPGRADED:
            status = 0
        key = (sort_of(verb, headers), info.group, info.version, info.resource, subresource, scope, dry_run,
               system_client_of(headers), status)
        cell = <Cell>self.cells.get(key)
        if cell is None:
            cell = Cell(bool(resource.deprecated), verb, dry_run != "", subresource == "log")
            self.cells[key] = cell
        cell.seconds.observe(seconds)
        if cell.sli is not None:
            cell.sli.observe(seconds - waited)
        if cell.written:
            self.validated.observe(seconds, validation_of(query))
        if cell.sizes is not None:
            cell.sizes.observe(sent)
        if received and verb != "connect":  # what goes through is no object
            self.body_sizes.observe(received, info.group, info.resource, verb)


cdef class Authenticated:
    """Counts authenticated requests: their duration, and one for the label of the user."""

    def __init__(self, Distribution seconds not None, users):
        self.seconds = seconds
        self.users = users

    def __call__(self, double seconds, str name not None):
        self.count(seconds, name)

    cdef count(self, double seconds, str name):
        self.seconds.observe(seconds)
        if self.filter is not None:
            self.filter.observe(seconds)
        cdef list count = self.users[name]
        count[0] += 1


cdef class Authorized:
    """Counts the decisions about requests by their result, with the duration."""

    def __init__(
        self, Distribution allowed not None, Distribution denied not None, Distribution no_opinion not None
    ):
        self.allowed = allowed
        self.denied = denied
        self.no_opinion = no_opinion

    cdef void count(self, double seconds) noexcept:
        """Count a request that is allowed."""
        if self.filter is not None:
            self.filter.observe(seconds)
        self.allowed.observe(seconds)

    def __call__(self, double seconds, decision):
        if self.filter is not None:
            self.filter.observe(seconds)
        if decision.allowed:
            self.allowed.observe(seconds)
        elif decision.denied:
            self.denied.observe(seconds)
        else:
            self.no_opinion.observe(seconds)
