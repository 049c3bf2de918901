# The body of a request: its windows, its budget, and the judgement of its head.


cdef class Body(Incoming):
    """The body of one stream's request while it is received, for the budgets."""

    cdef regulate(self):
        if self.exchange is not None:
            self.credit()

    cdef refuse_slow(self):
        if self.exchange is not None:
            self.refuse(plain_answer(408, "408 Request Timeout"))

    cdef double since(self):
        return self.began

    cdef shed(self):
        if self.exchange is not None:
            self.refuse(plain_answer(408, "408 Request Timeout"))

    cdef take(self, bytes part):
        """Take a part of the body, or refuse a body that is too long."""
        cdef Body me = self           # lives until this returns
        cdef Service service = self.exchange.connection.service
        self.received += PyBytes_GET_SIZE(part)
        if 0 <= self.head.length < self.received:
            self.exchange.reset(PROTOCOL_ERROR, ValueError("a body longer than its content-length"))
            return
        if self.received > service.max_body_bytes:
            self.refuse(service.too_large)
            return
        if self.received > SHORT and not self.expected:
            self.expected = service.max_body_bytes
        if self.data is None:
            self.data = part
        else:
            if type(self.data) is bytes:
                self.data = bytearray(self.data)
            self.data += part
        if self.expected:
            self.go_on()
        if self.exchange is not None:
            self.credit()
            service.unfinished.note(self, self.head.size + max(0, self.received - self.granted))

    cdef credit(self):
        """Give the peer back what it has used of the window of a long body, unless that has to wait."""
        cdef Connection connection = self.exchange.connection
        if self.admitted and self.exchange.taken >= STREAM_WINDOW // 4 and not self.awaits_grant:
            connection.core.credit(self.exchange)
            connection.shared.wake(connection)

    cdef go_on(self):
        """Have a long body judged, then get a budget for it."""
        cdef Body me = self           # lives until this returns
        if not self.admitted:
            if self.judging is None:
                self.ask()
        elif self.expected and not self.awaits_grant:
            if self.granted == 0 or self.granted < min(self.received, self.expected):
                self.entered = True
                self.exchange.connection.service.bodies.enter(self)

    cdef ask(self):
        """Have the head judged; the stream's window does not grow until then."""
        cdef Body me = self           # lives until this returns
        cdef Exchange exchange = self.exchange
        cdef Service service = exchange.connection.service
        if service.admit is None:
            self.judge(None, None)
            return
        request = exchange.connection.request_of(self.method, self.target, self.head, b"")
        try:
            verdict = service.admit(request)
        except Exception as error:
            verdict = exchange.internal_error(error)
        if verdict is None or type(verdict) is Response:
            self.judge(request, verdict)
            return
        self.judging = asyncio.ensure_future(verdict, loop=service.loop)

        def judged(task):
            if self.judging is not task or task.cancelled():
                if not task.cancelled() and task.exception() is None:
                    discard(task.result(), peer_left())  # the request has ended otherwise
                return
            self.judging = None
            error = task.exception()
            self.judge(request, task.result() if error is None else exchange.internal_error(error))
            if self.exchange is not None:
                self.credit()
                if exchange.remote_closed:
                    self.complete()

        self.judging.add_done_callback(judged)

    cdef judge(self, request, response):
        """The head was judged: accept the body, or refuse it with `response`."""
        cdef Body me = self           # lives until this returns
        cdef Connection connection = self.exchange.connection
        if request is not None and request.caller:
            connection.authenticated()
        if response is not None:
            self.refuse(response)
            return
        self.admitted = True
        self.payer = None if request is None else request.caller or connection.peer[0]
        self.go_on()
        if self.owes_continue and self.exchange is not None:
            self.owes_continue = False
            connection.core.put_frame(HEADERS, END_HEADERS, self.exchange.id, b"\x08\x03100")
            connection.shared.wake(connection)

    cdef refuse(self, response):
        """Answer without the rest of the body."""
        cdef Body me = self           # lives until this returns
        cdef Exchange exchange = self.exchange
        if exchange.request is None:
            exchange.request = exchange.connection.request_of(self.method, self.target, self.head, b"")
        self.drop()
        exchange.answer(response)
        exchange.connection.shared.wake(exchange.connection)

    cdef complete(self):
        """The body has come whole."""
        cdef Body me = self           # lives until this returns
        cdef Exchange exchange = self.exchange
        cdef Connection connection = exchange.connection
        exchange.remote_closed = True
        if 0 <= self.head.length != self.received:
            exchange.reset(PROTOCOL_ERROR, ValueError("a body shorter than its content-length"))
            return
        if self.judging is not None:
            return
        data = b"" if self.data is None else bytes(self.data)
        exchange.request = connection.request_of(self.method, self.target, self.head, data)
        self.drop()
        connection.take_request(exchange)

    cdef drop(self):
        """Give back the budgets: the body has come whole, or will not be read."""
        cdef Body me = self           # lives until this returns
        cdef Exchange exchange = self.exchange
        cdef Service service = exchange.connection.service
        self.exchange = exchange.body = None
        self.data = None
        service.unfinished.note(self, 0)
        if self.entered:
            self.entered = False
            service.bodies.leave(self)
        if self.judging is not None:
            task, self.judging = self.judging, None
            task.cancel()


cdef class Fragment(Incoming):
    """The part of a header block or frame that has come, for the budget of unfinished requests."""

    cdef regulate(self):
        pass

    cdef refuse_slow(self):
        pass

    cdef double since(self):
        return self.began

    cdef shed(self):
        if self.connection is not None:
            self.connection.core.fail(ENHANCE_YOUR_CALM, "the budget of unfinished requests is used up")
            self.connection.abort_soon()
