"""A server with logical clusters in this process, and requests to each of them with credentials of each."""

import asyncio
import base64
import contextlib
import json
import pathlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from clusters.journals import Journal, MemoryJournal, SqliteJournal
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from eventually import aeventually
from harness import Answer, Stream

from pilothouse import pki
from pilothouse.assembly.host import Host
from pilothouse.assembly.intervals import DEFAULT_INTERVALS, Intervals
from pilothouse.authn.x509 import scope_unit
from pilothouse.clusters.directory import Directory
from pilothouse.clusters.logical import LogicalCluster
from pilothouse.clusters.records import FOLDER
from pilothouse.clusters.router import Router
from pilothouse.clusters.server import ClusterServer
from pilothouse.configuration import options
from pilothouse.configuration.config import Config
from pilothouse.server.request import Request
from pilothouse.storage.interface import Storage

Object = dict[str, Any]

CLUSTERS = "/apis/pilothouse.dev/v1alpha1/clusters"
MAPS = "/api/v1/namespaces/default/configmaps"
DOMAIN = "clusters.test"


class Identity(NamedTuple):
    """A client certificate with its key (PEM), and its chain in DER as a connection tells it."""

    cert: bytes
    key: bytes
    chain: tuple[bytes, ...]


class RigServer(ClusterServer):
    """A server with a journal that tests look into."""

    def journal(self, host: Host) -> Storage:
        if host.config.store.backend == "memory":
            return MemoryJournal()
        return SqliteJournal(host.config.data.directory / FOLDER, keys_in_memory=False)


