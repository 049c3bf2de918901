"""A signer of service account tokens (externaljwt v1) on a unix socket:
what --service-account-signing-endpoint names."""

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import grpc
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from joserfc import jws
from rsa_pem import rsa_pem

from pilothouse.authn import keys
from pilothouse.authn.external_signer import FETCH_KEYS, METADATA, SIGN
from pilothouse.wire import message, parse


class Signer:
    """Serves while it is entered. `pems` are its keys by ID, the last of which signs;
    `hidden` are not published.

    `header` changes the header of tokens, `refuse` is an error, `refresh` and `lifetime` are what it says.
    """

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.pems: dict[str, bytes] = {"one": rsa_pem()}
        self.hidden: set[str] = set()
        self.header: dict[str, Any] = {}
        self.refuse = ""
        self.refresh, self.lifetime = 600, 7200
        self.calls: list[str] = []
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            path.rpartition("/")[2]: grpc.unary_unary_rpc_method_handler(self._method(path))
            for path in (SIGN, FETCH_KEYS, METADATA)
        }
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("v1.ExternalJWTSigner", handlers),)
        )
        self._server.add_insecure_port(f"unix:{self.socket}")
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()

    def _method(self, path: str) -> Any:
        answers = {SIGN: self._sign, FETCH_KEYS: self._keys, METADATA: self._metadata}

        def handle(request: bytes, context: Any) -> bytes:
            with self.lock:
                self.calls.append(path.rpartition("/")[2])
                if self.refuse:
                    context.abort(grpc.StatusCode.INTERNAL, self.refuse)
                return bytes(answers[path](dict(parse(request))))

        return handle

    def _sign(self, request: dict[int, Any]) -> bytes:
        kid, pem = list(self.pems.items())[-1]
        key = keys.load_private(pem)
        header = {"alg": key.alg, "kid": kid, "typ": "JWT"}
        payload = base64.urlsafe_b64decode(request[1] + b"=" * (-len(request[1]) % 4))
        token = jws.serialize_compact(header, payload, key.key, algorithms=[key.alg])
        head, _, signature = token.split(".")
        if self.header:
            told = json.dumps({**header, **self.header}).encode()
            head = base64.urlsafe_b64encode(told).decode().rstrip("=")
        return message((1, head.encode()), (2, signature.encode()))

    def _keys(self, _: dict[int, Any]) -> bytes:
        found = []
        for kid, pem in self.pems.items():
            public: Any = load_pem_private_key(pem, None).public_key()
            der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            found.append((1, message((1, kid.encode()), (2, der), (3, int(kid in self.hidden)))))
        return message(*found, (2, message((1, 1_767_225_600))), (3, self.refresh))

    def _metadata(self, _: dict[int, Any]) -> bytes:
        return message((1, self.lifetime))
