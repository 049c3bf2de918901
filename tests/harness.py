"""An in-process server without sockets: the production assembly over a memory store."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple, Self, TypeVar

from virtual_time import VirtualLoop

from pilothouse.admission.chain import AdmissionPlugin, Chain
from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.api.values.identity import User
from pilothouse.assembly.handlers import Handlers, Inputs, resolver_for
from pilothouse.assembly.services import ServerServices, client_for, companions_for, services_for
from pilothouse.assembly.storage import Registry
from pilothouse.audit.auditor import Auditor
from pilothouse.authn.authenticator import UnionAuthenticator
from pilothouse.authn.tokens import TokenFile
from pilothouse.authz.authorizer import UnionAuthorizer
from pilothouse.authz.modes import Authorizers, entries_of
from pilothouse.caches import CacheBudget
from pilothouse.configuration import options
from pilothouse.endpoints.documents.health import Health
from pilothouse.endpoints.journal.tracer import Tracer
from pilothouse.lifecycle import Opened
from pilothouse.metrics.instruments import MetricsRegistry
from pilothouse.offload import Offload
from pilothouse.outbound.clients import Clients
from pilothouse.registry import encoding
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.catalog import Catalog, built_in
from pilothouse.registry.client import Client
from pilothouse.registry.strategy import WriteContext
from pilothouse.server.request import Request, Response
from pilothouse.storage.interface import Storage
from pilothouse.storage.memory import MemoryStorage

Object = dict[str, Any]

TOKENS = """admin,admin,1,system:masters
jane,jane,2,dev
"""
ADMIN = User("admin", "1", ("system:masters", "system:authenticated"))
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"


P = TypeVar("P", bound=AdmissionPlugin)


class Stream:
    """The peer of a watch: keeps what was written,
    and tells at its end how much that was, as the server does."""

    def __init__(self, on_done: Callable[[int, BaseException | None], None] | None = None) -> None:
        self.data = b""
        self.sent = 0
        self._on_done = on_done
        self.closed = False
        self.aborted = False
        self._on_close: list[Callable[[], None]] = []

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.data += data
            self.sent += len(data)

    def buffered(self) -> int:
        return 0

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            for callback in self._on_close:
                callback()
            if self._on_done is not None:
                self._on_done(self.sent, ConnectionAbortedError() if self.aborted else None)

    def abort(self, error: BaseException | None = None) -> None:
        if not self.closed:
            self.aborted = True
            self.close()

    def on_close(self, callback: Callable[[], None]) -> None:
        self._on_close.append(callback)

    def on_drain(self, callback: Callable[[], None]) -> None:
        pass

    def events(self) -> list[Object]:
        """The events that have come since the last call."""
        data, self.data = self.data, b""
        return [json.loads(line) for line in data.splitlines()]

    def seen(self) -> list[tuple[str, str]]:
        """The same as pairs of type and name."""
        return [(e["type"], e["object"]["metadata"].get("name", "")) for e in self.events()]


class Answer(NamedTuple):
    """An answer as a client sees it; `body` is decoded JSON, or text where the answer is none."""

    status: int
    headers: dict[str, str]
    body: Any
    warnings: list[str]
    stream: Stream | None = None


class Rig:
    """`call` goes the whole way of a request;
    the parts are attributes, and arguments replace some of them."""

    def __init__(
        self,
        plugins: Sequence[AdmissionPlugin] = (NamespaceLifecycle(),),
        *,
        modes: Sequence[str] = ("RBAC",),
        storage: Storage | None = None,
        namespaces: Iterable[str] = ("default", "kube-system"),
        anonymous: bool = True,
        flags: Sequence[str] = (),
        audit: Auditor | None = None,
    ) -> None:
        self.config = options.parse(
            ["--advertise-address=127.0.0.1", "--service-cluster-ip-range=10.0.0.0/24", *flags]
        )
        self.storage: Any = storage or MemoryStorage()
        catalog = Catalog(built_in())
        self.registry = Registry(self.storage, catalog, transform=encoding.reader(catalog))
        self.cacher = self.registry.cacher
        self.catalog = self.registry.catalog
        self.store = self.registry.store
        self.readers = self.registry.readers
        self.chain = Chain(plugins)
        self.namespaces = tuple(namespaces)
        self.offload = Offload()
        self.authenticator = UnionAuthenticator(
            tokens=[TokenFile(TOKENS, ("api",))], audiences=("api",), anonymous=anonymous
        )
        self.modes = modes
        self.audit = audit
        self.health = Health()
        self.tracer = Tracer(store="memory")
        self.metrics = MetricsRegistry()
        self.clients = Clients()
        self.outbound = self.clients.cluster
        self.resolver = resolver_for(self.config.outbound, self.readers)
        self.services: ServerServices
        self.handlers: Handlers
        self._opened = Opened()

    async def start(self) -> None:
        opened = self._opened
        loop = asyncio.get_running_loop()
        if isinstance(loop, VirtualLoop):
            loop.hold_while(lambda: self.offload.running)
        await self.registry.start(opened)
        opened.on_close("threads", self.offload.close)
        opened.on_close("connections to other servers", self.clients.close)
        authorizer = UnionAuthorizer(Authorizers(self.readers).members(entries_of(self.modes)))
        self.services = services_for(self.config.objects, self.registry, CacheBudget())
        self.services.companions = companions_for(self.registry, self.services, self.chain)
        self.handlers = Handlers(
            Inputs(
                config=self.config,
                registry=self.registry,
                services=self.services,
                authenticator=self.authenticator,
                authorizer=authorizer,
                admission=self.chain,
                outbound=self.outbound,
                resolver=self.resolver,
                offload=self.offload,
                health=self.health,
                metrics=self.metrics,
                audit=self.audit,
                tracer=self.tracer,
            )
        )
        if self.handlers.standing is not None:
            opened.start(self.handlers.standing)
        self.verbs = self.handlers.verbs
        self.requests = self.handlers.requests
        self.consistent_reads = self.handlers.consistent_reads
        self.responder = self.handlers.responder
        self.discovery = self.handlers.discovery
        self.pipeline = self.handlers.pipeline
        for name in self.namespaces:
            await self.namespace(name)

    async def stop(self) -> None:
        await self._opened.aclose()

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

    def handle(self, *args: Any, **kwargs: Any) -> Any:
        """The pipeline's immediate result: a Response, or an awaitable of one. The test knows which."""
        return self.pipeline.handle(self.request(*args, **kwargs))

    async def respond(self, *args: Any, **kwargs: Any) -> Response:
        """The pipeline's answer. The loop calls the handler as it calls the parser:
        there is no current task."""
        loop = asyncio.get_running_loop()
        parsed: asyncio.Future[Response | Awaitable[Response]] = loop.create_future()

        def parse() -> None:
            try:
                parsed.set_result(self.handle(*args, **kwargs))
            except Exception as err:
                parsed.set_exception(err)

        turn = loop.call_soon(parse)
        try:
            found = await parsed
        finally:
            turn.cancel()
        return found if isinstance(found, Response) else await found

    async def call(self, *args: Any, **kwargs: Any) -> Answer:
        """Send a request; a watch goes on in the answer's `stream`."""
        return self.answer(await self.respond(*args, **kwargs))

    def answer(self, response: Response) -> Answer:
        """The answer that the client is sent, and the end of the request when it has that."""
        headers = {name.lower(): value for name, value in response.headers}
        headers["content-type"] = response.content_type
        texts = [v.removeprefix("299 - ")[1:-1] for n, v in response.headers if n == "Warning"]
        warnings = [re.sub(r"\\(.)", r"\1", text) for text in texts]
        if response.start is not None:
            stream = Stream(response.on_done)
            response.start(stream)
            return Answer(response.status, headers, None, warnings, stream)
        data = response.body if isinstance(response.body, bytes) else b"".join(response.body)
        if response.on_done is not None:
            response.on_done(len(data), None)
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
        made: Object = await self.ok("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return made

    async def config_map(self, name: str, **members: Any) -> Object:
        made: Object = await self.ok("POST", CONFIG_MAPS, config_map(name, **members))
        return made

    def client(self, manager: str = "test") -> Client:
        return client_for(self.registry, self.services, manager, self.chain)

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
        """The attributes that an admission plugin is given."""
        found = self.catalog.get(*resource)
        assert found is not None
        context = WriteContext(
            ADMIN,
            "create",
            found,
            namespace=namespace if found.namespaced else "",
            name=name or ((obj or old or {}).get("metadata") or {}).get("name", ""),
            subresource=subresource,
            readers=self.readers,
        )
        made = AdmissionAttributes(found, context)
        made.operation = operation or ("CREATE" if old is None else "UPDATE")
        made.obj, made.old = obj, old
        return made

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


def is_asked(plugin: AdmissionPlugin, a: AdmissionAttributes) -> bool:
    """Whether a chain asks the plugin about a request."""
    return plugin.concerns(a.operation, a.resource, a.subresource) and plugin.wants(a)


def plug(chain: Chain, plugin: P) -> P:
    """Put a plugin at the end of a chain."""
    if type(plugin).mutate is not AdmissionPlugin.mutate:
        chain.mutators.append(plugin)
    if type(plugin).validate is not AdmissionPlugin.validate:
        chain.validators.append(plugin)
    chain._steps.clear()
    return plugin
