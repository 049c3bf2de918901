# What header blocks become: requests, and what is wrong with them.


cdef class Head:
    """The header fields of a request apart from its pseudo fields; requests that repeat them share it."""


cdef class Requests(Output):
    """The requests of a connection: begins an exchange for each head, or refuses it."""

    cdef on_trailers(self, Exchange exchange, list fields, bint ends):
        cdef Field field
        cdef Body body
        cdef bint good = ends
        for field in fields:
            good = good and field.kind < MALFORMED
        if not good:
            exchange.reset(PROTOCOL_ERROR, ValueError("malformed trailers"))
        elif exchange.body is not None:
            body = exchange.body
            body.complete()

    cdef open_stream(self, int number, list fields, bint ends):
        """Begin an exchange, unless its head is malformed."""
        cdef Field field
        cdef str method = None, target = None, scheme = None
        cdef Head head
        cdef Exchange exchange
        cdef Body body
        cdef Kind kind
        cdef bint good = True
        cdef Py_ssize_t pseudo = 0
        authority = None
        for field in fields:
            kind = field.kind
            if kind < METHOD:
                break
            pseudo += 1
            if kind == METHOD and method is None:
                method = <str>field.pair[1]
            elif kind == PATH and target is None:
                target = <str>field.pair[1]
            elif kind == SCHEME and scheme is None:
                scheme = <str>field.pair[1]
            elif kind == AUTHORITY and authority is None:
                authority = field
            else:
                good = False
        head = self.head_of(fields[pseudo:], authority)
        if method == "CONNECT":
            good = good and target is None and scheme is None and authority is not None
            target = "" if authority is None else <str>(<Field>authority).pair[1]
        else:
            good = good and method and scheme and target and (target[0] == "/" or target == "*")
        if not good or head is None or not is_method(method) or ends and head.length > 0:
            if self.core.decoder.too_large and method and target:
                head = self.head_of([], authority)
            else:
                self.core.reset_stream(number, PROTOCOL_ERROR, not ends)
                self.core.spend_reset()
                return
        exchange = Exchange.__new__(Exchange)
        exchange.connection = <Connection>self
        exchange.remote_closed = ends
        self.core.open(exchange, number)
        self.shared.streams += 1
        if self.core.decoder.too_large:
            exchange.request = self.request_of(method, target, head, b"")
            exchange.answer(plain_answer(431, "431 Request Header Fields Too Large"))
        elif head.wrong_expectation:
            exchange.request = self.request_of(method, target, head, b"")
            exchange.answer(plain_answer(417, "417 Expectation Failed"))
        elif ends:
            exchange.request = self.request_of(method, target, head, b"")
            self.take_request(exchange)
        else:
            self.expect_body(exchange, method, target, head)

    cdef expect_body(self, Exchange exchange, str method, str target, Head head):
        cdef Body body = Body()
        exchange.body = body
        body.exchange = exchange
        body.head = head
        body.method = method
        body.target = target
        body.began = self.heard
        body.owes_continue = head.expects
        if head.length > self.service.max_body_bytes:
            body.refuse(self.service.too_large)
            return
        self.service.unfinished.note(body, head.size)
        if body.exchange is None:
            return
        if head.length > SHORT:
            body.expected = head.length
        if body.expected or body.owes_continue:
            body.go_on()

    cdef Head head_of(self, list fields, authority):
        """The head that the regular fields make, None if they are malformed;
        shared with requests that repeat them."""
        cdef Head head
        cdef Field field
        cdef Kind kind
        cdef tuple pair
        cdef list cookies = None
        key = tuple(fields) if authority is None else (authority, *fields)
        known = self.heads.get(key)
        if known is not None:
            return <Head>known
        head = Head.__new__(Head)
        head.headers = {}
        head.all_headers = []
        head.length = -1
        if authority is not None:
            head.headers["host"] = (<Field>authority).pair[1]
            head.all_headers.append(("host", (<Field>authority).pair[1]))
            head.size = (<Field>authority).size
        for field in fields:
            kind = field.kind
            pair = field.pair
            head.size += field.size
            if kind >= MALFORMED:
                return None
            if kind == PLAIN:
                if pair[0] not in head.headers:
                    head.headers[pair[0]] = pair[1]
            elif kind == COOKIE:
                if cookies is None:
                    cookies = []
                cookies.append(pair[1])
                continue
            elif kind == LENGTH:
                text = pair[1]
                if not (text.isascii() and text.isdigit() and len(text) < 19):
                    return None
                if head.length >= 0 and head.length != int(text):
                    return None
                head.length = int(text)
                head.headers["content-length"] = text
            elif kind == EXPECT:
                head.headers["expect"] = pair[1]
                head.expects = pair[1].lower() == "100-continue"
                head.wrong_expectation = not head.expects
            elif kind == HOST:
                if authority is not None:
                    if pair[1].lower() != (<Field>authority).pair[1].lower():
                        return None
                    continue
                if "host" in head.headers:
                    return None
                head.headers["host"] = pair[1]
            head.all_headers.append(pair)
        if cookies is not None:
            head.headers["cookie"] = "; ".join(cookies)
            head.all_headers.append(("cookie", head.headers["cookie"]))
        if head.length < 0 and head.size <= COMMON:
            if len(self.heads) >= MAX_HEADS:
                self.heads.clear()
            self.heads[key] = head
        return head

    cdef request_of(self, str method, str target, Head head, bytes body):
        headers, listed = head.headers, head.all_headers
        return Http2Request(method, target, headers, listed, body, self.peer, self.certificates)

    cdef take_request(self, Exchange exchange):
        """Answer a request now, or when it is its turn; of several in one read the first goes first."""
        self.completed += 1
        if self.held <= HELD and not self.waiting and (self.completed == 1 or self.service.line.may_answer()):
            exchange.dispatch()
            return
        if self.waiting is None:
            self.waiting = {}
        self.waiting[exchange] = None
        if self.held <= HELD:
            self.line_up()


cdef bint is_method(str method):
    """Whether it is a token of the usual length."""
    cdef Py_UCS4 c
    if not method or len(method) > 32:
        return False
    for c in method:
        if not (c < 128 and (c.isalnum() or c in "!#$%&'*+-.^_`|~")):
            return False
    return True
