"""A whole server in this process without sockets: memory store, watch cache, built-in resources, pipeline."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from inspect import isawaitable
from types import SimpleNamespace
from typing import Any, NamedTuple, Self

from pilothouse import options
from pilothouse.admission.chain import AdmissionAttributes, Chain, Plugin
from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.api.identity import User
from pilothouse.authn.authenticator import UnionAuthenticator
from pilothouse.authn.impersonation import Impersonation
from pilothouse.authn.metrics import AuthenticationMetrics
from pilothouse.authn.tokens import TokenFile
from pilothouse.authz.authorizer import forbidden, from_modes
from pilothouse.authz.escalation import guard
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.endpoints.discovery import Discovery
from pilothouse.endpoints.dispatch import Dispatcher
from pilothouse.endpoints.health import Health
from pilothouse.endpoints.metrics import RequestMetrics, WatchMetrics
from pilothouse.endpoints.nonresource import NonResource
from pilothouse.endpoints.pipeline import Pipeline, Stages
from pilothouse.endpoints.response import Responder
from pilothouse.endpoints.verbs import Verbs
from pilothouse.flowcontrol.classify import Classifier
from pilothouse.instruments import Registry
from pilothouse.offload import Offload
from pilothouse.outbound.http import Outbound
from pilothouse.registry.allocators import Addresses
from pilothouse.registry.cached import CachedReaders
from pilothouse.registry.catalog import Catalog, built_in
from pilothouse.registry.client import Client
from pilothouse.registry.consistent import ConsistentReads
from pilothouse.registry.metrics import ConsistentReadMetrics
from pilothouse.registry.node_ports import NodePorts
from pilothouse.registry.store import Store
from pilothouse.server.request import Request, Response
from pilothouse.storage.interface import Storage
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.watchcache import Cacher

Object = dict[str, Any]

TOKENS = """admin,admin,1,system:masters
jane,jane,2,dev
"""
ADMIN = User("admin", "1", ("system:masters", "system:authenticated"))
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"


class Stream:
    """The peer of a watch: keeps what was written."""

    def __init__(self) -> None:
        self.data = b""
        self.closed = False
        self.aborted = False
        self._on_close: list[Callable[[], None]] = []

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.data += data

    def buffered(self) -> int:
        return 0

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            for callback in self._on_close:
                callback()

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def on_close(self, callback: Callable[[], None]) -> None:
        self._on_close.append(callback)

    def on_drain(self, callback: Callable[[], None]) -> None:
        pass

    def events(self) -> list[Object]:
        """What has come since the last look."""
        data, self.data = self.data, b""
        return [json.loads(line) for line in data.splitlines()]

    def seen(self) -> list[tuple[str, str]]:
        """The same as pairs of type and name."""
        return [(e["type"], e["object"]["metadata"].get("name", "")) for e in self.events()]


class Answer(NamedTuple):
    """What a client sees; `body` is decoded JSON, or text where the answer is none."""

    status: int
    headers: dict[str, str]
    body: Any
    warnings: list[str]
    stream: Stream | None = None


class Rig:
    """`call` goes the whole way of a request; the rooms are attributes."""

    def __init__(
        self,
        plugins: Sequence[Plugin] = (NamespaceLifecycle(),),
        *,
        modes: Sequence[str] = ("RBAC",),
        storage: Storage | None = None,
        namespaces: Iterable[str] = ("default", "kube-system"),
        anonymous: bool = True,
    ) -> None:
        self.storage: Any = storage or MemoryStorage()
        self.cacher = Cacher(self.storage)
        self.catalog = Catalog(built_in())
        self.store = Store(self.storage, self.cacher)
        self.readers = CachedReaders(self.store, self.catalog)
        self.chain = Chain(plugins)
        self.namespaces = tuple(namespaces)
        self.offload = Offload()
        self.responder = Responder(self.offload)
        self.authenticator = UnionAuthenticator(
            tokens=[TokenFile(TOKENS, ("api",))], audiences=("api",), anonymous=anonymous
        )
        self.modes = modes
        self.verbs: Verbs
        self.pipeline: Pipeline

    async def start(self) -> None:
        await self.storage.start()
        await self.cacher.start()
        authorizer = from_modes(self.modes, self.readers)
        self.services = SimpleNamespace(
            options=options.parse([]),
            addresses=Addresses(["10.0.0.0/24"]),
            node_ports=NodePorts(self.storage, self.cacher, self.readers),
            issuer=None,
            authenticator=self.authenticator,
            authorizer=authorizer,
            outbound=Outbound(),
        )
        self.services.addresses.follow(self.readers)
        self.verbs = Verbs(
            store=self.store,
            catalog=self.catalog,
            readers=self.readers,
            admission=self.chain,
            authorizer=authorizer,
            responder=self.responder,
            services=self.services,
            escalation=guard(authorizer, self.readers),
            offload=self.offload,
            watch_metrics=WatchMetrics(),
        )
        self.discovery = discovery = Discovery(self.catalog, "127.0.0.1:6443")
        self.metrics = Registry()
        nonresource = NonResource(discovery, Health(), metrics=self.metrics)
        self.requests = self.metrics.add(RequestMetrics())
        self.consistent_reads = self.metrics.add(ConsistentReadMetrics())
        consistent = ConsistentReads(self.store, self.consistent_reads) if self.storage.shared else None
        self.pipeline = Pipeline(
            Stages(
                authenticator=self.authenticator,
                impersonation=Impersonation(authorizer.authorize, forbidden),
                classifier=Classifier(self.readers),
                authorizer=authorizer,
                dispatcher=Dispatcher(
                    self.verbs, self.catalog, discovery, nonresource, self.responder, consistent
                ),
                responder=self.responder,
                offload=self.offload,
                metrics=self.requests,
                authentication=self.metrics.add(AuthenticationMetrics()),
                authorization=self.metrics.add(AuthorizationMetrics()),
            )
        )
        for name in self.namespaces:
            await self.namespace(name)

    async def stop(self) -> None:
        self.offload.close()
        await self.services.outbound.close()
        await self.cacher.close()
        await self.storage.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    def request(
        self,
        method: str,
        target: str,
        body: Any = None,
        user: str = "admin",
        headers: dict[str, str] | None = None,
    ) -> Request:
        """A parsed request; a dict or list as body is sent as JSON."""
        named = {k.lower(): v for k, v in (headers or {}).items()}
        if user:
            named["authorization"] = f"Bearer {user}"
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        if body is not None:
            named.setdefault("content-type", "application/json")
        return Request(method, target, named, list(named.items()), data)

    def handle(self, *args: Any, **kwargs: Any) -> Response | Awaitable[Response]:
        return self.pipeline.handle(self.request(*args, **kwargs))

    async def call(self, *args: Any, **kwargs: Any) -> Answer:
        """Send a request; a watch goes on in the answer's `stream`."""
        found = self.handle(*args, **kwargs)
        return self.answer(await found if isawaitable(found) else found)

    def answer(self, response: Response) -> Answer:
        headers = {name.lower(): value for name, value in response.headers}
        headers["content-type"] = response.content_type
        texts = [v.removeprefix("299 - ")[1:-1] for n, v in response.headers if n == "Warning"]
        warnings = [re.sub(r"\\(.)", r"\1", text) for text in texts]
        if response.start is not None:
            stream = Stream()
            response.start(stream)
            return Answer(response.status, headers, None, warnings, stream)
        data = response.body if isinstance(response.body, bytes) else b"".join(response.body)
        body: Any = data
        if response.content_type.startswith("application/json"):
            body = json.loads(data)
        elif not response.content_type.startswith("application/vnd"):
            body = data.decode()
        return Answer(response.status, headers, body, warnings)

    async def ok(self, *args: Any, **kwargs: Any) -> Any:
        """The body of an answer that must be a good one."""
        answer = await self.call(*args, **kwargs)
        assert answer.status < 300, answer.body
        return answer.body

    async def fail(self, status: int, *args: Any, **kwargs: Any) -> str:
        """The message of an answer that must have this status and be a Status."""
        answer = await self.call(*args, **kwargs)
        assert answer.status == status, answer
        assert answer.body["kind"] == "Status" and answer.body["code"] == status
        return str(answer.body["message"])

    async def watch(self, target: str, **kwargs: Any) -> Stream:
        answer = await self.call("GET", target, **kwargs)
        assert answer.stream is not None, answer
        return answer.stream

    async def namespace(self, name: str) -> Object:
        return await self.ok("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    async def config_map(self, name: str, **members: Any) -> Object:
        return await self.ok("POST", CONFIG_MAPS, config_map(name, **members))

    def client(self, manager: str = "test") -> Client:
        return Client(self.store, self.catalog, self.readers, self.services, manager)

    def attributes(
        self,
        obj: Object | None,
        old: Object | None = None,
        *,
        resource: tuple[str, str, str] = ("", "v1", "pods"),
        operation: str = "",
        subresource: str = "",
        namespace: str = "default",
        name: str = "",
    ) -> AdmissionAttributes:
        """What an admission plugin is given."""
        found = self.catalog.get(*resource)
        assert found is not None
        return AdmissionAttributes(
            operation or ("CREATE" if old is None else "UPDATE"),
            found,
            subresource,
            namespace if found.namespaced else "",
            name or ((obj or old or {}).get("metadata") or {}).get("name", ""),
            obj,
            old,
            ADMIN,
            {},
            False,
            self.readers,
            services=self.services,
        )

    async def settle(self) -> None:
        """Let tasks run until nothing moves any more."""
        quiet = 0
        while quiet < 20:
            before = self.storage.revision
            await asyncio.sleep(0)
            quiet = quiet + 1 if self.storage.revision == before else 0


def config_map(name: str, **members: Any) -> Object:
    """A config map; `labels`, `finalizers` and so on go to its metadata, `data` stays."""
    data = members.pop("data", None)
    obj: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **members}}
    return obj if data is None else {**obj, "data": data}


def pod(name: str, *, spec: Object | None = None, **members: Any) -> Object:
    """A small pod; `members` go to its metadata."""
    container = {"name": "c", "image": "nginx"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **members},
        "spec": {"containers": [container], **(spec or {})},
    }


def causes(body: Object) -> list[str]:
    """The causes of an Invalid status as `field: message`."""
    return [f"{c['field']}: {c['message']}" for c in body["details"]["causes"]]
