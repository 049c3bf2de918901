"""Cases without a body: long paths, queries and headers, of an administrator and of an anonymous user."""

import functools
from collections.abc import Callable, Iterator

from fuzz.growth import Case, http

MAPS = "/api/v1/namespaces/default/configmaps"
ONE = f"{MAPS}/kube-root-ca.crt"

LARGEST = 250_000
"""Bytes of the larger request: a head may have a megabyte."""

OPTIONS = [
    "labelSelector",
    "fieldSelector",
    "watch",
    "limit",
    "continue",
    "resourceVersion",
    "resourceVersionMatch",
    "timeoutSeconds",
    "timeout",
    "pretty",
    "sendInitialEvents",
    "allowWatchBookmarks",
    "dryRun",
    "fieldManager",
    "fieldValidation",
    "force",
    "gracePeriodSeconds",
    "propagationPolicy",
    "orphanDependents",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "includeObject",
]
"""Parameters of verbs, which tests/fuzz/test_fuzz_requests.py gives bad values."""

PARAMETERS = [*OPTIONS, "shardSelector", "path", "verbose", "exclude", "hash", "merge", "unknown"]

VALUES = {
    "letters": "a",
    "digits": "1",
    "zeros": "0",
    "durations": "1h",
    "milliseconds": "1ms",
    "fractions": "0.1s",
    "dashes": "-",
    "dots": ".",
    "pluses": "+",
    "spaces": "%20",
    "nulls": "%00",
    "accents": "%C3%A9",
    "invalid": "%ff",
    "commas": ",",
    "equals": "=",
    "exclamations": "!",
    "round": "(",
    "closing": ")",
    "backslashes": "%5C",
    "escapes": "%5C%2C",
    "slashes": "/",
    "names": "metadata.name=a,",
    "requirements": "a=b,",
    "inequalities": "a!=b,",
    "sets": "a+in+(b),",
    "missing": "!a,",
    "greater": "a>1,",
    "long-set": "b,",
    "tokens": "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhIn0",
    "all": "All",
}

HEADERS = [
    "authorization",
    "accept",
    "accept-encoding",
    "accept-language",
    "content-type",
    "content-encoding",
    "user-agent",
    "impersonate-user",
    "impersonate-group",
    "impersonate-uid",
    "impersonate-extra-a",
    "audit-id",
    "if-none-match",
    "if-modified-since",
    "traceparent",
    "tracestate",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
    "x-remote-user",
    "x-remote-group",
    "x-remote-extra-a",
    "connection",
    "upgrade",
    "cookie",
    "host",
    "expect",
    "range",
    "te",
    "trailer",
    "via",
    "origin",
    "referer",
    "sec-websocket-protocol",
    "x-stream-protocol-version",
    "warning",
    "x-unknown",
]

HEADER_VALUES = {
    "letters": "a",
    "commas": ",",
    "lists": "a,",
    "weights": "a;q=0.1,",
    "ranges": "*/*,",
    "parameters": "application/json;a=b;c=d,",
    "tables": "application/json;as=Table;v=v1;g=meta.k8s.io,",
    "semicolons": ";",
    "assignments": ";a=b",
    "slashes": "/",
    "quotes": '"',
    "spaces": "a ",
    "dots": ".",
    "tokens": "QUJD.",
    "percents": "%2",
    "codings": "gzip;q=0.0,",
    "colons": "a:b:",
    "addresses": "10.0.0.1, ",
}

PATHS = {
    "segments": ("/a", ""),
    "slashes": ("/", ""),
    "encoded": ("%2f", "/api/v1/"),
    "dots": ("/..", ""),
    "encoded dots": ("%2e", "/api/"),
    "accents": ("%C3%A9", "/api/v1/namespaces/"),
    "invalid": ("%ff", "/api/v1/namespaces/"),
    "namespace": ("a", "/api/v1/namespaces/"),
    "resource": ("a", "/api/v1/namespaces/default/"),
    "name": ("a", f"{MAPS}/"),
    "dotted name": ("a.", f"{MAPS}/"),
    "subresource": ("a", f"{ONE}/"),
    "group": ("a", "/apis/"),
    "dotted group": ("a.", "/apis/"),
    "version": ("v1", "/apis/apps/"),
    "custom": ("a/", "/apis/b.c/v1/"),
    "api segments": ("/namespaces", "/api/v1"),
    "health": ("/a", "/healthz"),
    "ready": ("a", "/readyz/"),
    "openapi": ("/a", "/openapi/v3"),
    "metrics": ("/a", "/metrics"),
    "watch": ("/watch", "/api/v1"),
    "proxy": ("/a", "/api/v1/namespaces/default/services/kubernetes/proxy"),
    "node proxy": ("/a", "/api/v1/nodes/a/proxy"),
}


