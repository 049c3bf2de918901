# One stream: a request and its answer.


cdef discard(response, error):
    """Drop an answer that can no longer be sent."""
    if type(response) is Response and response.on_done is not None:
        report(response.on_done, 0, error)


cdef plain_answer(int status, str text):
    return Response(status, text.encode() + b"\n", "text/plain; charset=utf-8")


cdef class Exchange(Sink):
    """A request and its answer on one stream of a connection."""

    cdef dispatch(self):
        """Have the request answered."""
        cdef Exchange me = self           # lives until this returns
        cdef Service service = self.connection.service
        service.requests += 1
        try:
            response = service.handler(self.request)
            if type(response) is not Response:
                task = asyncio.ensure_future(response, loop=service.loop)
                self.task = task
                task.add_done_callback(self.task_done)
                return
        except Exception as error:
            response = self.internal_error(error)
        self.answer(response)

    def task_done(self, task):
        """Write the answer of a task."""
        if self.task is not task or self.ended:
            if not task.cancelled() and task.exception() is None:
                discard(task.result(), peer_left())
            return
        self.task = None
        if task.cancelled():
            self.reset(INTERNAL_ERROR, ConnectionAbortedError("the handler was cancelled"))
        else:
            error = task.exception()
            self.answer(self.internal_error(error) if error is not None else task.result())
        self.connection.shared.wake(self.connection)

    cdef log_failure(self, text, error):
        log.exception(text, err=error, method=self.request.method, path=self.request.target)

    cdef internal_error(self, error):
        self.log_failure("A request failed", error)
        return plain_answer(500, "Internal Server Error")

    # --- answers

    cdef answer(self, response):
        cdef Exchange me = self           # lives until this returns
        cdef Connection connection = self.connection
        if connection.unauthenticated is not None and self.request.caller:
            connection.authenticated()
        try:
            self.begin_answer(response)
        except Exception as error:
            self.log_failure("An answer was not written", error)
            self.reset(INTERNAL_ERROR, error)

    cdef begin_answer(self, response):
        cdef Connection connection = self.connection
        cdef AnswerHeads heads = connection.shared.heads
        cdef bint bodyless = self.request.method == "HEAD" or response.status in (204, 304)
        cdef Py_ssize_t size = 0
        self.on_done = response.on_done
        if not self.request.keep_alive or connection.service.draining:
            connection.leave()
        if response.start is not None:
            self.begin_stream(response, bodyless, None)
            return
        body = response.body
        if type(body) is bytes:
            size = PyBytes_GET_SIZE(body)
        elif type(body) is not list:
            size = body.size
        else:
            for piece in body:
                size += len(piece)
        if size > connection.service.gzip_above and takes_gzip(self.request, response):
            self.begin_stream(response, bodyless, [body] if type(body) is bytes else body)
            return
        resize = connection.take_resize()
        if bodyless or size == 0:
            connection.put(heads.frames(self.id, response, size, False, None, True, resize))
            self.end_answer()
        elif size <= SMALL and size <= self.room():
            if type(body) is not bytes:
                body = b"".join(body)
            connection.put(heads.frames(self.id, response, size, False, body, True, resize))
            connection.window -= size
            self.sent = size
            self.end_answer()
        else:
            connection.put(heads.frames(self.id, response, size, False, None, False, resize))
            if isinstance(body, Readable):
                self.new_pump().draw_body(<Readable>body)
            else:
                self.new_pump().put_body(body, size)
        if heads.closing:
            connection.leave()

    cdef begin_stream(self, response, bint bodyless, pieces):
        """Begin a body without a length: written by the response's `start`, or `pieces` compressed."""
        cdef Connection connection = self.connection
        cdef AnswerHeads heads = connection.shared.heads
        connection.put(
            heads.frames(self.id, response, -1, pieces is not None, None, bodyless, connection.take_resize())
        )
        connection.shared.wake(connection)
        if heads.closing:
            connection.leave()
        if bodyless:
            self.end_answer()
        elif pieces is None:
            response.start(self.new_pump().begin_stream())
        else:
            connection.service.compress(self.new_pump().begin_stream(), pieces)

    cdef Pump new_pump(self):
        self.pump = Pump(self, self.connection.service.turns)
        self.pump.begin(b"")
        self.pump.out = []
        self.pump.part = self.connection.piece()
        return self.pump

    # --- the pump's sink

    cdef long long room(self) except? -1:
        """Bytes that may be sent now."""
        return 0 if self.connection.paused else min(self.window, self.connection.window)

    cdef bint hand_over(self, data) except -1:
        """Send bytes of the body as far as the windows allow; the rest waits, and the pump with it."""
        cdef Py_ssize_t size = len(data)
        cdef long long room
        if self.ended:
            return False
        room = self.room()
        if size <= room:
            self.end_sent = self.pump.ending and self.pump.source is None and self.pump.size == size
            self.connection.put_data(self.id, data, size, self.end_sent)
        elif room > 0:
            self.connection.put_data(self.id, memoryview(data)[:room], room, False)
            self.rest = memoryview(data)[room:]
            size = room
        else:
            self.rest = data
            size = 0
        self.window -= size
        self.sent += size
        if self.connection.out_size >= FLUSH:
            self.connection.flush()
        if self.rest is not None or self.connection.paused:
            self.stall()
            if 0 < size < MIN_UPDATE and self.rest is not None:
                self.connection.glitch(1)
        return not self.ended

    cdef Py_ssize_t draw(self, Reader reader) except -1:
        """Send of a body what the windows allow, in one write."""
        cdef Py_ssize_t size = min(<long long>min(reader.left, self.connection.piece()), self.room())
        if self.ended:
            self.pump.paused = True
            return 0
        if size > 0:
            self.end_sent = size == reader.left
            self.connection.put_read(self.id, reader, size)
            self.window -= size
            self.sent += size
            if self.connection.out_size >= FLUSH:
                self.connection.flush()
        if self.connection.paused or reader.left and self.room() <= 0:
            self.stall()
            if 0 < size < MIN_UPDATE and reader.left:
                self.connection.glitch(1)
        return max(size, 0)

    cdef stall(self):
        """Wait for a window to grow, or for the socket to take more."""
        self.pump.paused = True
        if not self.stalled:
            self.stalled = True
            self.since = now(self.connection.service.clock)
            self.counted = self.pump.size
            self.connection.held += self.counted
        if self.window > 0:
            self.connection.blocked[self] = None

    cdef go_on(self):
        """Continue after a window has grown, or the socket has taken what it had."""
        cdef Exchange me = self           # lives until this returns
        cdef long long room = self.room()
        cdef Py_ssize_t size
        if not self.stalled or room <= 0:
            if self.stalled and self.window > 0:
                self.connection.blocked[self] = None
            return
        self.stalled = False
        self.connection.held -= self.counted
        self.counted = 0
        if self.rest is not None:
            data, self.rest = self.rest, None
            size = min(<long long>len(data), room)
            if size < len(data):
                self.rest = memoryview(data)[size:]
                data = memoryview(data)[:size]
            self.connection.put_data(self.id, data, size, False)
            self.window -= size
            self.sent += size
            if self.rest is not None:
                self.stall()
                if size < MIN_UPDATE:
                    self.connection.glitch(1)
                return
        if self.end_pending:
            self.end_pending = False
            self.body_ended()
            return
        self.pump.paused = False
        if isinstance(self.pump.source, Reader):
            self.draw(<Reader>self.pump.source)   # now, so that streams that are read write in turn
        self.pump.wake()

    cdef Py_ssize_t buffered(self) except -1:
        cdef Connection connection = self.connection
        cdef Py_ssize_t size = connection.out_size
        if self.ended:
            return 0
        if connection.paused:
            size += connection.transport.get_write_buffer_size()
        if self.stalled:
            if connection.held > HELD:
                size += HELD          # others wait as well: this one gets no queue of its own
            if self.rest is not None:
                size += len(self.rest)
        return size

    cdef bytes frame(self, bytes data):
        if self.stalled:
            self.counted += PyBytes_GET_SIZE(data)
            self.connection.held += PyBytes_GET_SIZE(data)
        return data

    cdef bytes last_frame(self):
        return None

    cdef stream_ended(self):
        self.since = now(self.connection.service.clock)

    cdef body_ended(self):
        cdef Exchange me = self           # lives until this returns
        if self.rest is not None:
            self.end_pending = True
            return
        if not self.end_sent:
            self.connection.put_data(self.id, b"", 0, True)
        self.end_answer()

    cdef cut(self, error):
        """End the answer prematurely; what the windows allow is still sent."""
        cdef Exchange me = self           # lives until this returns
        cdef Pump pump = self.pump
        cdef PumpStream stream
        if self.ended:
            return
        if pump is not None:
            stream = pump.stream
            pump.source = pump.stream = None
            pump.ending = False
            if not pump.paused:
                pump.run()
            pump.stream = stream
        self.reset(INTERNAL_ERROR, error)

    # --- the end

    cdef end_answer(self):
        """The answer was sent; what the client still sends of its request is not read."""
        cdef Body body = self.body
        cdef Exchange me = self           # lives until this returns
        cdef Connection connection = self.connection
        if body is not None:
            body.drop()
        if not self.remote_closed:
            connection.reset_stream(self.id, NO_ERROR, True)
        connection.dropped(self)
        self.finish(None)
        connection.shared.wake(connection)

    cdef reset(self, int code, error):
        """End the stream with an error; for what the peer did wrong it may have a number of them."""
        cdef Exchange me = self           # lives until this returns
        cdef Connection connection = self.connection
        if not self.ended:
            connection.reset_stream(self.id, code, not self.remote_closed)
            self.lost(error)
            if code != INTERNAL_ERROR and code != CANCEL:
                connection.spend(&connection.resets, RESETS, RESETS_PER_SECOND, 1)
            connection.shared.wake(connection)

    cdef lost(self, error):
        """The stream has ended before its answer: the peer has reset it, or has gone."""
        cdef Body body = self.body
        cdef Exchange me = self           # lives until this returns
        if self.ended:
            return
        if body is not None:
            body.drop()
        self.connection.dropped(self)
        if self.task is not None:
            task, self.task = self.task, None
            task.cancel()
        self.finish(error)

    cdef finish(self, error):
        """The answer has ended; called once the connection has dropped the stream."""
        cdef Exchange me = self           # lives until this returns
        cdef Pump pump = self.pump
        cdef PumpStream stream
        on_done, self.on_done = self.on_done, None
        self.rest = self.pump = None
        if pump is not None:
            stream = pump.stream
            pump.leave()
            if stream is not None:
                stream.closed()
        if on_done is not None:
            report(on_done, self.sent, error)
