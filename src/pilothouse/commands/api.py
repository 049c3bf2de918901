"""A small client of the API for commands, by a kubeconfig."""

import copy
import dataclasses
import datetime
import http.client
import json
import os
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pilothouse.api.values.fields import Object
from pilothouse.configuration.sections.data import DataOptions
from pilothouse.outbound.http import ClientError
from pilothouse.outbound.kubeconfig import Kubeconfig, plugin_of, read_kubeconfig

SECONDS = 30.0
JSON = "application/json, */*"
OTHERS = "kubernetes.default.svc"
"""A name that the certificates of all servers of a cluster have."""


def kubeconfig_of(options: DataOptions, named: str) -> Path:
    """The file with the credentials: the one that is named, else the first that exists.
    FileNotFoundError when there is none."""
    if named:
        return Path(named)
    set_ = [Path(one) for one in os.environ.get("KUBECONFIG", "").split(os.pathsep) if one]
    own = options.directory / "admin.kubeconfig"
    for path in (*set_, own, Path.home() / ".kube" / "config"):
        if path.exists():
            return path
    raise FileNotFoundError(
        f"there is no kubeconfig: say --kubeconfig or --data-dir, or set KUBECONFIG ({own} does not exist)"
    )


class ApiError(Exception):
    """A request that was refused or got no answer.
    `status` is 0 without an answer; `details` are those of the Status."""

    def __init__(self, message: str, status: int = 0, details: Object | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.details = details or {}


class _Connection(http.client.HTTPConnection):
    """Verifies the server by another name than that of the URL where the kubeconfig says so.

    HTTPSConnection would read the system's CAs first, which takes longer than the request.
    """

    default_port = http.client.HTTPS_PORT
    server_name = ""
    tls: Any

    def connect(self) -> None:
        sock = socket.create_connection((self.host, self.port), self.timeout)
        self.sock = self.tls.wrap_socket(sock, server_hostname=self.server_name or self.host)


class Api:
    """Sends one request after the other, each on a connection of its own unless the Api is `held`.
    ValueError and OSError when the kubeconfig cannot be used."""

    def __init__(self, kubeconfig: Path | Kubeconfig, context: str = "") -> None:
        """`context`: one of the file's contexts in place of the current one."""
        if isinstance(kubeconfig, Kubeconfig):
            self.config, named = kubeconfig, ""
        else:
            self.config, named = read_kubeconfig(kubeconfig, context), f"{kubeconfig}: "
            if plugin := plugin_of(kubeconfig, context):
                raise ValueError(
                    f"{named}the user gets credentials by a program ({plugin}), which only kubectl runs: take"
                    " a kubeconfig with a token (kubectl create token) or a client certificate"
                )
        self._named = f" of {kubeconfig}" if named else ""
        self.warnings: list[str] = []
        """The texts of the Warning headers of the answers, each once."""
        self._holds = False
        self._connection: _Connection | None = None
        self._where = urlsplit(self.config.server)
        if self._where.scheme != "https" or not self._where.hostname:
            raise ValueError(f"{named}the server {self.config.server!r} is no https URL")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the kubeconfig's server."""
        return self._where.hostname or "", self._where.port or 443

    def other(self, host: str, port: int) -> "Api":
        """The same for another server of the cluster, which is trusted by the name that all of them have."""
        found = copy.copy(self)
        shown = f"[{host}]" if ":" in host else host
        url = f"https://{shown}:{port}{self._where.path}"  # below it: a logical cluster has a path
        found._where = urlsplit(url)
        trust = self.config.trust
        trust = dataclasses.replace(trust, server_name=trust.server_name or OTHERS)
        found.config = self.config._replace(server=url, trust=trust)
        return found

    def held(self) -> "Api":
        """The same with one connection for all requests, until `close`: they reach one process of one server,
        behind a load balancer too."""
        found = copy.copy(self)
        found._holds, found._connection, found.warnings = True, None, []
        return found

    def close(self) -> None:
        """Close the connection that is held."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        seconds: float = SECONDS,
        accept: str = JSON,
    ) -> Object:
        """The object in the answer; ApiError for every other answer."""
        return _object_in(self._send(method, path, body, seconds, accept))

    def text(self, path: str, *, seconds: float = SECONDS, accept: str = JSON) -> str:
        """The answer to a GET, as text."""
        return self._send("GET", path, None, seconds, accept).decode("utf-8", "replace")

    def data(self, path: str, *, seconds: float = SECONDS) -> bytes:
        """The answer to a GET, as it is."""
        return self._send("GET", path, None, seconds, "*/*")

    def _send(self, method: str, path: str, body: Object | None, seconds: float, accept: str = JSON) -> bytes:
        headers = dict(self.config.headers) | {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = self._connection or _Connection(*self.address, timeout=seconds)
        self._connection = None
        try:
            if connection.sock is None:
                connection.tls = self.config.trust.context()
                connection.server_name = self.config.trust.server_name
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, self._where.path.rstrip("/") + path, data, headers)
            answer = connection.getresponse()
            text = answer.read()
            self._note(answer.headers.get_all("Warning") or ())
            if self._holds and not answer.will_close:
                self._connection = connection
        except (OSError, http.client.HTTPException, ClientError) as error:
            raise ApiError(f"{method} {self.config.server}{path}: {_why(error)}") from None
        finally:
            if self._connection is None:
                connection.close()
        if 200 <= answer.status < 300:
            return text
        if answer.headers.get_content_type() == "text/html":
            raise ApiError(f"{self.config.server} is no API server: it answers {answer.status} with a page")
        out = _object_in(text)
        said = str(out.get("message", answer.reason))
        if answer.status == http.HTTPStatus.UNAUTHORIZED:
            said = (
                f"{said}: {self.config.server} does not accept the credentials{self._named}{self._expired()}"
            )
        raise ApiError(said, answer.status, out.get("details"))

    def _expired(self) -> str:
        """Why the client certificate is not accepted, where that can be seen."""
        from cryptography import x509

        trust = self.config.trust
        try:
            pem = trust.cert or (Path(trust.cert_file).read_bytes() if trust.cert_file else b"")
            end = x509.load_pem_x509_certificate(pem).not_valid_after_utc
        except (OSError, ValueError):
            return ""
        if end > datetime.datetime.now(datetime.UTC):
            return ""
        return f", its client certificate has expired on {end:%Y-%m-%d %H:%M} UTC"

    def _note(self, headers: Iterable[str]) -> None:
        """Note the texts of some Warning headers, as `299 - "text"`."""
        for header in headers:
            text = header.partition('"')[2].rpartition('"')[0].replace('\\"', '"')
            if text and text not in self.warnings:
                self.warnings.append(text)

    def ensure(self, collection: str, obj: Object) -> None:
        """Create an object unless there is one of its name."""
        try:
            self.call("POST", collection, obj)
        except ApiError as error:
            if error.status != 409:
                raise


def _why(error: Exception) -> str:
    """Why there is no answer, in the system's words and without those of Python."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = f"its certificate is not trusted ({error.verify_message})"
        return f"{said}: the kubeconfig may be that of another server"
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).lower().replace("_", " ")
        plain = reason in ("wrong version number", "http request", "unknown protocol", "record layer failure")
        return "what listens there does not speak TLS: it is no API server" if plain else reason
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens there, does the server run?"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error)


def _object_in(answer: bytes) -> Object:
    """The object that an answer holds; one with a message for an answer that is plain text."""
    try:
        out: Object = json.loads(answer)
    except ValueError:
        return {"message": answer.decode("utf-8", "replace")}
    return out