def repeated(unit: str, size: int) -> str:
    return unit * (size // len(unit))


def growing(unit: str, before: str = "", after: str = "") -> Callable[[int], str]:
    """A text with a unit over and over."""
    return lambda size: before + repeated(unit, size) + after


def different(name: str) -> Callable[[int], str]:
    """Lines of one header, each with another value."""
    return lambda size: "".join(f"{name}: k{i}\r\n" for i in range(size // (len(name) + 9)))


def long_path(
    method: str, path: Callable[[int], str], body: bytes | None, user: str
) -> Callable[[int], bytes]:
    """A request whose path grows."""
    return lambda size: http(method, path(size), body, user=user)


def ways() -> dict[str, tuple[str, str, bytes | None]]:
    """The requests that a parameter is added to."""
    body = b'{"metadata":{"name":"a"}}'
    return {
        "list": ("GET", MAPS, None),
        "get": ("GET", ONE, None),
        "watch": ("GET", f"{MAPS}?watch=1", None),
        "create": ("POST", f"{MAPS}?dryRun=All", body),
        "update": ("PUT", f"{ONE}?dryRun=All", b'{"metadata":{"name":"kube-root-ca.crt"}}'),
        "patch": ("PATCH", f"{ONE}?dryRun=All", b"{}"),
        "delete": ("DELETE", f"{ONE}?dryRun=All", None),
        "delete all": ("DELETE", f"{MAPS}?dryRun=All&labelSelector=no%3Dsuch", None),
        "health": ("GET", "/healthz", None),
        "discovery": ("GET", "/apis", None),
        "logs": ("GET", "/api/v1/namespaces/default/pods/a/log", None),
    }


def _case(name: str, make: Callable[[int], bytes]) -> Case:
    return Case(name, make, largest=LARGEST)


def queries(user: str = "admin") -> Iterator[Case]:
    """Every parameter of every verb with long values; many parameters."""
    for way, (method, path, body) in ways().items():
        joint = "&" if "?" in path else "?"
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"

        def make(
            query: Callable[[int], str],
            method: str = method,
            path: str = path + joint,
            body: bytes | None = body,
            kind: str = kind,
        ) -> Callable[[int], bytes]:
            headers = {"content_type": kind} if body is not None else {}
            return lambda size: http(method, path + query(size), body, user=user, **headers)

        for parameter in PARAMETERS:
            for value, unit in VALUES.items():
                yield _case(
                    f"{user or 'nobody'} {way} ?{parameter}: {value}",
                    make(growing(unit, f"{parameter}=")),
                )
            yield _case(
                f"{user or 'nobody'} {way} ?{parameter}: again and again",
                make(growing(f"{parameter}=a&")),
            )
        yield _case(
            f"{user or 'nobody'} {way} ?: many names",
            make(lambda n: "&".join(f"k{i}=1" for i in range(n // 9))),
        )
        yield _case(f"{user or 'nobody'} {way} ?: empty ones", make(lambda n: "&" * n))
        yield _case(f"{user or 'nobody'} {way} ?: semicolons", make(lambda n: ";" * n))
        for parameter in ("labelSelector", "fieldSelector"):
            for name, item in {
                "distinct": "k{0}=v,",
                "sets": "k{0} in (a,b),",
                "values": "",
                "same key": "k=v{0},",
                "metadata": "metadata.name=k{0},",
            }.items():

                def selector(n: int, item: str = item, parameter: str = parameter) -> str:
                    texts = (item or "v{0},").replace(" ", "+")
                    inner = "".join(texts.format(i) for i in range(n // (len(texts) + 3))).rstrip(",")
                    return f"{parameter}=" + (inner if item else f"k+in+({inner})")

                yield _case(f"{user or 'nobody'} {way} ?{parameter}: many {name}", make(selector))


def _with_headers(user: str, lines: Callable[[int], str]) -> Callable[[int], bytes]:
    """A GET with headers that grow."""

    def make(size: int) -> bytes:
        token = f"authorization: Bearer {user}\r\n" if user else ""
        return f"GET {MAPS} HTTP/1.1\r\n{token}{lines(size)}\r\n".encode("latin-1")

    return make


def headers(user: str = "admin") -> Iterator[Case]:
    """Every header with long values; many headers."""
    who = user or "nobody"
    raw = functools.partial(_with_headers, user)

    for name in HEADERS:
        for value, unit in HEADER_VALUES.items():
            prefix = "Bearer " if name == "authorization" else ""
            yield _case(
                f"{who} header {name}: {value}",
                raw(growing(unit, f"{name}: {prefix}", "\r\n")),
            )
        yield _case(
            f"{who} header {name}: again and again",
            raw(growing(f"{name}: a\r\n")),
        )
        yield _case(
            f"{who} header {name}: again with others",
            raw(different(name)),
        )
    yield _case(
        f"{who} header authorization: Basic", raw(lambda n: f"authorization: Basic {'QUJD' * (n // 4)}\r\n")
    )
    yield _case(
        f"{who} header authorization: token and junk",
        raw(lambda n: f"authorization: Bearer admin {'a' * n}\r\n"),
    )
    yield _case(
        f"{who} headers: many names", raw(lambda n: "".join(f"x-k{i}: 1\r\n" for i in range(n // 12)))
    )
    yield _case(f"{who} headers: one long name", raw(lambda n: f"x-{'a' * n}: 1\r\n"))
    yield _case(
        f"{who} headers: long extra names",
        raw(
            lambda n: (
                "".join(f"impersonate-extra-k%2F{i}: 1\r\n" for i in range(n // 30))
                + "impersonate-user: a\r\n"
            )
        ),
    )
    yield _case(
        f"{who} headers: many groups",
        raw(
            lambda n: (
                "".join(f"impersonate-group: g{i}\r\n" for i in range(n // 25)) + "impersonate-user: a\r\n"
            )
        ),
    )
    yield _case(
        f"{who} headers: long impersonated extra",
        raw(lambda n: f"impersonate-user: a\r\nimpersonate-extra-{'%41' * (n // 3)}: 1\r\n"),
    )


def paths(user: str = "admin") -> Iterator[Case]:
    """Long and odd paths, by a few methods."""
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "A"):
        for name, (unit, before) in PATHS.items():
            body = b"{}" if method in ("POST", "PUT", "PATCH") else None
            yield _case(
                f"{user or 'nobody'} {method} path: {name}",
                long_path(method, growing(unit, before), body, user),
            )
    yield _case(f"{user or 'nobody'} long method", lambda n: http("A" * n, MAPS, user=user))
