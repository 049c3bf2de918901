# What connections keep of requests that have not come whole, or that wait behind others. Included by
# _http1.pyx.

cdef Py_ssize_t HEADER = 150          # bytes that a header costs beside its text
# so that a head costs little more than its length; upstream has no such limit
cdef int MAX_HEADERS = 4096
cdef Py_ssize_t WORTH_HOLDING = 16 * 1024   # a head that is longer is read line by line, or in growing parts
cdef Py_ssize_t MAX_TRAILER = 16 * 1024     # bytes that may come within a body without bringing any of it
cdef double FRESH = 1.0               # seconds in which a message is spared as long as others can make room


cdef class Unfinished:
    """Heads and short bodies of which a part has come: together they stay within a budget of bytes.

    What goes beyond it is refused, first those messages that have been coming for some time, and of these the
    largest: who sends an ordinary request does not notice. A part of the budget is then free, so that this is
    done seldom.
    """

    cdef Py_ssize_t budget
    cdef readonly Py_ssize_t held
    cdef readonly long long refused
    cdef set connections

    def __init__(self, Py_ssize_t budget):
        self.budget = budget
        self.connections = set()

    cdef note(self, Connection connection, Py_ssize_t size):
        """Count what a connection keeps now."""
        if size == connection.kept:
            return
        if size == 0:
            self.connections.discard(connection)
        elif connection.kept == 0:
            self.connections.add(connection)
        self.held += size - connection.kept
        connection.kept = size
        if self.held > self.budget:
            self.shed(now())

    cdef shed(self, double at):
        cdef Connection connection
        cdef list order = []
        for connection in self.connections:
            order.append((at - connection.since < FRESH, -connection.kept, len(order), connection))
        order.sort()
        for _, _, _, connection in order:
            if self.held <= self.budget - self.budget // 8:
                return
            self.refused += 1
            connection.shed()
