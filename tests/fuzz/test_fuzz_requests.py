"""Malformed paths, queries and headers, and bytes that are not HTTP."""

import re

import pytest
from example_scale import SCALE
from fuzz.growth_requests import OPTIONS
from fuzzing import JSON, MAPS, Target, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BOUNDED = settings(
    max_examples=75 * SCALE, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
VALUES = [
    "",
    "0",
    "-1",
    "1",
    "1.5",
    "true",
    "True",
    "yes",
    "null",
    "x" * 5000,
    "9" * 30,
    "-" + "9" * 30,
    "1e9",
    "0x10",
    "%00",
    "%ff",
    "%C0%AF",
    "%",
    "%zz",
    "a=b",
    "a in (b",
    "a in ()",
    "!",
    "!!a",
    "a==",
    "=b",
    ",",
    "a,,b",
    "a notin",
    "(",
    "a>x",
    "metadata.name=x",
    "metadata.name",
    "spec.nodeName=a",
    "a.b.c=d",
    "metadata.name=a,metadata.name!=a",
    "\\",
    "a=\\",
    "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MCwic3RhcnQiOiIuLi8uLi8ifQ",
    "bm90IGpzb24",
    "e30",
    "NotOlderThan",
    "Exact",
    "All",
    "Strict",
    "Bogus",
    "1h",
    "1",
    "-1s",
    "99999999h",
    "Metadata",
    "Background",
    "Orphan",
    "+",
    "%2B",
    "&",
    ";",
    "1;2",
]


@pytest.mark.slow
@pytest.mark.parametrize("parameter", OPTIONS)
def test_parameters(target: Target, parameter: str) -> None:
    """Each parameter is sent with every verb; watches are asked to end at once."""
    one = f"{MAPS}/kube-root-ca.crt"
    for value in VALUES:
        query = f"{parameter}={value.replace(' ', '+')}" + (
            "&timeoutSeconds=1" if "timeout" not in parameter else ""
        )
        if not (parameter == "watch" or parameter.startswith("timeout")):
            refused(target.send("GET", f"{MAPS}?{query}"), allowed=(200,))
        refused(target.send("GET", f"{one}?{query}"), allowed=(200,))
        dry = query if parameter == "dryRun" else f"{query}&dryRun=All"
        body = b'{"metadata":{"name":"nothing"}}'
        refused(target.send("PUT", f"{MAPS}/nothing?{dry}", body, JSON), allowed=(200, 201))
        refused(target.send("DELETE", f"{MAPS}/nothing?{dry}"), allowed=(200,))
        refused(target.send("DELETE", f"{MAPS}?{dry}&labelSelector=no%3Dsuch"), allowed=(200,))
        patch = {"Content-Type": "application/merge-patch+json"}
        refused(target.send("PATCH", f"{MAPS}/nothing?{dry}", b"{}", patch), allowed=(200,))


WATCHES = [
    "resourceVersion=x",
    "resourceVersion=-1",
    "sendInitialEvents=true",
    "sendInitialEvents=x",
    "limit=x",
    "continue=x",
    "sendInitialEvents=true&resourceVersionMatch=Exact",
    "resourceVersionMatch=NotOlderThan",
    "labelSelector=%28",
    "fieldSelector=x",
    "fieldSelector=a=b",
    "resourceVersion=1&sendInitialEvents=true",
    "allowWatchBookmarks=x",
    "resourceVersion=" + "9" * 25,
    "timeoutSeconds=x",
]


@pytest.mark.parametrize("query", WATCHES)
def test_watches(target: Target, query: str) -> None:
    end = "" if "timeout" in query else "&timeoutSeconds=1"
    refused(target.send("GET", f"{MAPS}?watch=1&{query}{end}"), allowed=(200,))


@BOUNDED
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["limit", "continue", "resourceVersion", "resourceVersionMatch", "labelSelector"]
            ),
            st.text(max_size=20),
        ),
        max_size=4,
    )
)
def test_random_queries(target: Target, pairs: list[tuple[str, str]]) -> None:
    from urllib.parse import urlencode

    query = urlencode(pairs, errors="surrogatepass")
    refused(target.send("GET", f"{MAPS}?{query}"), allowed=(200,))


@BOUNDED
@given(
    st.text(alphabet="abc=!,()<> innotxs./-_~\"'\\\x00é", max_size=30),
    st.sampled_from(["labelSelector", "fieldSelector"]),
)
def test_random_selectors(target: Target, text: str, which: str) -> None:
    from urllib.parse import quote

    refused(target.send("GET", f"{MAPS}?{which}={quote(text)}"), allowed=(200,))


