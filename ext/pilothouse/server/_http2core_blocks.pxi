# Header blocks: put together from their frames, decoded in turns, and passed on as heads or trailers.


cdef class Blocks(Windows):
    """The header block that one side receives."""

    cdef on_headers(self, int flags, int number, const unsigned char* data, Py_ssize_t size):
        cdef Py_ssize_t at = 0, end = size
        if not number & 1:
            self.fail(PROTOCOL_ERROR, "HEADERS of a stream that a client cannot open")
            return
        if flags & PADDED:
            at = 1
            end = size - (data[0] if size else 1)
        if flags & PRIORITIZED:
            at += 5
        if at > end:
            self.fail(PROTOCOL_ERROR, "padding that is longer than its frame")
            return
        self.block_stream = number
        self.block_ends = flags & END_STREAM
        if flags & END_HEADERS:
            self.decoder.begin(data + at, end - at)
            self.decode()
        else:
            self.block = bytearray(data[at:end])
            self.block_frames = 0

    cdef on_continuation(self, int flags, const unsigned char* data, Py_ssize_t size):
        cdef bytearray block = self.block
        self.block_frames += 1
        block += data[:size]
        if len(block) > self.max_head or self.block_frames > 8 + len(block) // 1024:
            self.fail(ENHANCE_YOUR_CALM, "a header block is too long, or comes in too many frames")
        elif flags & END_HEADERS:
            self.decoder.begin(<const unsigned char*>PyByteArray_AS_STRING(block), len(block))
            self.decode()

    cdef decode(self):
        """Decode a whole block, or go on with it; what the turn has no room for is done in a later one."""
        cdef Decoder decoder = self.decoder
        cdef bint whole
        self.decoding = False
        try:
            whole = decoder.go_on(self.turn, self.max_head, MAX_FIELDS)
        except CompressionError as error:
            self.fail(COMPRESSION_ERROR, str(error))
            return
        if not whole:
            if self.block is None:    # the rest of the frame's bytes, which do not stay
                self.block = bytearray(decoder.data[decoder.at:decoder.end])
                decoder.end -= decoder.at
                decoder.at = 0
                decoder.data = <const unsigned char*>PyByteArray_AS_STRING(self.block)
            self.decoding = True
            self.on_tired()
            return
        fields = decoder.fields
        decoder.fields = self.block = None
        if decoder.excessive:
            self.fail(ENHANCE_YOUR_CALM, "a header block has too many fields")
        else:
            self.on_head(self.block_stream, fields, self.block_ends)

    cdef on_head(self, int number, list fields, bint ends):
        """A header block has been decoded: of a request, of its answer, or of the trailers of either."""
        cdef Stream stream = self.streams.get(number)
        if stream is not None and stream.remote_closed:
            self.on_broken(stream, STREAM_CLOSED, "HEADERS after the end of the stream")
        elif stream is not None:
            self.on_fields(stream, fields, ends)
        elif number <= self.last:
            if self.forgotten is None or number not in self.forgotten:
                self.fail(STREAM_CLOSED, "HEADERS of a closed stream")
            else:
                self.glitch(1)
        elif self.client:
            self.fail(PROTOCOL_ERROR, "HEADERS of a stream that is not open")
        elif self.leaving >= LEAVES:
            self.glitch(1)
        else:
            self.last = number
            self.turn.left -= REQUEST_UNITS
            if len(self.streams) >= self.max_streams:
                self.reset_stream(number, REFUSED_STREAM, not ends)
                self.spend_reset()
            else:
                self.on_request(number, fields, ends)
