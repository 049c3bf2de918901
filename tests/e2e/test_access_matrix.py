"""Everything that a server lists, asked for by users with few rights:
they get what their rules grant, and nothing else.

Paths come from discovery and from /openapi/v2, custom resources and an aggregated server included; the oracle
is the rules review, applied by access.py.
Requests go through the whole pipeline of a whole server, without sockets.
"""

import asyncio
import base64
import contextlib
import json
import pathlib
import random
import threading
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pytest
from aggregated import ADDRESS, PREFIX, Aggregated, register
from backend import Backend
from e2e.access import UNLISTED, Ask, Attributes, Rules, asks, discovered, granted, spellings
from eventually import eventually
from harness import Stream

from pilothouse.api.values.identity import ANONYMOUS
from pilothouse.offload import INLINE_WORK
from pilothouse.server.request import Request, Response
from pilothouse.testing.server import InProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ADDRESS, reason="not on this host: it has the loopback address only"),
]

AT_ONCE = 16
SAMPLE = 150
TOKENS = "admin,admin,1,system:masters\nnobody,nobody,2,\nviewer,viewer,3,\neditor,editor,4,\n"
NAMES = {"": "system:anonymous", "nobody": "nobody", "viewer": "viewer", "editor": "editor"}
NAMESPACES = ("here", "there")
RBAC = "/apis/rbac.authorization.k8s.io/v1"
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class Given(NamedTuple):
    """An answer to a user."""

    status: int
    text: str


class Cluster:
    """A whole server whose pipeline is called on its own loop.
    `rules` are those of each user in each namespace."""

    def __init__(self, server: InProcess) -> None:
        self.server = server
        self.rules: dict[tuple[str, str], Rules] = {}
        self.templates: list[str] = []
        self.everything: list[Ask] = []
        self._may: dict[tuple[str, Attributes], bool] = {}

    def may(self, user: str, ask: Ask) -> bool:
        """Whether the rules of a user grant a request."""
        about = ask.about
        if (user, about) not in self._may:
            rules = self.rules[user, about.namespace if about.namespace in NAMESPACES else ""]
            self._may[user, about] = granted(rules, about)
        return self._may[user, about]

    def all(self, user: str, wanted: Iterable[Ask]) -> list[Given]:
        """The answers to a user's requests."""
        return self.server.run(self._all(user, list(wanted)))

    async def _all(self, user: str, wanted: list[Ask]) -> list[Given]:
        out: list[Given] = []
        for at in range(0, len(wanted), AT_ONCE):
            out += await self._together(user, wanted[at : at + AT_ONCE])
        return out

    async def _together(self, user: str, some: list[Ask]) -> list[Given]:
        """The loop calls the handler as it calls the parser: there is no current task."""
        loop = asyncio.get_running_loop()
        called: asyncio.Future[list[Any]] = loop.create_future()
        handle = self.server._server.pipeline.handle
        loop.call_soon(lambda: called.set_result([handle(request(user, one)) for one in some]))
        return [_given(one if isinstance(one, Response) else await one) for one in await called]

    def admitted(self, user: str, wanted: Iterable[Ask]) -> list[bool]:
        """Whether the body of each request would be read."""

        async def run() -> list[bool]:
            admit = self.server._server.pipeline.admit
            out = []
            for one in wanted:
                found = admit(request(user, one))
                if found is not None and not isinstance(found, Response):
                    found = await found
                if found is not None and found.on_done is not None:
                    found.on_done(0, None)
                out.append(found is None)
            return out

        return self.server.run(run())

    async def call(
        self,
        method: str,
        target: str,
        body: Any = None,
        user: str = "admin",
        accept: str = "application/json",
    ) -> Any:
        """The decoded answer to a request, which must be a good one."""
        found = request(user, Ask(method, target, "application/json", Attributes("")), body)
        found.headers["accept"] = accept
        answer = self.server._server.pipeline.handle(found)
        response: Response = answer if isinstance(answer, Response) else await answer
        data = response.body if isinstance(response.body, bytes) else b"".join(response.body)
        if response.on_done is not None:
            response.on_done(len(data), None)
        assert response.status < 300, (target, data)
        return json.loads(data)

    ok = call

    def admin(self, method: str, target: str, body: Any = None, **how: str) -> Any:
        return self.server.run(self.call(method, target, body, **how))


