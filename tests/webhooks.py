"""Admission webhooks for tests: a server over TLS with a webhook on each path,
and configurations that name them."""

import asyncio
import base64
import json
import pathlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

from aiohttp import web
from backend import Backend
from harness import Rig

from pilothouse.admission.chain import AdmissionPlugin, Chain
from pilothouse.admission.metrics import AdmissionMetrics
from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.admission.webhooks.calling import WebhookDependencies
from pilothouse.admission.webhooks.mutating import MutatingAdmissionWebhook
from pilothouse.admission.webhooks.validating import ValidatingAdmissionWebhook
from pilothouse.authz.modes import AlwaysAllow
from pilothouse.outbound.kubeconfig import Users

Object = dict[str, Any]
Reply = Object | web.StreamResponse
Hook = Callable[[Object], Reply | Awaitable[Reply]]
"""Answers the request of a review with members of the response, or with an answer of its own."""

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
MUTATING, VALIDATING = (
    f"{ADMISSION}/mutatingwebhookconfigurations",
    f"{ADMISSION}/validatingwebhookconfigurations",
)
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}


def allow(request: Object) -> Object:
    return {}


def deny(request: Object) -> Object:
    return {"allowed": False}


def patched(*operations: Any) -> Callable[[Object], Object]:
    """A webhook that answers with a JSON patch."""
    text = base64.b64encode(json.dumps(operations).encode()).decode()
    return lambda request: {"patch": text, "patchType": "JSONPatch"}


def label(name: str, value: str = "x") -> Hook:
    """A webhook that adds a label."""

    def hook(request: Object) -> Object:
        metadata = request["object"]["metadata"]
        if "labels" not in metadata:
            add = {"op": "add", "path": "/metadata/labels", "value": {name: value}}
        else:
            add = {"op": "add", "path": f"/metadata/labels/{name}", "value": value}
        return patched(add)(request)

    return hook


class WebhookServer(Backend):
    """Serves the webhooks in `hooks` by their path; `reviews` keeps what each path was sent, in order."""

    def __init__(
        self, folder: pathlib.Path, hosts: tuple[str, ...] = ("127.0.0.1", "hook.default.svc")
    ) -> None:
        super().__init__(folder, self._review, hosts)
        self.hooks: dict[str, Hook] = {}
        self.reviews: list[tuple[str, Object]] = []
        self.addresses: set[Any] = set()
        self.heard: Callable[[Mapping[str, str]], None] | None = None
        """Called with the headers of each request."""

    async def _review(self, request: web.BaseRequest) -> web.StreamResponse:
        review = json.loads(await request.read())
        path = request.path
        self.reviews.append((path, review["request"]))
        if self.heard is not None:
            self.heard(request.headers)
        assert request.transport is not None
        self.addresses.add(request.transport.get_extra_info("peername"))
        said = self.hooks[path](review["request"])
        reply = await said if isinstance(said, Awaitable) else said
        if isinstance(reply, web.StreamResponse):
            return reply
        response = {"uid": review["request"]["uid"], "allowed": True, **reply}
        return web.json_response({**review, "request": None, "response": response})

    def asked(self, path: str) -> list[Object]:
        """The requests that a path was sent."""
        return [request for at, request in self.reviews if at == path]

    def client_config(self, path: str) -> Object:
        """The clientConfig of a webhook, by URL."""
        ca = base64.b64encode(self.ca).decode()
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": ca}

    def webhook(self, path: str, **members: Any) -> Object:
        """A webhook of a configuration, called `<path>.example.com`."""
        return {
            "name": f"{path.strip('/').replace('/', '.')}.example.com",
            "clientConfig": self.client_config(path),
            "rules": [RULE],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            **members,
        }


class Hooked:
    """A server that calls webhooks, and a server of webhooks; `plugins` stand before the webhooks."""

    def __init__(
        self,
        folder: pathlib.Path,
        *plugins: AdmissionPlugin,
        between: tuple[AdmissionPlugin, ...] = (),
        users: Users | None = None,
        flags: tuple[str, ...] = (),
        authorizer: Any = None,
    ) -> None:
        self.server = WebhookServer(folder)
        self.rig = rig = Rig(flags=flags)
        self.metrics = AdmissionMetrics()
        allowed = authorizer or AlwaysAllow()
        parts = WebhookDependencies(rig.clients, rig.resolver, allowed, self.metrics, users or Users())
        hooks = [MutatingAdmissionWebhook(parts), *between, ValidatingAdmissionWebhook(parts)]
        rig.chain = Chain([NamespaceLifecycle(), *plugins, *hooks], self.metrics)

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        await self.rig.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.rig.stop()
        await self.server.__aexit__(*error)

    async def mutating(self, path: str, hook: Hook | None = None, name: str = "", **members: Any) -> None:
        """A MutatingWebhookConfiguration with one webhook; its name is the path's unless it is given."""
        await self._configure(MUTATING, path, hook, name, members)

    async def validating(self, path: str, hook: Hook | None = None, name: str = "", **members: Any) -> None:
        """The same of a ValidatingWebhookConfiguration."""
        await self._configure(VALIDATING, path, hook, name, members)

    async def _configure(self, kind: str, path: str, hook: Hook | None, name: str, members: Object) -> None:
        if hook is not None:
            self.server.hooks[path] = hook
        webhooks = [self.server.webhook(path, **members)]
        name = name or path.strip("/")
        await self.rig.ok("POST", kind, {"metadata": {"name": name}, "webhooks": webhooks})

    def counts(self, metric: str) -> dict[tuple[str, ...], float]:
        """The series of a metric of admission."""
        found: Any = getattr(self.metrics, metric)
        return dict(found.values) if not hasattr(found, "counts") else found.counts()


async def hang(request: Object) -> Reply:
    """A webhook that never answers."""
    await asyncio.Event().wait()
    return {}
