"""Requests reach the cluster that they name, and no part of another one sees them."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from pilothouse import errors
from pilothouse.clusters.router import Router
from pilothouse.server.request import Request, Response
from pilothouse.storage.interface import Unavailable


class Seen:
    """A handler that notes what it is asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: list[Request] = []
        self.refusal: Any = None
        self.user = "jane"

    def handle(self, request: Request) -> Response:
        self.requests.append(request)
        return Response(200, self.name.encode())

    def admit(self, request: Request) -> Any:
        self.requests.append(request)
        request.caller = self.user
        return self.refusal


class Clusters:
    """Stands for the directory: `asleep` come into memory when they are woken."""

    def __init__(self) -> None:
        self.open: dict[str, Any] = {"a": Seen("a")}
        self.asleep: dict[str, Any] = {"b": Seen("b")}
        self.error: Exception | None = None

    async def wake(self, name: str) -> Any:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        if name not in self.asleep:
            raise errors.not_found("pilothouse.dev", "clusters", name)
        self.open[name] = self.asleep.pop(name)
        return self.open[name]


def request(target: str, host: str = "localhost") -> Request:
    return Request("GET", target, {"host": host}, [("host", host)])


@pytest.fixture
def clusters() -> Clusters:
    return Clusters()


@pytest.fixture
def own() -> Seen:
    return Seen("")


@pytest.fixture
def router(clusters: Clusters, own: Seen) -> Router:
    return Router(own, clusters, "example.test")  # type: ignore[arg-type]


async def body(router: Router, one: Request) -> Any:
    answer = router.handle(one)
    whole: Any = (answer if isinstance(answer, Response) else await answer).body
    return bytes(whole)


@pytest.mark.parametrize(
    ("target", "host", "name", "seen", "prefix"),
    [
        ("/api/v1?x=/clusters/a/", "localhost", "", "/api/v1?x=/clusters/a/", ""),
        ("/clusters/a/api/v1?x=1", "localhost", "a", "/api/v1?x=1", "/clusters/a"),
        ("/clusters/a", "localhost", "a", "/", "/clusters/a"),
        ("/clusters/a/", "localhost", "a", "/", "/clusters/a"),
        ("/clusters/a?x=1", "localhost", "a", "/?x=1", "/clusters/a"),
        ("/clusters/a//api", "localhost", "a", "//api", "/clusters/a"),
        ("/clusters/a/../b/api", "localhost", "a", "/../b/api", "/clusters/a"),
        ("/clusters/a/clusters/b/api", "localhost", "a", "/clusters/b/api", "/clusters/a"),
        ("/clusters//api", "localhost", "", "/clusters//api", ""),
        ("/clusters/", "localhost", "", "/clusters/", ""),
        ("/clusters", "localhost", "", "/clusters", ""),
        ("/Clusters/a/api", "localhost", "", "/Clusters/a/api", ""),
        ("/api", "a.example.test", "a", "/api", ""),
        ("/api", "a.example.test:6443", "a", "/api", ""),
        ("/api", "A.Example.TEST.", "a", "/api", ""),
        ("/api", "example.test", "", "/api", ""),
        ("/api", ".example.test", "", "/api", ""),
        ("/api", "aexample.test", "", "/api", ""),
        ("/api", "[::1]:6443", "", "/api", ""),
        ("/clusters/a/api", "b.example.test", "a", "/api", "/clusters/a"),
    ],
)
async def test_targets(
    runner: asyncio.Runner,
    router: Router,
    clusters: Clusters,
    own: Seen,
    target: str,
    host: str,
    name: str,
    seen: str,
    prefix: str,
) -> None:
    assert await body(router, request(target, host)) == name.encode()
    [found] = (clusters.open["a"] if name else own).requests
    assert (found.target, found.prefix) == (seen, prefix)
    assert found.path == seen.partition("?")[0]
    assert len(own.requests) + len(clusters.open["a"].requests) == 1


async def test_a_cluster_is_woken(runner: asyncio.Runner, router: Router, clusters: Clusters) -> None:
    assert await body(router, request("/clusters/b/api")) == b"b"
    assert [one.path for one in clusters.open["b"].requests] == ["/api"]


async def test_a_request_is_named_once(runner: asyncio.Runner, router: Router, clusters: Clusters) -> None:
    """A request that is judged by its head is for the same cluster when it is whole."""
    one = request("/clusters/a/clusters/b/api")
    assert router.admit(one) is None
    assert await body(router, one) == b"a"
    assert one.path == "/clusters/b/api"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (errors.not_found("pilothouse.dev", "clusters", "b"), 404, 'clusters.pilothouse.dev "b" not found'),
        (Unavailable("the store is closed"), 500, "Internal error occurred: the store is closed"),
        (ValueError("a fault of ours, with /a/path"), 500, "Internal error occurred: ValueError"),
    ],
)
async def test_a_cluster_that_cannot_be_woken(
    runner: asyncio.Runner, router: Router, clusters: Clusters, error: Exception, code: int, text: str
) -> None:
    clusters.error = error
    ways: tuple[Callable[[Request], Any], ...] = (router.handle, router.admit)
    for way in ways:
        answer = await way(request("/clusters/b/api"))
        assert answer.status == code
        status = orjson.loads(answer.body)
        assert (status["kind"], status["code"], status["message"]) == ("Status", code, text)


async def test_a_cluster_pays_for_its_bodies(
    runner: asyncio.Runner, router: Router, clusters: Clusters, own: Seen
) -> None:
    """Users of one name in two clusters have nothing in common; those of one cluster share its part."""
    payers = set()
    for user in ("jane", "bob"):
        clusters.open["a"].user = user
        one = request("/clusters/a/api")
        assert router.admit(one) is None
        payers.add(one.caller)
    assert len(payers) == 1
    woken = request("/clusters/b/api")
    waiting: Any = router.admit(woken)
    assert await waiting is None
    mine = request("/api")
    assert router.admit(mine) is None
    assert mine.caller == "jane"
    assert len({woken.caller, mine.caller, *payers}) == 3


async def test_a_refused_body_is_nobodys(runner: asyncio.Runner, router: Router, clusters: Clusters) -> None:
    clusters.open["a"].refusal, clusters.open["a"].user = Response(401), ""
    one = request("/clusters/a/api")
    answer = router.admit(one)
    assert isinstance(answer, Response)
    assert answer.status == 401
    assert one.caller == ""


async def test_a_head_that_is_judged_later(
    runner: asyncio.Runner, router: Router, clusters: Clusters
) -> None:
    async def later(answer: Response | None) -> Response | None:
        await asyncio.sleep(0)
        return answer

    clusters.open["a"].refusal = later(None)
    one = request("/clusters/a/api")
    waiting: Any = router.admit(one)
    assert await waiting is None
    assert one.caller == "cluster a"
    clusters.open["a"].refusal = later(Response(403))
    one = request("/clusters/a/api")
    waiting = router.admit(one)
    assert (await waiting).status == 403
    assert one.caller == "jane"


async def test_no_domain_no_names(runner: asyncio.Runner, clusters: Clusters, own: Seen) -> None:
    router = Router(own, clusters)  # type: ignore[arg-type]
    assert await body(router, request("/api", "a.example.test")) == b""
    assert await body(router, request("/api", "a")) == b""
