"""A client of a test's server: requests one after the other on one connection, and watches."""

import http.client
import json
import pathlib
import ssl
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from pilothouse.api.values.fields import Object

APPLY = "application/apply-patch+yaml"
HEADERS = {"Accept": "application/json", "User-Agent": "pilothouse-testing"}
"""The user agent is that of a test's own helpers: faults leave them alone, and reports leave them out."""
SECONDS = 30.0
"""How long an answer may take."""


def context(ca_file: pathlib.Path, cert: pathlib.Path, key: pathlib.Path) -> ssl.SSLContext:
    """TLS settings of a client with a certificate."""
    out = ssl.create_default_context(cafile=str(ca_file))
    out.load_cert_chain(cert, key)
    return out


class RefusedError(Exception):
    """An answer that is no success: its `code`, and the Status in it."""

    def __init__(self, code: int, status: Object) -> None:
        self.code = code
        self.status = status
        message = status.get("message", "")
        causes = [
            (cause.get("field", ""), cause.get("message", ""))
            for cause in (status.get("details") or {}).get("causes") or ()
        ]
        head = f"{code} {status.get('reason', '')}".rstrip()
        lines = [f"  {field}: {text}" for field, text in causes if f"{field}: {text}" not in message]
        super().__init__("\n".join([f"{head}: {message}", *lines]))


class KubeClient:
    """A connection to the server at a URL, below whose path all others are. OSError when it does not
    answer in `seconds`."""

    def __init__(self, url: str, tls: ssl.SSLContext, seconds: float = SECONDS) -> None:
        where = urlsplit(url)
        self._prefix = where.path.rstrip("/")
        self._connection = http.client.HTTPSConnection(
            where.hostname or "", where.port, timeout=seconds, context=tls
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        self._connection.close()

    def data(self, path: str) -> bytes:
        """The bytes in the answer to a GET; RefusedError for an answer that is no success."""
        self._connection.request("GET", self._prefix + path)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            _object_in(answer, data)
        return data

    def call(
        self, method: str, path: str, body: Object | None = None, media: str = "application/json"
    ) -> Object:
        """The object in the answer; RefusedError for an answer that is no success."""
        data = None if body is None else json.dumps(body).encode()
        self._connection.request(method, self._prefix + path, data, {**HEADERS, "Content-Type": media})
        answer = self._connection.getresponse()
        return _object_in(answer, answer.read())

    def events(self, path: str, deadline: float) -> Iterator[Object]:
        """The events of a watch until the server ends it, or `deadline` on the monotonic clock."""
        self._connection.request("GET", self._prefix + path, headers=HEADERS)
        sock: Any = self._connection.sock
        answer = self._connection.getresponse()
        try:
            if answer.status != 200:
                _object_in(answer, answer.read())
            while (left := deadline - time.monotonic()) > 0:
                sock.settimeout(left)
                line = answer.readline()
                if not line:
                    return
                yield json.loads(line)
        except TimeoutError:
            return
        finally:
            self._connection.close()


def _object_in(answer: http.client.HTTPResponse, data: bytes) -> Object:
    try:
        out = json.loads(data)
    except ValueError:
        out = {"message": data.decode("utf-8", "replace")}
    if not 200 <= answer.status < 300:
        raise RefusedError(answer.status, out)
    return dict(out)