PATHS = [
    "/",
    "//",
    "/api",
    "/api/",
    "/api/v1/",
    "/api/v1//",
    "/api/v2",
    "/apis/",
    "/apis/x",
    "/apis/apps/v9",
    "/apis/apps/v1/x",
    "/api/v1/namespaces//pods",
    "/api/v1/namespaces/default/pods/",
    "/api/v1/namespaces/default/pods//log",
    "/api/v1/namespaces/default/pods/a/b/c/d/e",
    "/api/v1/../../etc/passwd",
    "/api/v1/%2e%2e/%2e%2e/",
    "/..%2f..%2f",
    "/api/v1/namespaces/%00/pods",
    "/api/v1/namespaces/%ff/pods",
    "/api/v1/namespaces/a%2Fb/pods",
    "/%",
    "/%zz",
    "/api/%76%31/pods",
    "/api/v1/pods/a",
    "/api/v1/nodes/a/b",
    "/api/v1/watch",
    "/api/v1/watch/",
    "/api/v1/watch/namespaces",
    "/api/v1/proxy/x",
    "/api/v1/namespaces/default/configmaps/UPPER",
    "/api/v1/namespaces/default/configmaps/" + "a" * 4000,
    "/api/v1/namespaces/default/configmaps/a%0d%0ab",
    "/openapi/v3/x",
    "/openapi/v3/apis/x/y",
    "/openapi/v2/x",
    "/metrics/x",
    "/healthz/x",
    "/readyz/x",
    "/livez?exclude=x&verbose",
    "/debug/pprof/",
    "/version/x",
    "/logs/",
    "/.well-known/x",
    "/*",
    "/?",
    "/api/v1/namespaces/default/services/x:y:z/proxy/a",
    "/api/v1/namespaces/default/pods/x/exec?command=a",
    "/" + "a/" * 2000,
    "/api/v1/namespaces/default/pods/x/portforward",
    "/api/v1/nodes/x/proxy",
    "/api/v1/namespaces/default/pods/x/log?follow=x",
]


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "BREW"]
)
def test_paths(target: Target, method: str) -> None:
    for path in PATHS:
        if "watch/namespaces" in path:
            continue
        try:
            answer = target.send(method, path, b"{}" if method in ("POST", "PUT", "PATCH") else None)
        except OSError as err:
            raise AssertionError(path) from err
        untold = path in (
            "/api/v1/watch",
            "/api/v1/watch/",
        )  # upstream's 500: no request info can be made of it
        assert untold or answer.status in (501, 503) or answer.status < 500, (path, answer)


@BOUNDED
@given(st.text(alphabet="/abcvapis1.%2Fé:*?~", max_size=40))
def test_random_paths(target: Target, path: str) -> None:
    from urllib.parse import quote

    answer = target.send("GET", "/" + quote(path, safe="/%:*~"))
    assert answer.status < 500, answer


