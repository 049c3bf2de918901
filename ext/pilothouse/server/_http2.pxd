from pilothouse.server._answers cimport Endpoint, Service
from pilothouse.server._budgets cimport Incoming
from pilothouse.server._hpack cimport AnswerHeads, Scratch
from pilothouse.server._http2core cimport Core, Stream
from pilothouse.server._pump cimport Pump, Reader

cdef class Shared:
    cdef Service service
    cdef AnswerHeads heads
    cdef Scratch scratch
    cdef bytearray room               # where the transport puts input; parsed before the next comes
    cdef object view                  # of it
    cdef list dirty                   # connections to be flushed at the end of this turn of the loop
    cdef readonly int max_streams
    cdef readonly set connections     # open ones
    cdef readonly long long streams   # streams that were opened
    cdef readonly dict faults         # name of an error -> connections that were ended for it

    cdef wake(self, Output connection)

cdef class Head:
    cdef dict headers
    cdef list all_headers
    cdef long long length             # the declared length of the body, -1 if there is none
    cdef bint expects                 # the client waits for word before it sends its body
    cdef bint wrong_expectation
    cdef Py_ssize_t size              # bytes, as RFC 7541, 4.1 counts them

cdef class Body(Incoming):
    cdef Exchange exchange            # None once the body has come or was dropped
    cdef Head head
    cdef str method, target
    cdef object data                  # None, bytes, or a bytearray if it arrived in parts
    cdef object judging               # the task that judges the head
    cdef double began
    cdef bint entered, admitted, owes_continue

    cdef take(self, bytes part)
    cdef credit(self)
    cdef go_on(self)
    cdef ask(self)
    cdef judge(self, request, response)
    cdef refuse(self, response)
    cdef complete(self)
    cdef drop(self)

cdef class Sending(Stream):
    cdef Connection connection
    cdef Pump pump                    # writes a body that is long or has no length
    cdef object rest                  # bytes that the pump has handed over and no window has room for
    cdef Py_ssize_t sent              # bytes of the answer's body that were sent
    cdef Py_ssize_t counted           # bytes by which it adds to `Connection.held`
    cdef double since                 # when it was stalled
    cdef bint stalled                 # the peer or the socket takes no more for now
    cdef bint end_pending             # the answer ends after `rest`
    cdef bint end_sent                # its last frame has said so

    cdef long long room(self) except? -1
    cdef written(self)
    cdef stall(self)
    cdef go_on(self)
    cdef end_answer(self)
    cdef reset(self, int code, error)

cdef class Exchange(Sending):
    cdef Body body                    # while the request has not come whole
    cdef object request
    cdef object task                  # the handler's
    cdef object on_done               # the callback of the answer that is being written

    cdef dispatch(self)
    cdef answer(self, response)
    cdef begin_answer(self, response)
    cdef begin_stream(self, response, bint bodyless, pieces)
    cdef Pump new_pump(self)
    cdef finish(self, error)
    cdef lost(self, error)
    cdef log_failure(self, text, error)
    cdef internal_error(self, error)

cdef class Fragment(Incoming):
    cdef Connection connection
    cdef double began

cdef class Calls(Core):
    cdef void* connection             # the Connection that owns this, so it is borrowed

cdef class Output(Endpoint):
    cdef Shared shared
    cdef Calls core
    cdef dict waiting                 # exchanges that wait to be dispatched, None = none ever did
    cdef dict blocked                 # exchanges stalled by the socket or by the connection's window
    cdef Py_ssize_t held              # bytes of answers that wait for the peer
    cdef double heard, since          # when bytes came; when the last stream ended
    cdef bint stopped                 # reading is paused
    cdef bint dirty, pinged
    cdef Fragment fragment            # counts what has come of a frame or of a header block

    cdef end_input(self)
    cdef flush(self)
    cdef go_on(self)
    cdef unblock(self)
    cdef dropped(self, Exchange exchange)
    cdef regulate(self)
    cdef leave(self)
    cdef leave_now(self)
    cdef failed(self, int code)
    cdef close(self)
    cdef check_streams(self, double at)

cdef class Requests(Output):
    cdef dict heads                   # tuples of fields -> Head: what clients repeat
    cdef int completed                # requests that came within the present input

    cdef on_trailers(self, Exchange exchange, list fields, bint ends)
    cdef open_stream(self, int number, list fields, bint ends)
    cdef expect_body(self, Exchange exchange, str method, str target, Head head)
    cdef Head head_of(self, list fields, authority)
    cdef take_request(self, Exchange exchange)
    cdef request_of(self, str method, str target, Head head, bytes body)

cdef class Connection(Requests):
    cdef receive(self, const unsigned char* data, Py_ssize_t size)
    cdef note(self)
