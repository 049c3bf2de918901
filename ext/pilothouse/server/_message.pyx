"""Requests and responses, which the HTTP server and the handlers share.

PERF: each request has one of both. As compiled classes they are made without a call of Python code, and
compiled modules read their members without a look-up.
"""

cimport cython


@cython.freelist(64)
cdef class Request:
    """A parsed HTTP request with its whole body.

    `target` is the raw request target, `path` its part before `?`, still percent-encoded, and `query` the
    part after. `headers` maps lower-case names to their first value; `all_headers` has every (lower-case
    name, value) pair. `peer` is the client's (host, port). `peer_certificates` is the verified chain in DER,
    leaf first, or (). The handler sets `caller` to the name of the authenticated user; "" means that nobody
    was authenticated. `warnings` are the authenticator's messages to the client, `annotations` what the audit
    log is to tell of its credentials, and `recognition` how it was authenticated; None when nobody has said.
    `cluster` is the name of the logical cluster that the request is for, None before that is known;
    `prefix` is the part of the path that led there and was taken off (clusters/router.py).
    """

    protocol = "HTTP/1.1"    # as Go's http.Request names it

    def __init__(self, str method not None, str target not None, headers, all_headers, body=b"",
                 peer=("", 0), peer_certificates=(), bint keep_alive=True):
        self.method = method
        self.target = target
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.all_headers = all_headers
        self.body = body
        self.peer = peer
        self.peer_certificates = peer_certificates
        self.keep_alive = keep_alive
        self.caller = self.prefix = ""
        self.warnings = ()
        self.annotations = ()


@cython.freelist(64)
cdef class Response:
    """An HTTP response. `body` is bytes, or buffers or Pieces that are written in order with back-pressure.

    If `start` is given, the body is chunked: the server sends the head at once and calls `start(stream)`.
    If `upgrade` is given, the status is 101: the server sends the head and calls `upgrade(duplex)`, and from
    then on the connection's bytes are the handler's, until either side ends it. That is for HTTP/1.1 only,
    where a request can ask for it: HTTP/2 knows no `Connection` header (RFC 9113, 8.2.2).
    `headers` are (name, value) pairs; the server adds Content-Type, Content-Length and Date itself. The
    server calls `on_done` exactly once, on the event loop, when the answer has ended: after its last byte was
    given to the transport, or when the client or the server has ended it earlier. Its arguments are the
    number of body bytes given to the transport (as sent: compressed, without chunk framing), and the error
    that cut the answer short or None. The error is an OSError, usually ConnectionResetError, if the
    connection was lost. Exceptions it raises are logged.
    """

    def __init__(self, int status, body=b"", content_type="application/json", headers=None, start=None,
                 upgrade=None):
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = [] if headers is None else headers
        self.start = start
        self.upgrade = upgrade
