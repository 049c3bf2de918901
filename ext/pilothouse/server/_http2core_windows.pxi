# Frames about windows and streams that have been opened: SETTINGS, WINDOW_UPDATE, RST_STREAM.


cdef class Windows(Frames):
    """Frames by which the peer speaks about windows and the ends of streams."""

    cdef on_settings(self, int flags, const unsigned char* data, Py_ssize_t size):
        """Apply all entries of a frame together: of those that repeat the last one counts."""
        cdef Py_ssize_t at
        cdef int name, first = self.first_window
        cdef unsigned int value, pushes = 0 if self.client else 1
        if flags & ACK:
            if size:
                self.fail(FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS")
            return
        if size % 6:
            self.fail(FRAME_SIZE_ERROR, "SETTINGS")
            return
        if size > 6 * MAX_SETTINGS:
            self.fail(ENHANCE_YOUR_CALM, "too many settings")
            return
        for at in range(0, size, 6):
            name = data[at] << 8 | data[at + 1]
            value = int_of(data + at + 2)
            if name == 1:
                self.resize = True
            elif name == 2 and value > pushes or name == 5 and not 16384 <= value <= 16777215:
                self.fail(PROTOCOL_ERROR, "SETTINGS")
                return
            elif name == 4 and value > <unsigned int>MOST_WINDOW:
                self.fail(FLOW_CONTROL_ERROR, "SETTINGS")
                return
            elif name == 4:
                first = <int>value
            elif name == 5:
                self.frame_size = min(<Py_ssize_t>value, LONGEST)
        if self.settled:
            self.glitch(1 if first == self.first_window else 1 + len(self.streams) // STREAMS)
        self.settled = True
        self.turn.left -= SETTING_UNITS * (size // 6)
        self.shift_windows(<long long>first - self.first_window)
        self.first_window = first
        self.put_frame(SETTINGS, ACK, 0, b"")

    cdef shift_windows(self, long long size):
        """Change the windows of all streams; those that may send more do so once the input is parsed."""
        cdef Stream stream
        if size == 0:
            return
        self.turn.left -= STREAM_UNITS * len(self.streams)
        for stream in self.streams.values():
            stream.window += size
            if stream.window > MOST_WINDOW:
                self.fail(FLOW_CONTROL_ERROR, "a window that is too large")
                return
            if size > 0:
                self.on_room(stream)

    cdef on_window(self, int number, long long size):
        """The peer takes more, of one stream or of all together."""
        cdef Stream stream
        if size < MIN_UPDATE:
            self.glitch(1)
        if number:
            stream = self.streams.get(number)
            if stream is None:
                return
            if size == 0:
                self.on_broken(stream, PROTOCOL_ERROR, "a window that does not grow")
            elif stream.window + size > MOST_WINDOW:
                self.on_broken(stream, FLOW_CONTROL_ERROR, "a window that is too large")
            else:
                stream.window += size
                self.on_room(stream)
        elif size == 0:
            self.fail(PROTOCOL_ERROR, "a window that does not grow")
        elif self.window + size > MOST_WINDOW:
            self.fail(FLOW_CONTROL_ERROR, "a window that is too large")
        else:
            self.window += size
            self.on_room(None)

    cdef on_stream_reset(self, int number, unsigned int code):
        """The peer has reset a stream."""
        cdef Stream stream = self.streams.get(number)
        self.spend_reset()
        if stream is not None and not stream.ended:
            self.turn.left -= RESET_UNITS
            self.on_reset(stream, code)
