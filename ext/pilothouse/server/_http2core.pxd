from pilothouse.server._hpack cimport Decoder, Scratch
from pilothouse.server._pump cimport Reader, Sink
from pilothouse.server._turns cimport Turn

cdef enum:                            # frames
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9

cdef enum:                            # flags
    END_STREAM = 1
    ACK = 1
    END_HEADERS = 4
    PADDED = 8
    PRIORITIZED = 32

cdef enum:                            # errors
    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11

cdef enum:                            # sizes in bytes
    STREAM_WINDOW = 262144            # of the peer's body that may come unasked, as upstream
    FLUSH = 98304                     # of frames that are queued before the owner should write them
    MIN_UPDATE = 64                   # a window that grows by less is counted as a glitch

cdef enum Leaving:                    # how far a connection is on its way to its end
    STAYS
    ANNOUNCED                         # the peer was told to open no more streams, and may not know yet
    LEAVES                            # streams above `last` are ignored
    GONE

cdef struct Allowance:                # a token bucket
    double left, at

cdef class Stream(Sink):
    cdef readonly int id
    cdef readonly long long window    # bytes that may be sent, below 0 after a change of settings
    cdef Py_ssize_t open_window       # bytes that the peer may still send
    cdef Py_ssize_t taken             # bytes received and not yet given back to this window
    cdef bint remote_closed           # what the peer sends has come whole
    cdef bint ended                   # nothing more is sent or received

cdef class Frames:
    cdef Turn* turn                   # units of work; the owner's
    cdef object clock                 # what allowances are measured by, None for the monotonic clock
    cdef bint client                  # the side that opens streams
    cdef dict streams                 # number -> Stream, in the order in which they were opened
    cdef dict forgotten               # streams that were reset while the peer may still send on them
    cdef list out                     # frames that the owner writes when it calls `take`
    cdef Py_ssize_t out_size          # bytes of these
    cdef bint paused                  # the owner writes nothing for now
    cdef Py_ssize_t frame_size        # the most bytes of a frame that the peer takes
    cdef int last                     # the highest stream that was opened
    cdef int max_streams              # that the peer may have open
    cdef Py_ssize_t max_head          # bytes of a header block
    cdef long long window             # bytes that may be sent
    cdef int first_window             # of each stream, as the peer's settings say
    cdef long long open_window, taken  # bytes that the peer may send; those not yet given back
    cdef Allowance resets, glitches
    cdef Leaving leaving
    cdef bint resize                  # the next head says that the peer's table is not used

    # calls
    cdef on_request(self, int number, list fields, bint ends)
    cdef on_fields(self, Stream stream, list fields, bint ends)
    cdef on_data(self, Stream stream, const unsigned char* data, Py_ssize_t size)
    cdef on_end(self, Stream stream)
    cdef on_room(self, Stream stream)
    cdef on_reset(self, Stream stream, unsigned int code)
    cdef on_broken(self, Stream stream, int code, str text)
    cdef on_goaway(self, int last, unsigned int code)
    cdef on_failure(self, int code)
    cdef on_tired(self)

    cdef begin(self, int max_streams, Py_ssize_t max_head)
    cdef open(self, Stream stream, int number)
    cdef spend(self, Allowance* allowance, double burst, double rate, double count)
    cdef spend_reset(self)
    cdef glitch(self, double count)
    cdef put(self, bytes data)
    cdef put_frame(self, int kind, int flags, int number, bytes payload)
    cdef put_number(self, int kind, int number, long long value)
    cdef put_data(self, Stream stream, data, Py_ssize_t size, bint ends)
    cdef put_read(self, Stream stream, Reader reader, Py_ssize_t size)
    cdef lay_frames(self, int number, data, Py_ssize_t size, bint ends)
    cdef char* extend(self, Py_ssize_t size) except NULL
    cdef bytes joined(self, Py_ssize_t more)
    cdef Py_ssize_t piece(self) noexcept
    cdef credit(self, Stream stream)
    cdef reset_stream(self, int number, int code, bint forget)
    cdef bint take_resize(self)
    cdef bytes take(self)
    cdef leave(self)
    cdef leave_now(self)
    cdef fail(self, int code, str text)

cdef class Windows(Frames):
    cdef bint settled                 # the peer's first settings have come

    cdef on_settings(self, int flags, const unsigned char* data, Py_ssize_t size)
    cdef shift_windows(self, long long size)
    cdef on_window(self, int number, long long size)
    cdef on_stream_reset(self, int number, unsigned int code)

cdef class Blocks(Windows):
    cdef Decoder decoder
    cdef bytearray block              # the header block that has begun to come
    cdef int block_stream, block_frames
    cdef bint block_ends
    cdef bint decoding                # the block has come whole and is decoded in a later turn

    cdef on_headers(self, int flags, int number, const unsigned char* data, Py_ssize_t size)
    cdef on_continuation(self, int flags, const unsigned char* data, Py_ssize_t size)
    cdef decode(self)
    cdef on_head(self, int number, list fields, bint ends)

cdef class Core(Blocks):
    cdef bint greeted                 # the peer's preface has come
    cdef bint halted                  # the rest of the input waits until the peer has taken what is queued
    cdef bytes left                   # input; what of it is not parsed yet begins at `left_at`
    cdef Py_ssize_t left_at
    cdef Py_ssize_t data_left, pad_left   # of the DATA frame that has begun to come
    cdef Stream data_of
    cdef bint data_ends

    cdef feed(self, const unsigned char* data, Py_ssize_t size)
    cdef go_on(self)
    cdef bint has_input(self)
    cdef Py_ssize_t unfinished(self)
    cdef end_input(self)
    cdef take_input(self, bytes data, Py_ssize_t at)
    cdef Py_ssize_t parse(self, const unsigned char* data, Py_ssize_t size) except -1
    cdef on_frame(self, int kind, int flags, int number, const unsigned char* data, Py_ssize_t size)
    cdef begin_data(self, int flags, int number, Py_ssize_t size, Py_ssize_t pad)
    cdef take_data(self, const unsigned char* data, Py_ssize_t size)
    cdef end_data(self)
