# The answering side of a connection. Included by _http1.pyx.

cdef bytes CRLF = b"\r\n"
cdef bytes LAST_CHUNK = b"0\r\n\r\n"
cdef int MAX_PIPELINED = 128          # requests waiting behind one that is being answered
cdef int FEW = 4                      # pipelined requests that are answered in a turn of the loop in any case,
cdef double TURN = 0.001              # and seconds in which more are
cdef Py_ssize_t SMALL = 64 * 1024     # a body up to here is copied behind its head, into one write
cdef Py_ssize_t SLICE = 256 * 1024    # one write of a long body
cdef Py_ssize_t PART = 32 * 1024      # one write of a stream: many may be stuck at a time
cdef Py_ssize_t BURST = 512 * 1024    # writes in one loop turn: under 1 ms with TLS


cdef class Answers:
    """Answers requests in the order they came, and hands what is written to the transport."""

    cdef object transport
    cdef Service service
    cdef object current               # what holds the connection: a task, a Stream, or a long body on its way
    cdef object request               # what the task answers
    cdef public object stranger       # counts the connection while nobody was authenticated on it, else None
    cdef object waiting               # (request, is HTTP/1.0) behind it; a ready refusal comes last
    cdef list out                     # queued buffers; of the first, bytes up to out_from are written
    cdef object source                # an iterator over the rest of a long body, which is built as it goes out
    cdef Py_ssize_t out_from, out_size
    cdef bint ended                   # nothing will be added to `out`: it is the rest of an answer
    cdef bint old, chunked, close_after  # the answer: to an HTTP/1.0 client, in chunks, the last one
    cdef bint write_paused, read_paused, scheduled, advancing, owes_continue
    cdef int completed                # messages that ended within the present feed
    cdef bint lined_up                # it waits for its turn to go on with `waiting`
    cdef bint starved                 # a long body has to wait for room
    cdef object asking                # the task that judges a head, before more of the body is read
    cdef bint judged                  # the refusal that ends the connection is the judge's
    cdef bint stopped                 # the transport does not read, for one of these reasons
    cdef bint deaf                    # the last request of the connection has been read
    cdef Phase phase
    cdef double since                 # when the phase began, or when the transport stopped taking data

    cdef settle(self, bint anew):
        """Find the phase that the connection is in now."""

    cdef drop_body(self):
        """Forget what has come of a body."""

    cdef drop_message(self):
        """Forget what has come of a request: it is refused."""

    cdef send_continue(self):
        """Tell the peer to send its body, if that was asked for and the body may come."""

    cdef close(self):
        self.deaf = True
        self.phase = CLOSED
        self.drop_body()
        self.service.connections.discard(self)
        self.service.leaving.add(self)
        self.transport.close()
        if self.service.on_change is not None:
            self.service.on_change()

    cdef pause_reading(self):
        self.read_paused = True
        self.regulate()

    cdef regulate(self):
        """Have the transport read, or not."""
        cdef bint stop = self.read_paused or self.starved or self.asking is not None
        if stop != self.stopped and self.phase != CLOSED:
            self.stopped = stop
            if stop:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    cdef take_request(self, request, bint old):
        """Answer a request now, or behind those that wait already; of those in one read the first has precedence."""
        cdef bint free = self.current is None and not self.write_paused and not (self.read_paused and self.waiting)
        if free and (self.completed == 1 or self.service.may_go_on()):
            self.dispatch(request, old)
        elif len(self.waiting) >= MAX_PIPELINED:
            raise Refused(b"")
        else:
            self.waiting.append((request, old))
            self.pause_reading()
            if free:
                self.service.line_up(self)

    cdef dispatch(self, request, bint old):
        self.service.requests += 1
        self.old = old
        try:
            response = self.service.handler(request)
            if type(response) is not Response:
                task = asyncio.ensure_future(response, loop=self.service.loop)
                self.current = task
                self.request = request
                task.add_done_callback(self.task_done)
                return
        except Exception as error:
            response = self.internal_error(request, error)
        self.answer(request, response)

    cdef complain(self, text, request, error):
        log.exception(text, err=error, method=request.method, path=request.target)

    cdef internal_error(self, request, error):
        self.complain("A request failed", request, error)
        return Response(500, b"Internal Server Error\n", "text/plain; charset=utf-8")

    def task_done(self, task):
        """Write the answer of a task, then go on with what waited behind it."""
        if self.current is not task or self.phase == CLOSED:
            if not task.cancelled():
                task.exception()      # seen: the peer is gone
            return
        request = self.request
        self.current = self.request = None
        if task.cancelled():
            self.cut()
            return
        error = task.exception()
        self.answer(request, self.internal_error(request, error) if error is not None else task.result())
        self.advance()

    cdef recognize(self):
        """Somebody was authenticated on this connection: it is no stranger's any more."""
        if self.stranger is not None:
            self.stranger.leave()
            self.stranger = None

    cdef answer(self, request, response):
        if self.stranger is not None and request.caller:
            self.recognize()
        try:
            self.begin_answer(request, response)
        except Exception as error:
            self.complain("An answer was not written", request, error)
            self.cut()

    cdef begin_answer(self, request, response):
        cdef Heads heads = self.service.heads
        cdef bint bodyless = request.method == "HEAD" or response.status in (204, 304)
        cdef Py_ssize_t size = 0
        body = response.body
        self.close_after = not request.keep_alive or self.service.draining
        if response.start is not None:
            self.begin_stream(response, bodyless, False)
            return
        if type(body) is bytes:
            size = PyBytes_GET_SIZE(body)
        elif type(body) is not list:
            size = body.size
        else:
            for piece in body:
                size += len(piece)
        if size > self.service.gzip_above and self.takes_gzip(request, response):
            pieces = [body] if type(body) is bytes else body
            compress = self.service.compress
            self.begin_stream(Response(response.status, b"", response.content_type, response.headers,
                                       lambda stream: compress(stream, pieces)), bodyless, True)
            return
        if not bodyless and size <= SMALL:
            if type(body) is not bytes:
                body = b"".join(body)
            head = heads.head(response, size, self.close_after, self.old, False, body)
        else:
            head = heads.head(response, size, self.close_after, self.old, False, None)
        self.close_after |= heads.closing
        if bodyless or size <= SMALL:
            self.write(head)
            if self.close_after:
                self.close()
            return
        self.out.append(head)
        self.out_size += len(head)
        if type(body) is bytes:
            self.out.append(body)
            self.out_size += size
        elif type(body) is list:
            self.out.extend(body)
            self.out_size += size
        else:
            self.source = iter(body)
        self.current = LAST_CHUNK     # holds the connection until all is written
        self.ended = True
        self.pump()

    cdef bint takes_gzip(self, request, response) except -1:
        accepted = request.headers.get("accept-encoding")
        if accepted is None or "gzip" not in accepted:
            return False
        for name, _ in response.headers:
            if name == "Content-Encoding":
                return False
        return any(token.partition(";")[0].strip() == "gzip" for token in accepted.split(","))

    cdef begin_stream(self, response, bint bodyless, bint gzip):
        cdef Heads heads = self.service.heads
        if self.old:
            self.close_after = True   # only the end of the connection ends a body without length
        head = heads.head(response, -1, self.close_after, self.old, gzip, None)
        self.close_after |= heads.closing
        if bodyless:
            self.write(head)
            if self.close_after:
                self.close()
            return
        self.chunked = not self.old
        self.current = Stream(self)
        self.queue(head)
        response.start(self.current)

    cdef write_chunk(self, bytes data):
        if not self.chunked:
            self.queue(data)
        elif PyBytes_GET_SIZE(data) <= SMALL:
            self.queue(self.service.heads.frame_of(data))
        else:
            self.queue(b"%x\r\n" % PyBytes_GET_SIZE(data))
            self.queue(data)
            self.queue(CRLF)

    cdef end_stream(self):
        if self.chunked:
            self.queue(LAST_CHUNK)
        self.ended = True
        stream = self.current
        self.current = LAST_CHUNK     # holds the connection until all is written
        self.wake()
        (<Stream>stream).closed()

    cdef cut(self):
        """End the connection within an answer; what the transport still takes at once goes out."""
        current = self.current
        self.current = self.source = None
        self.waiting.clear()
        if not self.write_paused:
            self.ended = False
            self.pump()
        if self.write_paused:
            self.phase = CLOSED
            self.transport.abort()
        elif self.phase != CLOSED:
            self.close()
        if type(current) is Stream:
            (<Stream>current).closed()

    cdef sent(self):
        """The answer has gone to the transport."""
        self.current = self.request = None
        if self.close_after:
            self.close()
        else:
            self.advance()

    cdef advance(self):
        """Answer what waited, in order; once nothing does, read on."""
        if self.advancing:
            return
        self.advancing = True
        try:
            while self.current is None and self.waiting and not self.write_paused and self.phase < LINGERING:
                if not self.service.may_go_on():
                    self.service.line_up(self)
                    return
                item = self.waiting.popleft()
                if type(item) is bytes:
                    self.send_refusal(item)
                else:
                    self.dispatch(item[0], item[1])
        finally:
            self.advancing = False
        if self.current is None and not self.write_paused and self.phase < LINGERING:
            self.send_continue()
            self.read_paused = False
            self.regulate()
            self.settle(True)

    cdef refuse(self, bytes answer, bint judged=False):
        if self.deaf:
            return
        self.deaf = True
        self.judged = judged
        self.drop_body()
        self.drop_message()
        if self.current is None and not self.waiting:
            self.send_refusal(answer)
        else:
            self.waiting.append(answer)

    cdef send_refusal(self, bytes answer):
        """Answer what could not be read. Unless it was malformed the peer may still be sending: let it finish."""
        if answer:
            self.write(answer)
        if not answer or not self.judged and answer.startswith(b"HTTP/1.1 400"):
            self.close()
        else:
            self.phase = LINGERING
            self.since = now()

    cdef write(self, data):
        if self.phase == CLOSED:
            return
        self.service.bytes_out += len(data)
        try:
            self.transport.write(data)
        except RuntimeError:
            pass                      # uvloop: the peer has gone, connection_lost is on its way

    cdef queue(self, bytes data):
        self.out.append(data)
        self.out_size += PyBytes_GET_SIZE(data)
        self.wake()

    cdef wake(self):
        """Have the queue flushed at the end of this loop turn, unless the transport is full."""
        if not self.scheduled and not self.write_paused:
            self.service.schedule(self)

    cdef pump(self):
        """Hand queued buffers to the transport, one slice to a write, until it has enough.

        A peer that reads as fast as we write never lets it have enough: the loop gets its turn after each burst.
        """
        cdef Py_ssize_t written = 0
        while (self.out_size or self.source is not None) and not self.write_paused and self.phase != CLOSED:
            if written > BURST:
                self.wake()
                return
            if self.source is not None and self.out_size < SLICE and not self.refill():
                return
            if self.out_size:
                data = self.take()
                written += len(data)
                self.write(data)
        if self.out_size == 0 and self.source is None:
            if self.ended:
                self.ended = False
                self.sent()
            elif not self.write_paused and type(self.current) is Stream:
                (<Stream>self.current).taken()

    cdef bint refill(self):
        """Have the next part of a long body built; false when that failed, which cuts the connection."""
        try:
            data = next(self.source, None)
        except Exception as error:
            log.exception("A body was not written to its end", err=error)
            self.source = None
            self.cut()
            return False
        if data is None:
            self.source = None
        else:
            self.out.append(data)
            self.out_size += len(data)
        return True

    cdef take(self):
        """The next slice of what is queued: buffers joined, or a part of a long one."""
        cdef list out = self.out
        cdef Py_ssize_t most = PART if type(self.current) is Stream else SLICE
        cdef Py_ssize_t end = 1, size, more
        first = out[0]
        size = len(first) - self.out_from
        if size > most:
            data = memoryview(first)[self.out_from:self.out_from + most]
            self.out_from += most
            self.out_size -= most
            return data
        while end < len(out):
            more = len(out[end])
            if size + more > most:
                break
            size += more
            end += 1
        if self.out_from:
            first = memoryview(first)[self.out_from:]
            self.out_from = 0
        data = first if end == 1 else b"".join([first, *out[1:end]])
        self.out_size -= size
        del out[:end]
        return data


