# The calls of the core: what a connection does with what has come.


cdef class Calls(Core):
    """The core of a server's connection."""

    cdef on_request(self, int number, list fields, bint ends):
        (<Connection>self.connection).open_stream(number, fields, ends)

    cdef on_fields(self, Stream stream, list fields, bint ends):
        (<Connection>self.connection).on_trailers(<Exchange>stream, fields, ends)

    cdef on_data(self, Stream stream, const unsigned char* data, Py_ssize_t size):
        cdef Body body = (<Exchange>stream).body
        if body is not None:
            body.take(data[:size])

    cdef on_end(self, Stream stream):
        cdef Body body = (<Exchange>stream).body
        if body is not None:
            body.complete()

    cdef on_room(self, Stream stream):
        """Let a stalled stream go on once the input is parsed."""
        if stream is not None and (<Exchange>stream).stalled:
            (<Connection>self.connection).blocked[stream] = None

    cdef on_reset(self, Stream stream, unsigned int code):
        (<Exchange>stream).lost(peer_left())

    cdef on_broken(self, Stream stream, int code, str text):
        (<Exchange>stream).reset(code, ValueError(text))

    cdef on_failure(self, int code):
        (<Connection>self.connection).failed(code)

    cdef on_tired(self):
        (<Connection>self.connection).line_up()