def request(user: str, one: Ask, sent: Any = None) -> Request:
    headers = {"accept": "application/json", "content-type": one.media}
    if user:
        headers["authorization"] = f"Bearer {user}"
    body = b"" if one.method in ("GET", "HEAD", "OPTIONS") else b"[]" if "json-patch" in one.media else b"{}"
    if sent is not None:
        body = json.dumps(sent).encode()
    return Request(one.method, one.target, headers, list(headers.items()), body, ("127.0.0.1", 40000))


def _given(response: Response) -> Given:
    if response.start is not None:
        stream = Stream(response.on_done)
        response.start(stream)
        stream.close()
        return Given(response.status, "")
    assert response.upgrade is None
    data = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    if response.on_done is not None:
        response.on_done(len(data), None)
    return Given(response.status, data[:2000].decode("utf-8", "replace"))


def definition(plural: str, kind: str, scope: str) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "metadata": {"name": f"{plural}.access.example.com"},
        "spec": {
            "group": "access.example.com",
            "scope": scope,
            "names": {"plural": plural, "kind": kind},
            "versions": [{**version, "subresources": {"status": {}, "scale": scale}}],
        },
    }


def further(name: str, verbs: list[str]) -> dict[str, Any]:
    """A role about what the default ones do not know."""
    rules = [
        {"apiGroups": ["access.example.com"], "resources": ["gadgets", "gadgets/scale"], "verbs": verbs},
        {"apiGroups": ["wardle.example.com"], "resources": ["flunders"], "verbs": verbs},
    ]
    return {"metadata": {"name": name}, "rules": rules}


