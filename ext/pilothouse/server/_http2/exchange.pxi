# One stream: a request and its answer.


cdef discard(response, error):
    """Drop an answer that can no longer be sent."""
    if type(response) is Response and response.on_done is not None:
        report(response.on_done, 0, error)


cdef plain_answer(int status, str text):
    return Response(status, text.encode() + b"\n", "text/plain; charset=utf-8")


cdef class Exchange(Sending):
    """A request and its answer on one stream of a connection."""

    cdef dispatch(self):
        """Have the request answered."""
        cdef Exchange me = self           # lives until this returns
        cdef Service service = self.connection.service
        service.requests += 1
        try:
            response = service.handler(self.request)
            if type(response) is not Response:
                task = response
                if type(task) is not Continuation:
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
        resize = connection.core.take_resize()
        if bodyless or size == 0:
            connection.core.put(heads.frames(self.id, response, size, False, None, True, resize))
            self.end_answer()
        elif size <= SMALL and size <= self.room():
            if type(body) is not bytes:
                body = b"".join(body)
            connection.core.put(heads.frames(self.id, response, size, False, body, True, resize))
            connection.core.window -= size
            self.sent = size
            self.end_answer()
        else:
            connection.core.put(heads.frames(self.id, response, size, False, None, False, resize))
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
        cdef bint resize = connection.core.take_resize()
        connection.core.put(heads.frames(self.id, response, -1, pieces is not None, None, bodyless, resize))
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
        self.pump.part = self.connection.core.piece()
        return self.pump

    # --- the end

    cdef end_answer(self):
        """The answer was sent; what the client still sends of its request is not read."""
        cdef Body body = self.body
        cdef Exchange me = self           # lives until this returns
        cdef Connection connection = self.connection
        if body is not None:
            body.drop()
        if not self.remote_closed:
            connection.core.reset_stream(self.id, NO_ERROR, True)
        connection.dropped(self)
        self.finish(None)
        connection.shared.wake(connection)

    cdef reset(self, int code, error):
        """End the stream with an error; for what the peer did wrong it may have a number of them."""
        cdef Exchange me = self           # lives until this returns
        cdef Connection connection = self.connection
        if not self.ended:
            connection.core.reset_stream(self.id, code, not self.remote_closed)
            self.lost(error)
            if code != INTERNAL_ERROR and code != CANCEL:
                connection.core.spend_reset()
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
