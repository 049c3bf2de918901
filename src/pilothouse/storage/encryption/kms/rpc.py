"""Calls to a KMS plugin, over gRPC on its unix socket. Needs grpcio (extra `kms`)."""

import os
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import grpc
import grpc.aio

from pilothouse.gotext import short
from pilothouse.storage.encryption.kms import wire as kms_wire
from pilothouse.storage.encryption.kms.wire import EncryptedKey, KMSError, Status

ANSWER_BYTES = 96 << 10
"""Longest answer of a plugin: its annotations may have 32 KiB,
and twice as much again where they are many and short."""

OPTIONS = (
    ("grpc.default_authority", "localhost"),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", ANSWER_BYTES),
)

T = TypeVar("T")

Observe = Callable[[str, str, float], None]
"""Called with (method, gRPC code by Go's name, seconds) after each call."""


class KMSPlugin:
    """One plugin, at `unix:///path` or, in Linux's abstract namespace, `unix:///@name`.
    Calls raise KMSError."""

    def __init__(self, endpoint: str, timeout: float, observe: Observe) -> None:
        path = unquote(urlsplit(endpoint).path)
        self._target = f"unix-abstract:{path[2:]}" if path.startswith("/@") else f"unix:{path}"
        self._timeout = timeout
        self._observe = observe
        self._channel: grpc.aio.Channel | None = None
        self._methods: dict[str, Any] = {}

    def open(self) -> None:
        """Make the channel, on the running loop; nothing is sent."""
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what fails is raised; stderr is the log's
        self._channel = grpc.aio.insecure_channel(self._target, options=OPTIONS)
        paths = (kms_wire.STATUS, kms_wire.ENCRYPT, kms_wire.DECRYPT)
        self._methods = {path: self._channel.unary_unary(path) for path in paths}

    async def close(self) -> None:
        """Close the channel; pending calls fail."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def status(self) -> Status:
        """The status of the plugin; waits for a plugin that is starting."""
        return await self._call(kms_wire.STATUS, b"", kms_wire.status_answer, wait=True)

    async def encrypt(self, plaintext: bytes, uid: str, kind: int) -> EncryptedKey:
        """Encrypt a key. Returns its source, which is not validated."""
        request = kms_wire.encrypt_request(plaintext, uid)
        read = partial(kms_wire.encrypt_answer, kind=kind)
        return await self._call(kms_wire.ENCRYPT, request, read, wait=True)

    async def decrypt(self, source: EncryptedKey) -> bytes:
        """The key of a source; fails at once when the plugin does not listen."""
        request = kms_wire.decrypt_request(source, str(uuid.uuid4()))
        return await self._call(kms_wire.DECRYPT, request, kms_wire.decrypt_answer, wait=False)

    async def _call(self, path: str, request: bytes, read: Callable[[bytes], T], wait: bool) -> T:
        if self._channel is None:
            raise KMSError("the connection to the plugin is closed")
        start = time.perf_counter()
        code = "Canceled"
        try:
            answer: bytes = await self._methods[path](request, timeout=self._timeout, wait_for_ready=wait)
            code = "OK"
            return read(answer)
        except grpc.aio.AioRpcError as error:
            code = go_name(error.code())
            raise KMSError(f"rpc error: code = {code} desc = {short(error.details() or '')}") from None
        except grpc.aio.UsageError:
            raise KMSError("the connection to the plugin is closed") from None
        except ValueError as error:
            raise KMSError(f"the plugin's answer can not be read: {error}") from None
        finally:
            self._observe(path, code, time.perf_counter() - start)


def go_name(code: grpc.StatusCode) -> str:
    """A status code as Go writes it."""
    return "Canceled" if code is grpc.StatusCode.CANCELLED else code.name.title().replace("_", "")
