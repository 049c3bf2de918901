# What one side sends: its queue of frames, its windows, its allowances, and how it takes leave.


cdef inline unsigned int int_of(const unsigned char* data) noexcept:
    """A number of four bytes."""
    return <unsigned int>data[0] << 24 | data[1] << 16 | data[2] << 8 | data[3]


cdef class Stream(Sink):
    """A stream: its windows, and how far it has come."""


cdef class Frames:
    """The sending part, with the calls that an owner implements."""

    # --- calls

    cdef on_request(self, int number, list fields, bint ends):
        """A client has sent the head of a request, for which a stream may be opened."""
        raise NotImplementedError

    cdef on_fields(self, Stream stream, list fields, bint ends):
        """The head of an answer has come, or trailers."""
        raise NotImplementedError

    cdef on_data(self, Stream stream, const unsigned char* data, Py_ssize_t size):
        """A part of a body has come; `credit` gives it back to the stream's window."""
        raise NotImplementedError

    cdef on_end(self, Stream stream):
        """A body has come whole."""
        raise NotImplementedError

    cdef on_room(self, Stream stream):
        """The peer takes more of a stream, or of all when it is None; called while input is parsed."""
        raise NotImplementedError

    cdef on_reset(self, Stream stream, unsigned int code):
        """The peer has reset a stream."""
        raise NotImplementedError

    cdef on_broken(self, Stream stream, int code, str text):
        """The peer has broken the protocol on a stream, which has to be reset with `code`."""
        raise NotImplementedError

    cdef on_goaway(self, int last, unsigned int code):
        """The peer answers no streams above `last`."""

    cdef on_failure(self, int code):
        """The connection has to end; the peer's reason to know is queued."""
        raise NotImplementedError

    cdef on_tired(self):
        """The turn is used up: the owner calls `go_on` in its next one, if there `has_input`."""

    # --- the beginning

    cdef begin(self, int max_streams, Py_ssize_t max_head):
        """Queue the settings, after a client's preface, and open the connection's window."""
        self.max_streams, self.max_head = max_streams, max_head
        self.resets.at = self.glitches.at = now(self.clock)
        settings = struct.pack(">HIHI", 4, STREAM_WINDOW, 6, max_head)
        if self.client:
            self.put(PREFACE)
            self.put_frame(SETTINGS, 0, 0, struct.pack(">HI", 2, 0) + settings)
        else:
            self.put_frame(SETTINGS, 0, 0, struct.pack(">HI", 3, max_streams) + settings)
        self.open_window = min(MOST_WINDOW, STREAM_WINDOW * <long long>max_streams)
        if self.open_window > FIRST_WINDOW:
            self.put_number(WINDOW_UPDATE, 0, self.open_window - FIRST_WINDOW)
        self.open_window = max(self.open_window, FIRST_WINDOW)

    cdef open(self, Stream stream, int number):
        """Open a stream."""
        stream.id = number
        stream.window = self.first_window
        stream.open_window = STREAM_WINDOW
        self.streams[number] = stream

    # --- allowances

    cdef spend(self, Allowance* allowance, double burst, double rate, double count):
        """Use up `count` of what a peer may do so often."""
        cdef double at
        allowance.left -= count
        if allowance.left < 0:
            at = now(self.clock)
            allowance.left = min(burst, allowance.left + (at - allowance.at) * rate)
            allowance.at = at
            if allowance.left < 0:
                self.fail(ENHANCE_YOUR_CALM, "too many frames without use")

    cdef spend_reset(self):
        """Count a stream that has ended by a reset for which the peer is the cause."""
        self.spend(&self.resets, RESETS, RESETS_PER_SECOND, 1)

    cdef glitch(self, double count):
        """Count a frame that changes nothing, or next to nothing; more than once if it makes more work."""
        self.spend(&self.glitches, GLITCHES, GLITCHES_PER_SECOND, count)

    # --- frames

    cdef put(self, bytes data):
        """Queue frames until the owner writes them."""
        self.out.append(data)
        self.out_size += PyBytes_GET_SIZE(data)

    cdef put_frame(self, int kind, int flags, int number, bytes payload):
        self.put(frame_head(PyBytes_GET_SIZE(payload), kind, flags, number) + payload)

    cdef put_number(self, int kind, int number, long long value):
        """Queue a frame whose payload is a number."""
        self.put_frame(kind, 0, number, struct.pack(">I", value))

    cdef put_data(self, Stream stream, data, Py_ssize_t size, bint ends):
        """Queue DATA frames of one body; those of an event share its bytes with other streams."""
        self.window -= size
        stream.window -= size
        if size > self.frame_size:
            self.lay_frames(stream.id, data, size, ends)
        else:
            self.put(frame_head(size, DATA, END_STREAM if ends else 0, stream.id))
            if size:
                self.out.append(data)
                self.out_size += size

    cdef put_read(self, Stream stream, Reader reader, Py_ssize_t size):
        """Queue DATA frames with the next `size` bytes of a body; the last ones end the stream."""
        cdef Py_ssize_t part
        cdef bint ends = reader.left == size
        cdef char* to = self.extend(size + 9 * ((size + self.frame_size - 1) // self.frame_size))
        self.window -= size
        stream.window -= size
        while size:
            part = min(self.frame_size, size)
            size -= part
            put_head(<unsigned char*>to, part, DATA, END_STREAM if ends and not size else 0, stream.id)
            reader.read(to + 9, part)
            to += 9 + part

    cdef lay_frames(self, int number, data, Py_ssize_t size, bint ends):
        """Queue DATA frames with a copy of `data`."""
        cdef Py_ssize_t part, at = 0
        cdef Py_buffer buffer
        cdef char* to = self.extend(size + 9 * ((size + self.frame_size - 1) // self.frame_size))
        PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
        while at < size:
            part = min(self.frame_size, size - at)
            put_head(<unsigned char*>to, part, DATA, END_STREAM if ends and at + part == size else 0, number)
            memcpy(to + 9, <char*>buffer.buf + at, part)
            to += 9 + part
            at += part
        PyBuffer_Release(&buffer)

    cdef char* extend(self, Py_ssize_t size) except NULL:
        """Queue `size` bytes that the caller fills with frames: in one piece with what is queued already, if
        that is less, so that many small ones do not copy a long queue again and again."""
        cdef Py_ssize_t at = 0
        cdef bytes whole
        if self.out_size > size:
            whole = PyBytes_FromStringAndSize(NULL, size)
            self.out.append(whole)
        else:
            at = self.out_size
            whole = self.joined(size)
            self.out = [whole]
        self.out_size += size
        return PyBytes_AS_STRING(whole) + at

    cdef bytes joined(self, Py_ssize_t more):
        """The queued frames in one piece, with `more` bytes at its end."""
        cdef bytes whole = PyBytes_FromStringAndSize(NULL, self.out_size + more)
        cdef char* to = PyBytes_AS_STRING(whole)
        cdef Py_buffer buffer
        for data in self.out:
            if type(data) is bytes:
                memcpy(to, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
                to += PyBytes_GET_SIZE(data)
                continue
            PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
            memcpy(to, buffer.buf, buffer.len)
            to += buffer.len
            PyBuffer_Release(&buffer)
        return whole

    cdef Py_ssize_t piece(self) noexcept:
        """The bytes of a body with which the queue fills one write."""
        cdef Py_ssize_t room = max(WRITE - self.out_size, WRITE // 2)
        return room - 9 * ((room + self.frame_size + 8) // (self.frame_size + 9))

    cdef credit(self, Stream stream):
        """Give a stream's window back what was taken of it."""
        self.put_number(WINDOW_UPDATE, stream.id, stream.taken)
        stream.open_window += stream.taken
        stream.taken = 0

    cdef reset_stream(self, int number, int code, bint forget):
        """Queue RST_STREAM; with `forget`, frames of the stream that still come are ignored."""
        self.put_number(RST_STREAM, number, code)
        if forget:
            if self.forgotten is None:
                self.forgotten = {}
            elif len(self.forgotten) >= MAX_FORGOTTEN:
                del self.forgotten[next(iter(self.forgotten))]
            self.forgotten[number] = None

    cdef bint take_resize(self):
        resize, self.resize = self.resize, False
        return resize

    cdef bytes take(self):
        """Take the queued frames, to write them."""
        cdef bytes whole = self.out[0] if len(self.out) == 1 else self.joined(0)
        self.out = []
        self.out_size = 0
        return whole

    # --- the end

    cdef leave(self):
        """Tell the peer to open no more streams; those that are open end as they would."""
        self.leaving = ANNOUNCED
        self.put_frame(GOAWAY, 0, 0, struct.pack(">II", MOST_WINDOW, NO_ERROR))
        self.put_frame(PING, 0, 0, DRAIN)

    cdef leave_now(self):
        """The peer knows that it should open no more streams: later ones are ignored."""
        if self.leaving == ANNOUNCED:
            self.leaving = LEAVES
            self.put_frame(GOAWAY, 0, 0, struct.pack(">II", 0 if self.client else self.last, NO_ERROR))

    cdef fail(self, int code, str text):
        """End the connection because of what the peer did."""
        if self.leaving != GONE:
            last = 0 if self.client else self.last
            self.put_frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + text.encode())
            self.on_failure(code)


cdef bytes frame_head(Py_ssize_t size, int kind, int flags, int number):
    cdef unsigned char head[9]
    put_head(head, size, kind, flags, number)
    return PyBytes_FromStringAndSize(<char*>head, 9)