def bound(role: str, user: str) -> dict[str, Any]:
    return {
        "metadata": {"name": f"{user}:{role}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }


@contextlib.contextmanager
def behind(folder: pathlib.Path, clients: bytes) -> Iterator[Backend]:
    """The aggregated server, on a thread; `clients` is the authority of its clients."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    backend = Backend(folder, Aggregated(), ("w.default.svc",), ADDRESS)
    backend.clients_ca = clients
    asyncio.run_coroutine_threadsafe(backend.__aenter__(), loop).result(10)
    try:
        yield backend
    finally:
        asyncio.run_coroutine_threadsafe(backend.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("access")
    tokens = folder / "tokens.csv"
    tokens.write_text(TOKENS)
    with contextlib.ExitStack() as stack:
        flags = [f"--token-auth-file={tokens}", "--enable-aggregator-routing"]
        server = stack.enter_context(InProcess(flags))
        found = Cluster(server)
        clients = (server.directory / "front-proxy-ca.crt").read_bytes()
        _fill(found, stack.enter_context(behind(folder, clients)))
        found.templates = _templates(found)
        found.everything = list(asks(found.templates, NAMESPACES))
        for user in NAMES:
            for namespace in NAMESPACES:
                found.rules[user, namespace] = _rules(found, user, namespace)
            # a namespace without bindings of these users tells what they may in all of the cluster
            found.rules[user, ""] = found.rules[user, "there"]
        yield found
        server.stop()  # it has connections to the aggregated server


def _fill(cluster: Cluster, behind: Backend) -> None:
    for namespace in NAMESPACES:
        cluster.admin("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    for plural, kind, scope in (("gadgets", "Gadget", "Namespaced"), ("planets", "Planet", "Cluster")):
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        cluster.admin("POST", definitions, definition(plural, kind, scope))
    cluster.server.run(register(cluster, behind.port, base64.b64encode(behind.ca).decode()))  # type: ignore[arg-type]
    for role, user, verbs in (
        ("view", "viewer", ["get", "list", "watch"]),
        ("edit", "editor", ["get", "create", "update", "patch", "delete"]),
    ):
        cluster.admin("POST", f"{RBAC}/clusterroles", further(f"further-{role}", verbs))
        # the rules that the controller manager would put into the roles `view` and `edit`
        for name in dict.fromkeys(
            ("system:aggregate-to-view", f"system:aggregate-to-{role}", f"further-{role}")
        ):
            cluster.admin("POST", f"{RBAC}/namespaces/here/rolebindings", bound(name, user))
    eventually(lambda: PREFIX in json.dumps(cluster.admin("GET", "/openapi/v2")["paths"]), "aggregated paths")


def _templates(cluster: Cluster) -> list[str]:
    """The paths of discovery and of the OpenAPI document, and those that are no resources."""
    groups = [
        item for path in ("/api", "/apis") for item in cluster.admin("GET", path, accept=DISCOVERY)["items"]
    ]
    document = cluster.admin("GET", "/openapi/v2")["paths"]
    third = cluster.admin("GET", "/openapi/v3")["paths"]
    listed = cluster.admin("GET", "/")["paths"]
    found = {*discovered(groups), *document, *listed, *UNLISTED, *(f"/openapi/v3/{path}" for path in third)}
    for plural in ("pods/{name}/exec", "nodes/{name}/proxy", "gadgets/{name}/scale", "flunders/{name}"):
        assert any(template.endswith(plural) for template in found), plural
    return sorted(found)


def _rules(cluster: Cluster, user: str, namespace: str) -> Rules:
    """The rules in the review; nobody lets the anonymous user ask, so the authorizer is asked."""
    if not user:
        authorizer = cluster.server._server.pipeline.stages.authorizer
        rules = cluster.server.run(authorizer.list_rules(ANONYMOUS, namespace, INLINE_WORK))
        return Rules(rules.resource, rules.non_resource)
    reviews = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    status = cluster.admin("POST", reviews, {"spec": {"namespace": namespace}}, user=user)["status"]
    assert not status["incomplete"]
    return Rules(status["resourceRules"], status["nonResourceRules"])


def judged(cluster: Cluster, user: str, wanted: list[Ask]) -> list[str]:
    """How the answers differ from what the rules say."""
    wrong = []
    for ask, given in zip(wanted, cluster.all(user, wanted), strict=True):
        refused = given.status == 403 and f'User \\"{NAMES[user]}\\" cannot ' in given.text
        may = cluster.may(user, ask)
        if refused == may or given.status == 401 or given.status >= 500 or (not may and given.status != 403):
            wrong.append(f"{ask.method} {ask.target} {ask.about} may={may}: {given}")
    return wrong


@pytest.mark.parametrize("user", NAMES)
def test_all_requests(cluster: Cluster, user: str) -> None:
    assert judged(cluster, user, cluster.everything) == []


@pytest.mark.parametrize("user", NAMES)
def test_the_head_of_a_request_is_judged_alike(cluster: Cluster, user: str) -> None:
    """Long bodies are read after this."""
    wrong = []
    for ask, allowed in zip(cluster.everything, cluster.admitted(user, cluster.everything), strict=True):
        if allowed != cluster.may(user, ask):
            wrong.append(f"{ask.method} {ask.target} {ask.about} {allowed}")
    assert wrong == []


def test_who_has_which_rights(cluster: Cluster) -> None:
    """The oracle is not empty: each user may do more than the one before, and nobody all."""
    counts = [sum(cluster.may(user, one) for one in cluster.everything) for user in NAMES]
    assert 0 < counts[0] < counts[1] < counts[2] < counts[3] < len(cluster.everything) / 2
    watched = [one for one in cluster.everything if one.about.verb == "watch" and cluster.may("viewer", one)]
    assert any("/watch/" in one.target for one in watched) and any("?watch" in one.target for one in watched)


@pytest.mark.parametrize("user", NAMES)
def test_no_spelling_of_a_path_gets_more_than_the_path(cluster: Cluster, user: str) -> None:
    """Slashes, dots and escapes: where the path itself is refused, no way to write it succeeds."""
    read = [
        one for one in asks(cluster.templates, ("there",)) if one.method == "GET" and "?" not in one.target
    ]
    refused = [one for one in read if not one.about.path and not cluster.may(user, one)]
    sample = random.Random().sample(refused, SAMPLE)
    wanted = [Ask("GET", spelt, one.media, one.about) for one in sample for spelt in spellings(one.target)]
    got = zip(wanted, cluster.all(user, wanted), strict=True)
    assert [(one.target, given) for one, given in got if given.status < 300] == []
