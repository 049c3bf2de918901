"""Calls to the members of an etcd cluster: TLS, failover, time-outs and etcd's errors as those of a store."""

import asyncio
import os
import pathlib
import random
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import grpc
import grpc.aio

from pilothouse import spans
from pilothouse.logs import Logger
from pilothouse.process.frozen import frozen
from pilothouse.storage.claims import Rejected
from pilothouse.storage.interface import Full, StorageError, Unavailable

log = Logger(__name__)

RANGE = "/etcdserverpb.KV/Range"
TXN = "/etcdserverpb.KV/Txn"
COMPACT = "/etcdserverpb.KV/Compact"
WATCH = "/etcdserverpb.Watch/Watch"
LEASE_GRANT = "/etcdserverpb.Lease/LeaseGrant"
LEASE_KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
LEASE_REVOKE = "/etcdserverpb.Lease/LeaseRevoke"
STATUS = "/etcdserverpb.Maintenance/Status"

START_TIMEOUT = 20.0
"""Seconds that a server waits for etcd when it starts, as kube-apiserver does:
a kubelet starts the pods of both at once."""

READ_TIMEOUT = 10.0
"""Seconds for a read, all attempts together."""

ATTEMPT_TIMEOUT = 2.0
"""Seconds for one member to answer a read before another is asked."""

WRITE_TIMEOUT = 8.0
"""Seconds for a write; etcd itself gives up after 7."""

BACKOFF = (0.05, 2.0)
"""First and longest wait before the members are tried once more."""

OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 0),  # etcd ends connections that do
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
)

_NOT_SENT = (
    "failed to connect",
    "connection refused",
    "etcdserver: no leader",
    "etcdserver: server stopped",
    "etcdserver: not capable",
)
"""Texts of failures after which nothing can have been written."""

_TOO_LARGE = "received message larger than max"
"""The text of gRPC's own refusal of a long request."""


class CompactedError(StorageError):
    """The revision is compacted; etcd does not say which one is the oldest."""


class FutureError(StorageError):
    """The revision is in the future."""


@frozen
class TLS:
    """Files for connections to etcd: the CA that signed its certificates, and our certificate and key."""

    ca: str = ""
    cert: str = ""
    key: str = ""


def backoff(attempt: int) -> float:
    """Seconds to wait before an attempt: doubled each time, spread so that clients do not come at once."""
    first, longest = BACKOFF
    return min(first * float(2 ** min(attempt, 10)), longest) * random.uniform(0.5, 1.0)


class MemberChannel:
    """The channel to one member; it leads to the Unix socket `route` where there is one,
    to the URL otherwise."""

    def __init__(self, url: str, tls: TLS, route: str = "") -> None:
        self.url = url
        parts = urlsplit(url if "://" in url else f"http://{url}")
        target = parts.path if parts.scheme in ("unix", "unixs") else parts.netloc
        if parts.scheme in ("unix", "unixs"):
            target = f"unix:{parts.netloc}{parts.path}"
        options: tuple[tuple[str, str | int], ...] = OPTIONS
        if route:
            target = f"unix:{route}"
            options += (
                ("grpc.default_authority", parts.netloc),
                ("grpc.ssl_target_name_override", parts.hostname or ""),
            )
        if parts.scheme in ("https", "unixs"):
            self.channel = grpc.aio.secure_channel(target, _credentials(tls), options=options)
        else:
            self.channel = grpc.aio.insecure_channel(target, options=options)
        self.address: spans.Attributes = {"server.address": parts.hostname or target}
        """The member, as the spans of calls name it."""
        if parts.port is not None:
            self.address = {**self.address, "server.port": parts.port}
        self._unary: dict[str, Any] = {}

    def unary(self, method: str) -> Any:
        """A callable for one method, from request bytes to response bytes."""
        found = self._unary.get(method)
        if found is None:
            found = self._unary[method] = self.channel.unary_unary(method)
        return found

    def stream(self, method: str) -> Any:
        return self.channel.stream_stream(method)


def _credentials(tls: TLS) -> grpc.ChannelCredentials:
    def read(path: str) -> bytes | None:
        return pathlib.Path(path).read_bytes() if path else None

    return grpc.ssl_channel_credentials(read(tls.ca), read(tls.key), read(tls.cert))


