from pilothouse.server._budgets cimport Bodies, Incoming, Unfinished
from pilothouse.server._head cimport Heads
from pilothouse.server._message cimport Request, Response
from pilothouse.server._pump cimport Pump, Sink, Turns
from pilothouse.server._turns cimport Line, Turn

cdef enum Phase:
    NEW         # connection_made has not ended: what the transport holds is the rest of its handshake
    IDLE        # between requests
    HEAD        # part of a request's head has arrived
    BODY        # part of its body
    ANSWERING   # a task, a stream or a long body holds the connection
    LINGERING   # refused; input is discarded so that the peer can read the reason
    CLOSED

cdef object peer_left()
cdef object budget_used_up()
cdef report(on_done, Py_ssize_t sent, error)
cdef bint takes_gzip(Request request, Response response) except -1

cdef class Refusal:
    cdef bytes answer                 # b"" closes the connection without an answer
    cdef Response response            # the response it was made from, if a handler gave it, else None
    cdef Py_ssize_t size              # bytes of that response's body

cdef class Service:
    cdef object handler, admit, loop, clock, compress, peer_chain, too_large
    cdef readonly set connections, leaving   # open; closed by us and not yet gone
    cdef public bint draining
    cdef public object on_change      # called when a connection was closed or has ended
    cdef public object on_freed       # called when one with large buffers of TLS has ended
    cdef readonly long long accepted, requests, bytes_in
    cdef public long long refused_connections
    cdef readonly int wide            # connections of which TLS's buffers are large
    cdef readonly Py_ssize_t upgraded  # open connections that handlers have taken over
    cdef Py_ssize_t max_header_bytes, max_body_bytes, gzip_above
    cdef double header_timeout, body_timeout, idle_timeout
    cdef dict names                   # header names as received -> lower-case text; of limited size
    cdef Heads heads
    cdef Turns turns
    cdef readonly Line line           # connections that wait for their turn
    cdef readonly Bodies bodies
    cdef readonly Unfinished unfinished

    cdef bytes refusal_of_body(self)

cdef class Endpoint(Sink):
    cdef object transport
    cdef Service service
    cdef tuple peer, certificates     # the client's address, and the chain of its certificate
    cdef bint secure                  # over TLS
    cdef Py_ssize_t largest           # bytes that the largest read has brought
    cdef public object unauthenticated  # counts the connection until a request on it is authenticated
    cdef Turn turn

    cdef line_up(self)
    cdef advance(self)
    cdef check(self, double at)
    cdef bint is_idle(self)
    cdef drain(self)
    cdef authenticated(self)
    cdef accepted(self, transport)
    cdef begin_tls(self, ssl_object)
    cdef grow(self, Py_ssize_t size)
    cdef end_tls(self)
    cdef bint is_outgrown(self)
    cdef Py_ssize_t with_buffers(self, Py_ssize_t size)
    cdef abort_soon(self)

cdef class Answers(Endpoint):
    cdef Pump pump
    cdef Incoming incoming
    cdef object current               # what occupies the connection: a task, or the pump while it writes
    cdef Request request              # the request that the task answers
    cdef object on_done               # the callback of the answer that is being written
    cdef Py_ssize_t head_size         # bytes of its head
    cdef object waiting               # (request, is HTTP/1.0) queued behind `current`; a Refusal comes last
    cdef bint http10, chunked, close_after  # the answer: for an HTTP/1.0 client, in chunks, the last one
    cdef bint read_paused, advancing, turning, owes_continue
    cdef int completed                # messages completed within the present feed
    cdef bint fresh                   # no request was answered yet within the present callback
    cdef bytes left                   # input that is not parsed yet
    cdef object duplex                # the connection's bytes once a handler has taken it over, else None
    cdef object judging               # the task that judges a head before more of the body is read
    cdef bint stopped                 # whether reading is paused, for any reason
    cdef bint input_ended             # the last request of the connection has been read
    cdef Phase phase
    cdef double since                 # when the phase began, or when the transport stopped accepting data

    cdef settle(self, bint again)
    cdef drop_body(self)
    cdef drop_message(self)
    cdef send_continue(self)
    cdef close(self)
    cdef pause_reading(self)
    cdef regulate(self)
    cdef take_request(self, Request request, bint http10)
    cdef dispatch(self, Request request, bint http10)
    cdef log_failure(self, text, request, error)
    cdef internal_error(self, request, error)
    cdef answer(self, Request request, response)
    cdef begin_answer(self, Request request, Response response)
    cdef take_over(self, Response response)
    cdef go_on_reading(self)
    cdef take_left(self)
    cdef write_head(self, bytes head, Py_ssize_t size)
    cdef begin_stream(self, Response response, bint bodyless, pieces)
    cdef Py_ssize_t body_sent(self) except -1
    cdef finish(self, Py_ssize_t sent, error)
    cdef discard(self, response, error)
    cdef drop_waiting(self, error)
    cdef refuse(self, bytes answer)
    cdef refuse_with(self, Refusal refusal)
    cdef send_refusal(self, Refusal refusal)
