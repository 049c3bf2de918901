"""A small client of the API for commands, by a kubeconfig."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pilothouse.api.fields import Object
from pilothouse.outbound.http import ClientError
from pilothouse.outbound.kubeconfig import read_kubeconfig

SECONDS = 30.0


class ApiError(Exception):
    """A request that was refused or got no answer. `status` is 0 without an answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class _Connection(http.client.HTTPSConnection):
    """Verifies the server by another name than that of the URL where the kubeconfig says so."""

    server_name = ""
    tls: Any

    def connect(self) -> None:
        sock = socket.create_connection((self.host, self.port), SECONDS)
        self.sock = self.tls.wrap_socket(sock, server_hostname=self.server_name or self.host)


class Api:
    """Sends one request after the other. ValueError and OSError when the kubeconfig cannot be used."""

    def __init__(self, kubeconfig: Path) -> None:
        self.config = read_kubeconfig(kubeconfig)
        self._where = urlsplit(self.config.server)
        if self._where.scheme != "https" or not self._where.hostname:
            raise ValueError(f"{kubeconfig}: the server {self.config.server!r} is no https URL")

    def call(self, method: str, path: str, body: Object | None = None) -> Object:
        """The object in the answer; ApiError for every other answer."""
        connection = _Connection(self._where.hostname or "", self._where.port or 443, timeout=SECONDS)
        headers = dict(self.config.headers) | {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.tls = self.config.trust.context()
            connection.server_name = self.config.trust.server_name
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, self._where.path.rstrip("/") + path, data, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException, ClientError) as error:
            raise ApiError(f"{method} {self.config.server}{path}: {error}") from None
        finally:
            connection.close()
        try:
            out: Object = json.loads(text)
        except ValueError:
            out = {"message": text.decode("utf-8", "replace")}
        if not 200 <= answer.status < 300:
            raise ApiError(str(out.get("message", answer.reason)), answer.status)
        return out

    def ensure(self, collection: str, obj: Object) -> None:
        """Create an object unless there is one of its name."""
        try:
            self.call("POST", collection, obj)
        except ApiError as error:
            if error.status != 409:
                raise
