"""Answers the requests of HTTP/1 connections, and holds what the connections of one listener share.

Requests are answered in the order in which they arrive. An answer that has to wait (a task, a stream, a body
larger than the transport accepts) occupies the connection as `current`; requests that arrive meanwhile are
queued.
"""

import asyncio
from collections import deque

from pilothouse.logs import Logger
from pilothouse.server import receive_buffer
from pilothouse.server.upgrade import Duplex

from cpython.bytes cimport PyBytes_GET_SIZE

from pilothouse._clock cimport now
from pilothouse.server._budgets cimport Bodies, Unfinished
from pilothouse.server._continuation cimport Continuation
from pilothouse.server._head cimport Heads
from pilothouse.server._message cimport Request, Response
from pilothouse.server._pump cimport Pump, Stream, Turns
from pilothouse.server._turns cimport Line, begin, end, resume, wait

cdef object log = Logger("pilothouse.server.http1", "_answers.pyx")
cdef bytes LAST_CHUNK = b"0\r\n\r\n"
cdef int MAX_PIPELINED = 128          # requests queued behind the one being answered
cdef Py_ssize_t SMALL = 64 * 1024     # bytes; a body up to this size is written together with its head


class Refused(Exception):
    """Stops the parser; `args[0]` is the encoded answer, or b"" to close the connection without one."""


cdef object peer_left():
    return ConnectionResetError("the client closed the connection")


cdef object budget_used_up():
    return ConnectionAbortedError("the budget of unfinished requests is used up")


cdef report(on_done, Py_ssize_t sent, error):
    """Call the on_done callback of an answer that has ended."""
    try:
        on_done(sent, error)
    except Exception:
        log.exception("A callback at the end of an answer failed")


cdef bint takes_gzip(Request request, Response response) except -1:
    """Whether an answer may be compressed."""
    accepted = request.headers.get("accept-encoding")
    if accepted is None or "gzip" not in accepted:
        return False
    for name, _ in response.headers:
        if name == "Content-Encoding":
            return False
    return any(token.partition(";")[0].strip() == "gzip" for token in accepted.split(","))


cdef class Refusal:
    """The answer that ends a connection whose further input is not read."""


cdef class Service:
    """Shared by the connections of one listener: the handler, limits (bytes, seconds) and counters.

    `too_large` answers a body over the limit. `compress(stream, pieces)` writes a body compressed to a
    stream and closes it; `peer_chain(ssl_object)` reads the client's certificates. `admit(request)`
    judges a request by its head before more of a long body is read: None lets the body come, a Response
    refuses it, and so does what an awaitable brings of these. `clock` is what time-outs are measured by,
    None for the monotonic clock.
    """

    def __init__(self, handler, loop, *, too_large, compress, peer_chain, max_header_bytes, max_body_bytes,
                 body_budget, header_timeout, body_timeout, idle_timeout, gzip_above, unfinished_budget,
                 admit=None, clock=None):
        self.handler = handler
        self.admit = admit
        self.loop = loop
        self.clock = clock
        self.too_large = too_large
        self.compress = compress
        self.peer_chain = peer_chain
        self.max_header_bytes = max_header_bytes
        self.max_body_bytes = max_body_bytes
        self.header_timeout = header_timeout
        self.body_timeout = body_timeout
        self.idle_timeout = idle_timeout
        self.gzip_above = gzip_above
        self.connections = set()
        self.leaving = set()
        self.names = {}
        self.line = Line(loop)
        self.heads = Heads()
        self.turns = Turns(loop)
        self.bodies = Bodies(loop, body_budget, clock)
        self.unfinished = Unfinished(unfinished_budget, clock)

    @property
    def open(self):
        """Number of open connections."""
        return len(self.connections)

    @property
    def bytes_out(self):
        """Bytes handed to transports."""
        return self.turns.bytes_out

    def sweep(self, double at=0.0):
        """Close the connections whose time is up; `at` is the time to judge by."""
        cdef Endpoint connection
        if at == 0.0:
            at = now(self.clock)
        for connection in list(self.connections):
            connection.check(at)

    def drain(self):
        """Close idle connections; the others end after their current answers."""
        cdef Endpoint connection
        self.draining = True
        for connection in list(self.connections):
            connection.drain()

    def abort(self):
        """Cut all connections."""
        cdef Endpoint connection
        for connection in [*self.connections, *self.leaving]:
            connection.transport.abort()

    cdef bytes refusal_of_body(self):
        """The answer for a body that is too long."""
        body = self.too_large.body
        return self.heads.head(self.too_large, len(body), True, False, False, body)