cdef class Stream:
    """The body of an answer that is written bit by bit: `server.request.Stream` over a connection."""

    cdef Answers connection
    cdef list closers, drainers
    cdef bint open, asked             # asked: the writer has seen that much waits, and may be waiting too

    def __init__(self, Answers connection):
        self.connection = connection
        self.open = True
        self.closers = []
        self.drainers = []

    def write(self, bytes data not None):
        """Queue one chunk; what is queued in one loop turn leaves in one write."""
        if self.open and PyBytes_GET_SIZE(data):
            self.connection.write_chunk(data)

    def buffered(self):
        """Bytes that were written and not yet taken by the socket."""
        cdef Py_ssize_t size
        if not self.open:
            return 0
        size = self.connection.out_size + self.connection.transport.get_write_buffer_size()
        self.asked |= size > SLICE or self.connection.write_paused
        return size

    def close(self):
        """End the body cleanly; the connection may serve another request."""
        if self.open:
            self.connection.end_stream()

    def abort(self):
        """Cut the connection without the final chunk, so that the peer sees an unclean end."""
        if self.open:
            self.connection.cut()

    def on_close(self, callback):
        """Call back once, when the peer has gone or the body has ended."""
        if self.open:
            self.closers.append(callback)
        else:
            callback()

    def on_drain(self, callback):
        """Call back each time there is room again after `buffered` had shown much."""
        self.drainers.append(callback)

    cdef taken(self):
        """All that was written is with the transport, which can take more."""
        if self.asked:
            self.asked = False
            for callback in list(self.drainers):
                try:
                    callback()
                except Exception:
                    log.exception("A stream could not go on")
                    self.abort()

    cdef closed(self):
        if not self.open:
            return
        self.open = False
        closers = self.closers
        self.closers = self.drainers = []
        for callback in closers:
            callback()