class ClusterRig:
    """Starts a ClusterServer. `call` hands a request to its handler, as a connection does; "" is the root."""

    def __init__(
        self,
        directory: pathlib.Path,
        *flags: str,
        intervals: Intervals = DEFAULT_INTERVALS,
        storage: Storage | None = None,
        backend: str = "memory",
        port: int = 0,
    ) -> None:
        self.data = directory
        self.flags = flags
        self._backend = backend
        self._intervals = intervals
        self._storage = storage
        self._uids: dict[str, str] = {}
        """The UIDs of clusters by their names, those that are gone as well."""
        self._identities: dict[tuple[str, str, tuple[str, ...]], Identity] = {}
        self.server: RigServer
        self.port = port

    async def start(self) -> None:
        """Start on the port that was given, or on a free one."""
        sock = socket.create_server(("127.0.0.1", self.port))
        self.port = sock.getsockname()[1]
        config = options.parse(
            [
                f"--data-dir={self.data}",
                "--bind-address=127.0.0.1",
                f"--secure-port={self.port}",
                f"--storage-backend={self._backend}",
                "--clusters",
                f"--clusters-domain={DOMAIN}",
                *self.flags,
            ]
        )
        self.server = self.make_server(config, sock)
        await self.server.start()

    def make_server(self, config: Config, sock: socket.socket) -> RigServer:
        """The server, which listens at a socket."""
        return RigServer(config, sockets=[sock], storage=self._storage, intervals=self._intervals)

    async def stop(self) -> None:
        """Stop; the files stay."""
        await self.server.stop(0.0)

    @property
    def directory(self) -> Directory:
        """The server's clusters."""
        return self.server.directory

    @property
    def router(self) -> Router:
        """The handler of all connections."""
        return Router(self.server.pipeline, self.directory, DOMAIN)

    @property
    def journal(self) -> Journal:
        """The journal of all clusters."""
        found = self.directory.journal
        assert isinstance(found, MemoryJournal | SqliteJournal)
        return found

    async def settle(self) -> None:
        """Let controllers do what they would do."""
        for _ in range(5):
            await asyncio.sleep(0.01)

    def open(self, name: str) -> LogicalCluster:
        """A cluster in memory."""
        return self.directory.open[name]

    # Credentials

    def authority(self) -> pki.CertificateAuthority:
        """The server's CA."""
        found = pki.CertificateAuthority.load(self.data / "ca.crt", self.data / "ca.key")
        assert found is not None
        return found

    def identity(
        self, cluster: str, user: str = "admin", groups: Sequence[str] = ("system:masters",)
    ) -> Identity:
        """A client certificate for a cluster, "" for the root."""
        place = self.directory.places.get(cluster)
        uid = self._uids[cluster] = place.uid if place is not None else self._uids.get(cluster, "")
        key = uid, user, tuple(groups)
        if key not in self._identities:
            unit = scope_unit(uid) if cluster else ""
            self._identities[key] = identity_of(
                *self.authority().issue(user, groups, server=False, unit=unit)
            )
        return self._identities[key]

    def context(self, identity: Identity | None, *protocols: str) -> ssl.SSLContext:
        """TLS settings of a client with a certificate, or without one."""
        context = ssl.create_default_context(cafile=str(self.data / "ca.crt"))
        context.check_hostname = False
        if protocols:
            context.set_alpn_protocols(protocols)
        if identity is not None:
            folder = self.data / "identities"
            folder.mkdir(exist_ok=True)
            path = folder / f"{hash(identity.cert)}.pem"
            path.write_bytes(identity.cert + identity.key)
            context.load_cert_chain(path)
        return context

    # Requests

    async def call(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        cluster: str = "",
        identity: Identity | None = None,
        anonymous: bool = False,
        judged: bool = False,
        **headers: Any,
    ) -> Answer:
        """The answer of a cluster, as its administrator unless an `identity` or a token is given.

        judged: the request is judged by its head first, as those with long bodies are.
        """
        if identity is None and not anonymous and "authorization" not in headers:
            identity = self.identity(cluster)
        prefix = f"/clusters/{cluster}" if cluster else ""
        return await self.send(method, prefix + target, body, identity=identity, judged=judged, **headers)

    async def send(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        identity: Identity | None = None,
        judged: bool = False,
        between: Callable[[], Awaitable[Any]] | None = None,
        **headers: Any,
    ) -> Answer:
        """The answer to a request as it is. `between` is awaited after the head is judged."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault("host", f"127.0.0.1:{self.port}")
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        if body is not None:
            named.setdefault("content-type", "application/json")
        head, request = (
            Request(
                method,
                target,
                named,  # a connection has two requests with the same headers as well
                all_headers,
                body,
                ("127.0.0.1", 1),
                () if identity is None else identity.chain,
            )
            for all_headers, body in [(list(named.items()), b""), (list(named.items()), data)]
        )
        router = self.router
        answer: Any = router.admit(head) if judged else None
        if answer is not None and not hasattr(answer, "status"):
            answer = await answer
        if answer is None:
            if between is not None:
                await between()
            answer = router.handle(request)
            if not hasattr(answer, "status"):
                answer = await answer
        given = {name.lower(): value for name, value in answer.headers}
        stream = None
        if answer.start is not None:
            stream = Stream(answer.on_done)
            answer.start(stream)
            return Answer(answer.status, given, None, [], stream)
        raw = answer.body if isinstance(answer.body, bytes) else b"".join(bytes(one) for one in answer.body)
        if answer.on_done is not None:
            answer.on_done(len(raw), None)
        text = raw.decode()
        with contextlib.suppress(ValueError):
            return Answer(answer.status, given, json.loads(text), [])
        return Answer(answer.status, given, text, [])

    async def ok(self, method: str, target: str, body: Any = None, **more: Any) -> Object:
        """The body of an answer that is a success."""
        answer = await self.call(method, target, body, **more)
        assert answer.status < 300, answer
        found: Object = answer.body
        return found

    # Clusters

    async def make(self, name: str, **spec: Any) -> Object:
        """A cluster that is ready."""
        await self.ok("POST", CLUSTERS, cluster_of(name, **spec))
        return await self.ready(name)

    async def ready(self, name: str) -> Object:
        """A cluster, once its condition is true."""

        async def found() -> Object | None:
            obj = await self.ok("GET", f"{CLUSTERS}/{name}")
            conditions = (obj.get("status") or {}).get("conditions") or [{}]
            return obj if conditions[0].get("status") == "True" else None

        out = await aeventually(found, f"the cluster {name}")
        assert out is not None
        return out

    async def delete(self, name: str) -> None:
        """Delete a cluster, and wait until it has gone."""
        await self.ok("DELETE", f"{CLUSTERS}/{name}")
        await self.gone(name)

    async def gone(self, name: str) -> None:
        """Wait until there is no object of a name."""

        async def found() -> bool:
            return (await self.call("GET", f"{CLUSTERS}/{name}")).status == 404

        await aeventually(found, f"the end of {name}")

    async def keep(self, cluster: str, name: str, **data: str) -> Object:
        """A config map that is created or replaced in a cluster."""
        body = {"metadata": {"name": name}, "data": data}
        answer = await self.call("PUT", f"{MAPS}/{name}", body, cluster=cluster)
        if answer.status == 404:
            return await self.ok("POST", MAPS, body, cluster=cluster)
        assert answer.status == 200, answer
        found: Object = answer.body
        return found

    async def token(self, cluster: str, account: str = "default", namespace: str = "default") -> str:
        """A token of a service account."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        made = await self.ok("POST", path, {"spec": {}}, cluster=cluster)
        return str(made["status"]["token"])


def cluster_of(name: str, **spec: Any) -> Object:
    """The object of a cluster."""
    return {
        "apiVersion": "pilothouse.dev/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": name},
        "spec": spec,
    }


def identity_of(cert: bytes, key: bytes) -> Identity:
    """An identity of a certificate and its key in PEM."""
    der = x509.load_pem_x509_certificate(cert).public_bytes(Encoding.DER)
    return Identity(cert, key, (der,))


def bearer(token: str) -> str:
    """The value of the header for a token."""
    return f"Bearer {token}"


def encoded(text: str) -> str:
    """A text as Secrets have it."""
    return base64.b64encode(text.encode()).decode()


@contextlib.asynccontextmanager
async def running(directory: pathlib.Path, *flags: str, **more: Any) -> AsyncIterator[ClusterRig]:
    """A rig that is stopped in the end."""
    rig = ClusterRig(directory, *flags, **more)
    await rig.start()
    try:
        yield rig
    finally:
        await rig.stop()
