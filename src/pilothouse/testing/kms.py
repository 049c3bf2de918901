"""A KMS v2 plugin for tests: a gRPC server on a unix socket with keys from a file,
the last of which encrypts.

`python -m pilothouse.testing.kms SOCKET KEYS` runs it alone. The file has a line `ID BASE64` per key and is
created with one key if it is missing; a line added to it is used from the next call on.
"""

import base64
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import grpc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pilothouse.storage.encryption.kms import wire as kms_wire
from pilothouse.wire import message, parse

ANNOTATION = "nonce.kms.pilothouse.test"


class KMSPluginServer:
    """Serves on a path, or on `@name` in Linux's abstract namespace.

    Tests can change its answers by `healthz`, `version` and `refuse` (an error). While `answering` is
    cleared, calls come in and are not answered. `calls` counts the calls of each method; `current` is the ID
    of the key that encrypts.
    """

    def __init__(self, socket: Path | str, keys: Path) -> None:
        self.socket = str(socket)
        self.keys = keys
        self.healthz = "ok"
        self.version = "v2"
        self.answering = threading.Event()
        self.answering.set()
        self.refuse = ""
        self.calls = {"Status": 0, "Encrypt": 0, "Decrypt": 0}
        self._server: Any = None
        if not keys.exists():
            self.rotate()

    @property
    def endpoint(self) -> str:
        return f"unix://{'/' if self.socket.startswith('@') else ''}{self.socket}"

    @property
    def current(self) -> str:
        return list(self._known())[-1]

    def rotate(self) -> str:
        """Add a key that encrypts from now on; returns its ID."""
        known = self._known() if self.keys.exists() else {}
        name = f"key-{len(known) + 1}"
        with open(self.keys, "a", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(f"{name} {base64.b64encode(os.urandom(32)).decode()}\n")
        return name

    def start(self) -> Self:
        """Start to serve, on its own threads."""
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        self._server = grpc.server(ThreadPoolExecutor(4))
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            path.rpartition("/")[2]: grpc.unary_unary_rpc_method_handler(self._method(path, answer))
            for path, answer in (
                (kms_wire.STATUS, self._status),
                (kms_wire.ENCRYPT, self._encrypt),
                (kms_wire.DECRYPT, self._decrypt),
            )
        }
        service = kms_wire.STATUS.split("/")[1]
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        name = self.socket.removeprefix("@")
        self._server.add_insecure_port(f"{'unix' if name == self.socket else 'unix-abstract'}:{name}")
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop immediately; start() serves again with the same keys."""
        if self._server is not None:
            self._server.stop(0).wait()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.answering.set()
        self.stop()

    def _known(self) -> dict[str, AESGCM]:
        rows = (line.split() for line in self.keys.read_text().splitlines())
        return {name: AESGCM(base64.b64decode(key)) for name, key in rows}

    def _method(
        self, path: str, answer: Callable[[dict[int, Any], Any], bytes]
    ) -> Callable[[bytes, Any], bytes]:
        name = path.rpartition("/")[2]

        def handle(request: bytes, context: Any) -> bytes:
            self.calls[name] += 1
            self.answering.wait()
            if self.refuse:
                context.abort(grpc.StatusCode.INTERNAL, self.refuse)
            return answer(dict(parse(request)), context)

        return handle

    def _status(self, request: dict[int, Any], context: Any) -> bytes:
        return message((1, self.version.encode()), (2, self.healthz.encode()), (3, self.current.encode()))

    def _encrypt(self, request: dict[int, Any], context: Any) -> bytes:
        name, cipher = list(self._known().items())[-1]
        nonce = os.urandom(12)
        annotation = message((1, ANNOTATION.encode()), (2, nonce))
        return message((1, cipher.encrypt(nonce, request[1], None)), (2, name.encode()), (3, annotation))

    def _decrypt(self, request: dict[int, Any], context: Any) -> bytes:
        try:
            cipher = self._known()[request[3].decode()]
            nonce = dict(parse(request[4]))[2]
            return message((1, cipher.decrypt(nonce, request[1], None)))
        except KeyError:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such key")  # abort raises
        except InvalidTag:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not encrypted with this key")
        raise AssertionError("abort() raises")


def main(arguments: list[str]) -> int:
    """Serve until interrupted."""
    if len(arguments) != 2:
        print("usage: python -m pilothouse.testing.kms SOCKET KEYS", file=sys.stderr)
        return 2
    with KMSPluginServer(arguments[0], Path(arguments[1])) as plugin:
        print(f"endpoint: {plugin.endpoint}", flush=True)
        try:
            plugin._server.wait_for_termination()
        except KeyboardInterrupt:
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