HEADERS: dict[str, list[str]] = {
    "Accept": [
        "",
        ",",
        "*",
        "*/*;q=x",
        "application/json;as=Table",
        "application/json;as=Table;v=v9;g=meta.k8s.io",
        "a" * 3000,
        "application/json;q=2",
        ";;;",
        "text/html",
        'application/json;as="Table',
        "application/json;as=Bogus;v=v1;g=meta.k8s.io",
    ],
    "Content-Type": [
        "",
        "x",
        "application/json; charset=",
        "application/json;" + ";" * 500,
        "multipart/form-data",
        "\xe9",
    ],
    "Content-Encoding": ["gzip", "br", "identity", "x"],
    "Accept-Encoding": ["", "gzip;q=x", "*;q=0", "gzip,gzip,gzip", "x" * 2000],
    "Authorization": [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer " + "x" * 20000,
        "Basic !!!",
        "Basic eDp5",
        "\xff",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6W119.e30.x",
        "Bearer ..",
        "Digest x",
    ],
    "Impersonate-User": ["", "\xe9", "system:serviceaccount:", "system:node:", "a" * 5000],
    "Impersonate-Group": ["x"],
    "Impersonate-Uid": ["x"],
    "Impersonate-Extra-": ["x"],
    "Impersonate-Extra-%zz": ["x"],
    "If-None-Match": ["x", '"', "*"],
    "If-Match": ["x"],
    "Range": ["bytes=0-1", "x"],
    "Expect": ["100-continue", "x"],
    "Audit-Id": ["", "\xe9", "x" * 3000],
    "X-Forwarded-For": ["x"],
    "X-Remote-User": ["admin"],
    "Upgrade": ["websocket", "h2c"],
    "Connection": ["upgrade", "x", "close"],
    "Host": ["", "x:y:z", "a" * 2000, "[::1"],
    "Transfer-Encoding": ["x", "gzip"],
    "Traceparent": ["x", "00-x"],
    "X-Http-Method-Override": ["DELETE"],
    "Sec-Websocket-Key": ["x"],
    "Origin": ["x"],
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers(target: Target, name: str) -> None:
    for value in HEADERS[name]:
        for method, path, body in (
            ("GET", MAPS, None),
            ("POST", f"{MAPS}?dryRun=All", b'{"metadata":{"name":"h"}}'),
        ):
            try:
                answer = target.send(method, path, body, {name: value})
            except OSError:
                target.close()
                continue
            assert answer.status == 501 or answer.status < 500, (name, value, answer)
            assert answer.status != 500
        target.close()


HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
RAW = {
    "nothing": b"",
    "newlines": b"\r\n" * 1000,
    "binary": bytes(range(256)) * 20,
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http09": b"GET /\r\n",
    "version": b"GET / HTTP/9.9\r\n\r\n",
    "no-host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two-hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "huge-line": b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\n\r\n",
    "huge-header": HEAD + b"X: " + b"a" * 2000000 + b"\r\n\r\n",
    "many-headers": HEAD + b"".join(b"X%d: y\r\n" % n for n in range(20000)) + b"\r\n",
    "no-colon": HEAD + b"nonsense\r\n\r\n",
    "space-before-colon": HEAD + b"Content-Length : 1\r\n\r\na",
    "folded": HEAD + b"X: a\r\n b\r\n\r\n",
    "nul": HEAD + b"X: a\x00b\r\n\r\n",
    "two-lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length-and-chunked": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "negative-length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "word-length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    "huge-length": (
        b"POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"
    ),
    "bad-chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "huge-chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "endless-chunk-extension": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * 500000
    ),
    "smuggled": HEAD + b"Transfer-Encoding: x, chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "bare-lf": b"GET /healthz HTTP/1.1\nHost: x\n\n",
    "lower-method": b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute": b"GET http://[::1/x HTTP/1.1\r\nHost: x\r\n\r\n",
    "star": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect": b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "pipelined-garbage": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\ngarbage\r\n\r\n",
    "fragment": b"GET /healthz#a HTTP/1.1\r\nHost: x\r\n\r\n",
    "latin": b"GET /\xe9 HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("data", RAW.values(), ids=RAW)
def test_raw(target: Target, data: bytes) -> None:
    said = target.raw(data, wait=0.5)
    for status in re.findall(rb"^HTTP/1\.[01] (\d+)", said, re.M):
        assert int(status) in (501, 505) or int(status) < 500, said[:500]
    assert target.send("GET", "/livez").body == b"ok"


@settings(max_examples=20 * SCALE, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(RAW.values())), st.data())
def test_raw_with_bytes_changed(target: Target, data: bytes, draw: st.DataObject) -> None:
    data = data[:2000] or b"x"
    at = draw.draw(st.integers(0, len(data) - 1))
    said = target.raw(data[:at] + draw.draw(st.binary(max_size=3)) + data[at + 1 :] + b"\r\n\r\n", wait=0.05)
    for status in re.findall(rb"^HTTP/1\.[01] (\d+)", said, re.M):
        assert int(status) in (501, 505) or int(status) < 500, said[:500]


def test_not_tls(target: Target) -> None:
    import socket

    for data in (
        b"GET / HTTP/1.0\r\n\r\n",
        b"\x16\x03\x01\xff\xff" + b"a" * 3000,
        b"\x00" * 100,
        b"\x80\x01",
    ):
        with socket.create_connection(("127.0.0.1", target.server.port), 2) as plain:
            plain.settimeout(0.5)
            try:
                plain.sendall(data)
                plain.recv(1000)
            except OSError:
                pass
    assert target.send("GET", "/livez").body == b"ok"


@pytest.mark.slow
def test_nothing_is_leaked(target: Target) -> None:
    """The same garbage again and again takes no more memory than the first few rounds."""
    deep = b'{"metadata":{"name":"a","labels":' + b'{"a":' * 9000 + b"}" * 9000

    def rounds(count: int) -> int:
        for n in range(count):
            target.send("POST", MAPS, deep, JSON)
            target.send(
                "POST", MAPS, b'{"metadata":{"name":"B%d","x%d":[1]},"data":{"%d":{}}}' % (n, n, n), JSON
            )
            target.send("GET", f"{MAPS}?labelSelector=a{n}+in+(b")
            target.send("GET", f"/apis/none{n}/v1/things{n}/x", None, {"Authorization": f"Bearer x{n}"})
            target.send(
                "PATCH", f"{MAPS}/none{n}", b'{"a":1}', {"Content-Type": "application/merge-patch+json"}
            )
        return target.memory()

    before = rounds(100)
    assert rounds(300) - before < 8 << 20
