# A core for Python: calls become events, and nothing is written until somebody asks for it.

cdef long long ANY = 1 << 60          # units of a turn that does not end


cdef class SessionStream(Stream):
    """A stream of a session."""

    cdef bint local_closed            # what this side sends has been queued whole


cdef class Session(Core):
    """One side of a connection for a client, or for tests of either side.

    Events are tuples: ("head", stream, fields, ends), ("data", stream, bytes), ("end", stream),
    ("room", stream or 0), ("goaway", last stream, code), ("reset", stream, code), of which either side may be
    the cause, and ("failure", code), after which `take_output` is written and the connection closed.
    `clock` is what allowances are measured by.
    """

    cdef AnswerHeads heads
    cdef Turn own
    cdef list events

    def __init__(self, client, *, max_streams=250, max_head=1048576, clock=None):
        self.client = self.greeted = client
        self.clock = clock
        self.turn = &self.own
        self.decoder = Decoder(Scratch())
        self.heads = AnswerHeads()
        self.events = []
        self.begin(max_streams, max_head)

    # --- what comes

    def receive(self, bytes data not None, long long units=ANY):
        """Take input, and return the events; what is more work than `units` is left for `resume`."""
        if self.leaving != GONE:
            self.own.left = units
            self.feed(<const unsigned char*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        return self.take_events()

    def resume(self, long long units=ANY):
        """Go on with what was left, and return the events."""
        if self.has_input():
            self.own.left = units
            self.go_on()
        return self.take_events()

    cdef list take_events(self):
        events, self.events = self.events, []
        return events

    # --- what goes

    def take_output(self):
        """Take the bytes that have to be written."""
        return self.take()

    def head(self, list fields not None, bint ends=False, int stream=0):
        """Send a head, of a request on a new stream, else of an answer or trailers; returns the stream."""
        cdef SessionStream one
        if stream:
            one = self.streams[stream]
        else:
            one = SessionStream.__new__(SessionStream)
            self.last += 2 if self.last else 1
            self.open(one, self.last)
        self.put(self.heads.fields(one.id, fields, ends, self.take_resize()))
        self.sent(one, ends)
        return one.id

    def send(self, int stream, bytes data not None, bint ends=False):
        """Send of a body what the windows allow, and return its size; `ends` counts if that is all."""
        cdef SessionStream one = self.streams[stream]
        cdef Py_ssize_t size = max(0, min(<long long>PyBytes_GET_SIZE(data), min(self.window, one.window)))
        cdef bint whole = size == PyBytes_GET_SIZE(data)
        if size or whole and ends:
            self.put_data(one, data if whole else data[:size], size, ends and whole)
            self.sent(one, ends and whole)
        return size

    def give_back(self, int stream):
        """Give the peer back what it has used of a stream's window."""
        cdef Stream one = self.streams.get(stream)
        if one is not None and one.taken and not one.remote_closed:
            self.credit(one)

    def reset(self, int stream, int code=CANCEL):
        """End a stream early."""
        cdef Stream one = self.streams.get(stream)
        if one is not None:
            self.reset_stream(stream, code, not one.remote_closed)
            self.closed(one)

    def goodbye(self):
        """Tell the peer to open no more streams."""
        if self.leaving == STAYS:
            self.leave()

    @property
    def open_streams(self):
        """The numbers of the streams that are open."""
        return list(self.streams)

    @property
    def waits(self):
        """Whether there is input that was not parsed, or is a part of a frame."""
        return self.has_input()

    cdef sent(self, SessionStream stream, bint ends):
        if ends:
            stream.local_closed = True
            if stream.remote_closed:
                self.closed(stream)

    cdef received(self, SessionStream stream, bint ends):
        if ends:
            stream.remote_closed = True
            if stream.local_closed:
                self.closed(stream)

    cdef closed(self, Stream stream):
        stream.ended = True
        self.streams.pop(stream.id, None)

    # --- calls

    cdef on_request(self, int number, list fields, bint ends):
        cdef SessionStream stream = SessionStream.__new__(SessionStream)
        self.open(stream, number)
        self.on_fields(stream, fields, ends)

    cdef on_fields(self, Stream stream, list fields, bint ends):
        cdef Field field
        self.events.append(("head", stream.id, [field.pair for field in fields], bool(ends)))
        self.received(stream, ends)

    cdef on_data(self, Stream stream, const unsigned char* data, Py_ssize_t size):
        self.events.append(("data", stream.id, data[:size]))

    cdef on_end(self, Stream stream):
        self.events.append(("end", stream.id))
        self.received(stream, True)

    cdef on_room(self, Stream stream):
        self.events.append(("room", 0 if stream is None else stream.id))

    cdef on_reset(self, Stream stream, unsigned int code):
        self.events.append(("reset", stream.id, code))
        self.closed(stream)

    cdef on_broken(self, Stream stream, int code, str text):
        self.events.append(("reset", stream.id, code))
        self.reset_stream(stream.id, code, not stream.remote_closed)
        self.closed(stream)
        self.spend_reset()

    cdef on_goaway(self, int last, unsigned int code):
        self.events.append(("goaway", last, code))

    cdef on_failure(self, int code):
        self.events.append(("failure", code))
        self.leaving = GONE
        self.end_input()
