# The request that an HTTP/1.1 connection receives, and what is decided about its body before that has come.


cdef class Message(Answers):
    """The state of the request that is being received; its body is judged and gets a budget."""

    cdef object parser
    cdef str method, target
    cdef dict headers
    cdef list all_headers
    cdef object body                  # None, bytes, or a bytearray if it arrived in parts
    cdef bytes early                  # input up to the target, kept for methods that the parser does not know
    cdef Py_ssize_t head_length       # bytes of target and headers
    cdef Py_ssize_t head_read         # bytes of reads that did not complete the head
    cdef Py_ssize_t wide              # additional bytes of text in memory that is not ASCII
    cdef Py_ssize_t quiet             # bytes read since the body last grew
    cdef Py_ssize_t plain             # bytes of a body with a length that are still to come
    cdef bytearray held_back          # part of a long head that was read and not yet parsed
    cdef bint entered                 # registered with `Bodies`
    cdef bint admitted                # the head was judged and the body is accepted
    cdef bint in_message, head_done
    cdef list rest                    # input after a request to upgrade that is not answered yet, else None

    cdef go_on_with_body(self):
        """Continue with a body that did not arrive with its head:
        have it judged, then get a budget for it."""
        cdef Incoming body = self.incoming
        if not self.admitted:
            if self.judging is None:
                self.ask()
        elif body.expected and not body.awaits_grant:
            if body.granted == 0 or body.granted < min(body.received, body.expected):
                self.entered = True
                self.service.bodies.enter(body)

    cdef ask(self):
        """Have the head judged; nothing is read until then."""
        if self.service.admit is None:
            self.admitted = True
            self.judge(None, None)
            return
        request = self.request_with(b"", True)
        try:
            verdict = self.service.admit(request)
        except Exception as error:
            verdict = self.internal_error(request, error)
        if verdict is None or type(verdict) is Response:
            self.judge(request, verdict)
            return
        self.judging = asyncio.ensure_future(verdict, loop=self.service.loop)
        self.regulate()

        def judged(task):
            if self.judging is not task or task.cancelled():
                if not task.cancelled() and task.exception() is None:
                    self.discard(task.result(), peer_left())  # the request has ended otherwise
                return
            self.judging = None
            error = task.exception()
            self.judge(request, task.result() if error is None else self.internal_error(request, error))
            self.regulate()
            self.settle(False)

        self.judging.add_done_callback(judged)

    cdef judge(self, request, response):
        """The head was judged: accept the body, or refuse it with `response`."""
        if request is not None and request.caller:
            self.authenticated()
        if response is None:
            self.admitted = True
            self.incoming.payer = None if request is None else request.caller or self.peer[0]
            self.go_on_with_body()
            self.send_continue()
            return
        try:
            refusal = self.refusal_of(request, response)
        except Exception as error:
            self.log_failure("An answer was not written", request, error)
            self.discard(response, error)
            self.refuse(b"")
            return
        self.refuse_with(refusal)

    cdef Refusal refusal_of(self, request, response):
        """Encode a judge's answer."""
        cdef Refusal refusal = Refusal()
        body = response.body if type(response.body) is bytes else b"".join(response.body)
        http10 = self.parser.get_http_version() == "1.0"
        shown = None if request.method == "HEAD" else body
        refusal.answer = self.service.heads.head(response, len(body), True, http10, False, shown)
        refusal.response = response
        refusal.size = 0 if shown is None else len(body)
        return refusal

    cdef send_continue(self):
        if not (self.owes_continue and self.admitted):
            return
        if self.current is None and not self.waiting and not self.pump.paused:
            self.owes_continue = False
            self.hand_over(CONTINUE)

    cdef drop_body(self):
        self.body = None
        if self.entered:
            self.entered = False
            self.service.bodies.leave(self.incoming)
        if self.judging is not None:
            task, self.judging = self.judging, None
            task.cancel()
            self.regulate()

    cdef request_with(self, bytes body, bint keep):
        method = self.method
        if method is None:
            raw = self.parser.get_method()
            method = METHODS.get(raw) or raw.decode()
        return Request(
            method, self.target, self.headers, self.all_headers, body, self.peer, self.certificates, keep
        )
