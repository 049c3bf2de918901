from pilothouse._answers cimport Endpoint, Service
from pilothouse._budgets cimport Incoming
from pilothouse._hpack cimport AnswerHeads, Decoder, Scratch
from pilothouse._pump cimport Pump, Reader, Sink

cdef enum Leaving:                    # how far a connection is on its way to its end
    STAYS
    ANNOUNCED                         # the peer was told to open no more streams, and may not know yet
    LEAVES                            # streams above `last` are ignored
    GONE

cdef struct Allowance:                # a token bucket
    double left, at

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
    cdef Py_ssize_t window            # bytes that the peer may still send
    cdef Py_ssize_t taken             # bytes received and not yet given back to the window
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

cdef class Exchange(Sink):
    cdef Connection connection
    cdef int id
    cdef Body body                    # while the request has not come whole
    cdef object request
    cdef object task                  # the handler's
    cdef object on_done               # the callback of the answer that is being written
    cdef Pump pump                    # writes a body that is long or has no length
    cdef object rest                  # bytes that the pump has handed over and no window has room for
    cdef long long window             # bytes that may be sent, below 0 after a change of settings
    cdef Py_ssize_t sent              # bytes of the answer's body that were sent
    cdef Py_ssize_t counted           # bytes by which it adds to `Connection.held`
    cdef double since                 # when it was stalled
    cdef bint ended                   # nothing more is sent or received
    cdef bint remote_closed           # the request has come whole
    cdef bint stalled                 # the peer or the socket takes no more for now
    cdef bint end_pending             # the answer ends after `rest`
    cdef bint end_sent                # its last frame has said so

    cdef dispatch(self)
    cdef answer(self, response)
    cdef begin_answer(self, response)
    cdef begin_stream(self, response, bint bodyless, pieces)
    cdef Pump new_pump(self)
    cdef long long room(self) except? -1
    cdef stall(self)
    cdef go_on(self)
    cdef end_answer(self)
    cdef finish(self, error)
    cdef lost(self, error)
    cdef reset(self, int code, error)
    cdef log_failure(self, text, error)
    cdef internal_error(self, error)

cdef class Fragment(Incoming):
    cdef Connection connection
    cdef double began

cdef class Output(Endpoint):
    cdef Shared shared
    cdef dict streams                 # number -> Exchange, in the order in which they were opened
    cdef dict waiting                 # exchanges that wait to be dispatched, None = none ever did
    cdef dict blocked                 # exchanges stalled by the socket or by the connection's window
    cdef dict forgotten               # streams that were reset while the peer may still send on them
    cdef list out                     # frames to be written
    cdef Py_ssize_t out_size          # bytes of these
    cdef int last                     # the highest stream that was opened
    cdef long long window             # bytes that may be sent
    cdef Py_ssize_t frame_size        # the most bytes of a frame that the peer takes
    cdef Py_ssize_t held              # bytes of answers that wait for the peer
    cdef Allowance resets, glitches
    cdef double heard, since          # when bytes came; when the last stream ended
    cdef Leaving leaving
    cdef bint resize                  # the next head says that the peer's table is not used
    cdef bint paused                  # the socket accepts no more for now
    cdef bint halted                  # the rest of the input waits until the peer has taken what is queued
    cdef bint stopped                 # reading is paused
    cdef bint dirty, pinged
    cdef bytearray block              # the header block that has begun to come
    cdef Fragment fragment            # counts `left` and `block`
    cdef bint greeted, settled        # the peer's preface and its first settings have come
    cdef bytes left                   # input; what of it is not parsed yet begins at `left_at`
    cdef Py_ssize_t left_at

    cdef end_input(self)
    cdef bint take_resize(self)
    cdef spend(self, Allowance* allowance, double burst, double rate, double count)
    cdef glitch(self, double count)
    cdef put(self, bytes data)
    cdef put_frame(self, int kind, int flags, int number, bytes payload)
    cdef put_number(self, int kind, int number, long long value)
    cdef put_data(self, int number, data, Py_ssize_t size, bint ends)
    cdef put_read(self, int number, Reader reader, Py_ssize_t size)
    cdef lay_frames(self, int number, data, Py_ssize_t size, bint ends)
    cdef char* extend(self, Py_ssize_t size) except NULL
    cdef Py_ssize_t piece(self) noexcept
    cdef reset_stream(self, int number, int code, bint forget)
    cdef flush(self)
    cdef go_on(self)
    cdef unblock(self)
    cdef dropped(self, Exchange exchange)
    cdef regulate(self)
    cdef leave(self)
    cdef leave_now(self)
    cdef fail(self, int code, str text)
    cdef close(self)
    cdef check_streams(self, double at)

cdef class Requests(Output):
    cdef Decoder decoder
    cdef dict heads                   # tuples of fields -> Head: what clients repeat
    cdef tuple peer, certificates
    cdef int first_window             # of each stream, as the peer's settings say
    cdef int completed                # requests that came within the present input

    cdef on_trailers(self, Exchange exchange, list fields, bint ends)
    cdef open_stream(self, int number, list fields, bint ends)
    cdef expect_body(self, Exchange exchange, str method, str target, Head head)
    cdef Head head_of(self, list fields, authority)
    cdef take_request(self, Exchange exchange)
    cdef request_of(self, str method, str target, Head head, bytes body)

cdef class Control(Requests):
    cdef on_settings(self, int flags, const unsigned char* data, Py_ssize_t size)
    cdef shift_windows(self, long long size)
    cdef on_window(self, int number, long long size)
    cdef on_reset(self, int number, unsigned int code)

cdef class Blocks(Control):
    cdef int block_stream, block_frames
    cdef bint block_ends
    cdef bint decoding                # the block has come whole and is decoded in a later turn

    cdef on_headers(self, int flags, int number, const unsigned char* data, Py_ssize_t size)
    cdef on_continuation(self, int flags, const unsigned char* data, Py_ssize_t size)
    cdef decode(self)
    cdef on_head(self, int number, list fields, bint ends)

cdef class Connection(Blocks):
    cdef Py_ssize_t data_left, pad_left   # of the DATA frame that has begun to come
    cdef Exchange data_of
    cdef bint data_ends
    cdef long long open_window, taken  # bytes that the peer may send; those not yet given back

    cdef receive(self, const unsigned char* data, Py_ssize_t size)
    cdef take_input(self, bytes data, Py_ssize_t at)
    cdef Py_ssize_t parse(self, const unsigned char* data, Py_ssize_t size) except -1
    cdef on_frame(self, int kind, int flags, int number, const unsigned char* data, Py_ssize_t size)
    cdef begin_data(self, int flags, int number, Py_ssize_t size, Py_ssize_t pad)
    cdef take_data(self, const unsigned char* data, Py_ssize_t size)
    cdef end_data(self)
    cdef note(self)