include "_endpoint.pxi"


cdef class Answers(Endpoint):
    """Answers the requests of one connection in order; a pump writes the bodies to the transport."""

    def __init__(self, Service service):
        self.service = service
        self.pump = Pump(self, service.turns)
        self.waiting = deque()

    # --- implemented by the receiving side

    cdef settle(self, bint again):
        """Set the phase that the connection is in now."""

    cdef drop_body(self):
        """Discard the received part of a body."""

    cdef drop_message(self):
        """Discard the received part of a refused request."""

    cdef send_continue(self):
        """Ask the peer to send its body, if it waits for that and the body is accepted."""

    cdef go_on_reading(self):
        """Read what has followed a request to upgrade that was answered otherwise."""

    cdef take_left(self):
        """Go on with input that was left unparsed."""

    cdef drain(self):
        if self.duplex is not None:
            self.duplex.on_leave()
        elif self.is_idle():
            self.close()

    # --- the transport

    cdef bint hand_over(self, data) except -1:
        """Give bytes to the transport; returns false if the connection has ended."""
        if self.phase == CLOSED:
            return False
        self.service.turns.bytes_out += len(data)
        try:
            self.transport.write(data)
        except RuntimeError:
            return False              # uvloop: the peer has gone, connection_lost follows
        return True

    cdef Py_ssize_t buffered(self) except -1:
        return self.transport.get_write_buffer_size()

    cdef close(self):
        """Close the connection; bytes that the transport holds are still sent."""
        self.input_ended = True
        self.phase = CLOSED
        self.drop_body()
        self.service.connections.discard(self)
        self.service.leaving.add(self)
        self.transport.close()
        if self.is_outgrown() and self.unauthenticated is not None and not self.pump.paused:
            self.abort_soon()
        if self.service.on_change is not None:
            self.service.on_change()

    cdef pause_reading(self):
        self.read_paused = True
        self.regulate()

    cdef regulate(self):
        """Pause or resume reading from the transport; what was left unparsed goes on first."""
        cdef bint stop = self.read_paused or self.incoming.awaits_grant or self.judging is not None
        if not stop and self.left is not None:
            stop = True
            if not self.turning:
                self.line_up()
        if stop != self.stopped and self.phase != CLOSED:
            self.stopped = stop
            if stop:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    # --- requests

    cdef take_request(self, Request request, bint http10):
        """Answer a request, or queue it behind others; of several in one read the first goes first."""
        cdef bint free = self.current is None and not self.pump.paused
        free = free and not (self.read_paused and self.waiting)
        if free and (self.fresh or self.service.line.may_answer()):
            self.fresh = False
            self.dispatch(request, http10)
        elif len(self.waiting) >= MAX_PIPELINED:
            raise Refused(b"")
        else:
            self.waiting.append((request, http10))
            self.pause_reading()
            if free:
                self.line_up()

    cdef dispatch(self, Request request, bint http10):
        self.service.requests += 1
        self.http10 = http10
        try:
            response = self.service.handler(request)
            if type(response) is not Response:
                task = response
                if type(task) is not Continuation:
                    task = asyncio.ensure_future(response, loop=self.service.loop)
                self.current = task
                self.request = request
                task.add_done_callback(self.task_done)
                return
        except Exception as error:
            response = self.internal_error(request, error)
        self.answer(request, response)

    cdef log_failure(self, text, request, error):
        log.exception(text, err=error, method=request.method, path=request.target)

    cdef internal_error(self, request, error):
        self.log_failure("A request failed", request, error)
        return Response(500, b"Internal Server Error\n", "text/plain; charset=utf-8")

    def task_done(self, task):
        """Write the answer of a task, then continue with queued requests."""
        if self.current is not task or self.phase == CLOSED:
            if not task.cancelled() and task.exception() is None:
                self.discard(task.result(), peer_left())
            return
        request = self.request
        self.current = self.request = None
        if task.cancelled():
            self.cut(ConnectionAbortedError("the handler was cancelled"))
            return
        error = task.exception()
        self.answer(request, self.internal_error(request, error) if error is not None else task.result())
        self.advance()

    cdef advance(self):
        """Answer queued requests in order; resume reading when none is left."""
        if self.advancing:
            return
        self.advancing = True
        try:
            while self.current is None and self.waiting and not self.pump.paused and self.phase < LINGERING:
                if not self.service.line.may_answer():
                    self.line_up()
                    return
                item = self.waiting.popleft()
                if type(item) is Refusal:
                    self.send_refusal(item)
                else:
                    self.dispatch(item[0], item[1])
        finally:
            self.advancing = False
        if self.current is None and not self.pump.paused and self.phase < LINGERING:
            self.send_continue()
            self.read_paused = False
            self.regulate()
            self.go_on_reading()
            self.settle(True)

    def take_turn(self):
        """Go on; called by the line."""
        resume(&self.turn)
        begin(self.service.line, &self.turn)
        self.turning = True
        try:
            self.advance()
        finally:
            self.turning = False
        if self.left is not None and not self.turn.waits:
            self.take_left()
        end(self.service.line, &self.turn)

    # --- answers

    cdef answer(self, Request request, response):
        if self.unauthenticated is not None and request.caller:
            self.authenticated()
        try:
            self.begin_answer(request, <Response?>response)   # a handler may have returned anything
        except Exception as error:
            self.log_failure("An answer was not written", request, error)
            self.cut(error)

    cdef begin_answer(self, Request request, Response response):
        cdef bint bodyless = request.method == "HEAD" or response.status in (204, 304)
        cdef Py_ssize_t size = 0
        cdef bytes head
        body = response.body
        self.on_done = response.on_done
        self.head_size = 0
        self.close_after = not request.keep_alive or self.service.draining or self.is_outgrown()
        if response.start is not None:
            self.begin_stream(response, bodyless, None)
            return
        if response.upgrade is not None:
            self.take_over(response)
            return
        if type(body) is bytes:
            size = PyBytes_GET_SIZE(body)
        elif type(body) is not list:
            size = body.size
        else:
            for piece in body:
                size += len(piece)
        if size > self.service.gzip_above and takes_gzip(request, response):
            self.begin_stream(response, bodyless, [body] if type(body) is bytes else body)
            return
        if bodyless or size > SMALL:
            head = self.service.heads.head(response, size, self.close_after, self.http10, False, None)
        else:
            if type(body) is not bytes:
                body = b"".join(body)
            head = self.service.heads.head(response, size, self.close_after, self.http10, False, body)
        self.close_after |= self.service.heads.closing
        if bodyless or size <= SMALL:
            self.write_head(head, 0 if bodyless else size)
            return
        self.chunked = False
        self.head_size = PyBytes_GET_SIZE(head)
        self.current = self.pump
        self.pump.begin(head)
        self.pump.put_body(body, size)

    cdef take_over(self, Response response):
        """Send the head of a 101 answer and hand the connection's bytes to the handler."""
        if self.waiting:
            raise budget_used_up()    # what the peer has sent in advance was dropped
        self.hand_over(self.service.heads.head(response, 0, False, False, False, None))
        self.current = self.duplex = Duplex(self.transport, self.service.line)
        self.service.upgraded += 1
        self.read_paused = False
        self.regulate()
        self.go_on_reading()
        response.upgrade(self.duplex)
        if self.service.draining:
            self.duplex.on_leave()

    cdef write_head(self, bytes head, Py_ssize_t size):
        """Write a whole answer: a head, followed by the `size` bytes of its body."""
        cdef bint handed = self.hand_over(head)
        if self.on_done is not None:
            self.finish(size if handed else 0, None if handed else peer_left())
        if self.close_after:
            self.close()

    cdef begin_stream(self, Response response, bint bodyless, pieces):
        """Begin a body without a length: written by the response's `start`, or `pieces` compressed."""
        cdef Heads heads = self.service.heads
        cdef Stream stream
        if self.http10:
            self.close_after = True   # a body without a length ends with the connection
        head = heads.head(response, -1, self.close_after, self.http10, pieces is not None, None)
        self.close_after |= heads.closing
        if bodyless:
            self.write_head(head, 0)
            return
        self.chunked = not self.http10
        self.head_size = PyBytes_GET_SIZE(head)
        self.current = self.pump
        self.pump.begin(head)
        stream = self.pump.begin_stream()
        if pieces is None:
            response.start(stream)
        else:
            self.service.compress(stream, pieces)

    cdef bytes frame(self, bytes data):
        return self.service.heads.frame_of(data) if self.chunked else data

    cdef bytes last_frame(self):
        return LAST_CHUNK if self.chunked else None

    cdef stream_ended(self):
        self.since = now(self.service.clock)

    cdef body_ended(self):
        """The answer was given to the transport."""
        self.current = self.request = None
        if self.on_done is not None:
            self.finish(self.body_sent(), None)
        if self.close_after:
            self.close()
        else:
            self.advance()

    cdef cut(self, error):
        """End the connection within an answer; bytes that the transport accepts at once are still sent."""
        cdef Stream stream = self.pump.stream
        cdef Py_ssize_t sent
        self.current = self.request = None
        self.pump.source = self.pump.stream = None
        self.pump.ending = False
        self.drop_waiting(error)
        if not self.pump.paused:
            self.pump.run()
        sent = self.body_sent()
        self.pump.stop()
        if self.pump.paused:
            self.phase = CLOSED
            self.transport.abort()
        elif self.phase != CLOSED:
            self.close()
        if stream is not None:
            stream.closed()
        self.finish(sent, error)

    # --- the end of an answer

    cdef Py_ssize_t body_sent(self) except -1:
        """Bytes of the body given to the transport, without chunk framing."""
        cdef Py_ssize_t taken = self.pump.out_from, unsent = 0, start, size
        if self.head_size == 0 or self.pump.handed <= self.head_size:
            return 0
        if not self.chunked:
            return self.pump.handed - self.head_size
        for chunk in self.pump.out:
            start = chunk.find(b"\r\n") + 2
            size = len(chunk) - start - 2
            unsent += size - max(0, min(size, taken - start))
            taken = 0
        return self.pump.payload - unsent

    cdef finish(self, Py_ssize_t sent, error):
        """Finish the answer that was being written."""
        on_done = self.on_done
        self.on_done = None
        if on_done is not None:
            report(on_done, sent, error)

    cdef discard(self, response, error):
        """Drop an answer that can no longer be sent."""
        if type(response) is Response and response.on_done is not None:
            report(response.on_done, 0, error)

    cdef drop_waiting(self, error):
        """Drop the requests queued behind the current answer."""
        last = self.waiting.pop() if self.waiting else None
        self.waiting.clear()
        if type(last) is Refusal:
            self.discard((<Refusal>last).response, error)

    # --- refusals

    cdef refuse(self, bytes answer):
        """Stop reading; `answer`, unless it is empty,
        is sent after the answers before it and ends the connection."""
        cdef Refusal refusal = Refusal()
        refusal.answer = answer
        self.refuse_with(refusal)

    cdef refuse_with(self, Refusal refusal):
        if self.input_ended:
            self.discard(refusal.response, peer_left())
            return
        self.input_ended = True
        self.drop_body()
        self.drop_message()
        if self.current is None and not self.waiting:
            self.send_refusal(refusal)
        else:
            self.waiting.append(refusal)

    cdef send_refusal(self, Refusal refusal):
        """Send the refusal. Unless the input was malformed, the peer may still be sending,
        so keep reading for a while."""
        cdef bint handed = not refusal.answer or self.hand_over(refusal.answer)
        if refusal.response is not None and refusal.response.on_done is not None:
            report(refusal.response.on_done, refusal.size if handed else 0, None if handed else peer_left())
        if not refusal.answer or refusal.response is None and refusal.answer.startswith(b"HTTP/1.1 400"):
            self.close()
        else:
            self.phase = LINGERING
            self.since = now(self.service.clock)
            self.read_paused = False  # it was refused behind requests that were waiting for their answers
            self.regulate()