class Rpc:
    """The members of the cluster. One at a time is used; after a failure it is the next one's turn.

    `routes` are the Unix sockets that lead to members, by URL; a member without one is reached directly.
    """

    def __init__(
        self, servers: Sequence[str], tls: TLS | None = None, routes: Mapping[str, str] | None = None
    ) -> None:
        self._servers = tuple(servers)
        self._routes = routes or {}
        self._tls = tls or TLS()
        self._members: list[MemberChannel] = []
        self._at = 0

    def open(self) -> None:
        """Make the channels, on the running loop; Unavailable when a TLS file can not be read."""
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what fails is raised; stderr is the log's
        try:
            self._members = [
                MemberChannel(url, self._tls, self._routes.get(url, "")) for url in self._servers
            ]
        except OSError as error:
            raise Unavailable(f"etcd: {error}") from error
        self._at = random.randrange(len(self._members))

    async def close(self) -> None:
        members, self._members = self._members, []
        for member in members:
            await member.channel.close()

    @property
    def member(self) -> MemberChannel:
        """The member in use."""
        if not self._members:
            raise Unavailable("the store is closed")
        return self._members[self._at]

    def turn(self, failed: MemberChannel) -> None:
        """Use another member than the one that failed."""
        if self._members and self._members[self._at] is failed and len(self._members) > 1:
            self._at = (self._at + 1) % len(self._members)
            log.info(
                "A member of etcd failed, another one is used", failed=failed.url, member=self.member.url
            )

    async def read(self, method: str, request: bytes, timeout: float = READ_TIMEOUT) -> bytes:
        """Make a call that may be repeated."""
        return await self._call(method, request, timeout, repeat=True)

    async def write(self, method: str, request: bytes, timeout: float = WRITE_TIMEOUT) -> bytes:
        """Make a call that is repeated only if the attempt before cannot have had an effect."""
        return await self._call(method, request, timeout, repeat=False)

    async def _call(self, method: str, request: bytes, timeout: float, repeat: bool) -> bytes:
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        attempt = 0
        while True:
            member = self.member
            left = end - loop.time()
            try:
                limit = max(min(left, ATTEMPT_TIMEOUT) if repeat else left, 0.01)
                return await _traced(member, method, request, limit)
            except grpc.aio.AioRpcError as error:
                problem = translate(error)
                if not isinstance(problem, Unavailable) or not transient(error):
                    raise problem from None
                self.turn(member)
                attempt += 1
                wait = backoff(attempt // len(self._servers)) if attempt >= len(self._servers) else 0.0
                if loop.time() + wait >= end or not (repeat or not_sent(error)):
                    raise problem from None
                await asyncio.sleep(wait)
            except grpc.aio.UsageError:
                raise Unavailable("the store is closed") from None


async def _traced(member: MemberChannel, method: str, request: bytes, limit: float) -> bytes:
    """Make one call within `limit` seconds,
    as a part of the trace of the request that is being served (otelgrpc)."""
    call = member.unary(method)
    within = spans.current.get()
    if within is None:
        answer: bytes = await call(request, timeout=limit, metadata=spans.carried.get() or None)
        return answer
    attributes: dict[str, spans.Value] = {"rpc.method": method[1:], "rpc.system.name": "grpc"}
    with within.child(method[1:], {**attributes, **member.address}, kind=spans.CLIENT) as span:
        span.event("message", {"rpc.message.type": "SENT", "rpc.message.uncompressed_size": len(request)})
        span.attributes["rpc.response.status_code"] = "UNKNOWN"
        try:
            answer = await call(request, timeout=limit, metadata=span.headers())
        except grpc.aio.AioRpcError as error:
            span.attributes["rpc.response.status_code"] = error.code().name
            raise
        span.attributes["rpc.response.status_code"] = "OK"
        span.event("message", {"rpc.message.type": "RECEIVED", "rpc.message.uncompressed_size": len(answer)})
    return answer


def transient(error: grpc.aio.AioRpcError) -> bool:
    """Whether a retry, with another member or later, may succeed."""
    return error.code() in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    )


def not_sent(error: grpc.aio.AioRpcError) -> bool:
    """Whether the call cannot have had an effect."""
    if error.code() is not grpc.StatusCode.UNAVAILABLE:
        return False
    text = (error.details() or "").lower()
    return any(known in text for known in _NOT_SENT)


def translate(error: grpc.aio.AioRpcError) -> StorageError:
    """The StorageError for an error of etcd."""
    details = error.details() or error.code().name
    if error.code() is grpc.StatusCode.OUT_OF_RANGE:
        if "compacted" in details:
            return CompactedError(details)
        if "future" in details:
            return FutureError(details)
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and "space exceeded" in details:
        return Full(details)
    if error.code() is grpc.StatusCode.INVALID_ARGUMENT or _TOO_LARGE in details:
        return Rejected(details)
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        details = "etcdserver: request timed out"
    elif error.code() is grpc.StatusCode.UNAVAILABLE and not details.startswith("etcdserver"):
        details = f"etcd can not be reached: {details}"
    return Unavailable(details)
