import json
from typing import Any

import pytest
from coroutines import at_once

from pilothouse.endpoints.discovery import Discovery
from pilothouse.endpoints.health import HOOKS, Health
from pilothouse.endpoints.nonresource import NonResource
from pilothouse.errors import MethodNotAllowed, NotAcceptable, NotFound
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Request, Response


class Issuer:
    def jwks(self) -> dict[str, Any]:
        return {"keys": []}

    def configuration(self) -> dict[str, Any]:
        return {"issuer": "https://example.com"}


class Metrics:
    def __init__(self) -> None:
        self.count = 3

    def expose(self) -> bytes:
        return f"requests {self.count}\n".encode()

    def expose_slis(self) -> bytes:
        return b"slis\n"

    def reset(self) -> None:
        self.count = 0


@pytest.fixture
def health() -> Any:
    out = Health()
    out.finish()
    return out


@pytest.fixture
def room(health: Any) -> NonResource:
    pods = Resource(
        group="", version="v1", plural="pods", kind="Pod", singular="pod", namespaced=True, verbs=()
    )
    discovery = Discovery(Catalog([pods]))
    flags = {"v": "2", "secure-port": "6443"}
    return NonResource(discovery, health, metrics=Metrics(), issuer=Issuer(), flags=lambda: flags)


def ask(room: Any, target: Any, accept: Any = None, method: str = "GET") -> Any:
    headers = {} if accept is None else {"accept": accept}
    request = Request(method, target, headers, list(headers.items()))
    return at_once(room.handle(request, request.path))


@pytest.mark.parametrize(
    "path", ["/healthz", "/livez", "/readyz", "/livez/ping", "/readyz/shutdown", "/livez/etcd"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_healthy(room: NonResource, path: str, method: str) -> None:
    response = ask(room, path, method=method)
    assert (response.status, response.body, response.content_type) == (
        200,
        b"ok",
        "text/plain; charset=utf-8",
    )
    assert ("X-Content-Type-Options", "nosniff") in response.headers


@pytest.mark.parametrize(
    "path", ["/healthz/", "/livez/nope", "/livez/shutdown", "/healthz/poststarthook", "/nope", "/Version"]
)
def test_unknown_paths_are_not_answered(room: NonResource, path: str) -> None:
    assert ask(room, path) is None


def test_verbose_health(room: NonResource) -> None:
    lines = ask(room, "/livez?exclude=etcd&exclude=nope&exclude=nada&verbose").body.decode().splitlines()
    assert lines[:4] == [
        "[+]ping ok",
        "[+]log ok",
        "[+]loopback-serving-certificate ok",
        "[+]etcd excluded: ok",
    ]
    assert lines[-2:] == [
        'warn: some health checks cannot be excluded: no matches for "nada","nope"',
        "livez check passed",
    ]
    assert len(lines) == 4 + len(HOOKS) + 2


def test_failures_are_always_verbose_but_keep_their_reason(room: NonResource, health: Any) -> None:
    def fail() -> None:
        raise RuntimeError("the disk is full")

    seen = []
    health.observe = lambda name, endpoint, ok: seen.append((name, endpoint, ok))
    health.add_check("etcd", fail)
    response = ask(room, "/readyz")
    assert response.status == 500
    assert b"[-]etcd failed: reason withheld\n" in response.body
    assert response.body.endswith(b"readyz check failed\n")
    assert ("etcd", "readyz", False) in seen
    assert ("ping", "readyz", True) in seen
    assert ask(room, "/readyz?exclude=etcd").status == 200
    assert ask(room, "/readyz/etcd").body == b"internal server error: the disk is full\n"


def test_start_and_shutdown(room: NonResource, health: Any) -> None:
    fresh = Health()
    assert fresh.handle("/livez", "").status == 500
    fresh.finish("poststarthook/rbac/bootstrap-roles")
    assert fresh.handle("/livez/poststarthook/rbac/bootstrap-roles", "").status == 200
    assert fresh.handle("/livez/autoregister-completion", "").body == b"internal server error: not finished\n"
    health.shutting_down = True
    assert ask(room, "/readyz").status == 500
    assert ask(room, "/livez").status == 200


@pytest.mark.parametrize("path", ["/version", "/version/"])
def test_version(room: NonResource, path: str) -> None:
    found = json.loads(ask(room, path).body)
    assert (found["major"], found["minor"], found["emulationMinor"]) == ("1", "36", "36")
    assert found["gitVersion"].startswith("v1.36.0+")


def test_version_is_routed(room: NonResource) -> None:
    with pytest.raises(NotFound):
        ask(room, "/version/nope")
    with pytest.raises(MethodNotAllowed):
        ask(room, "/version", method="HEAD")
    with pytest.raises(NotAcceptable, match=r"Available representations: application/json$"):
        ask(room, "/version", "text/html")


def test_keys(room: NonResource) -> None:
    response = ask(room, "/openid/v1/jwks", "*/*")
    assert (response.content_type, json.loads(response.body)) == ("application/jwk-set+json", {"keys": []})
    assert ("Cache-Control", "public, max-age=3600") in response.headers
    with pytest.raises(NotAcceptable, match="representations: application/jwk-set"):
        ask(room, "/openid/v1/jwks", "application/json")
    assert json.loads(ask(room, "/.well-known/openid-configuration").body)["issuer"] == "https://example.com"
    assert ask(room, "/openid/v1") is None


def test_metrics(room: NonResource) -> None:
    response = ask(room, "/metrics", method="PUT")
    assert (response.body, response.content_type.partition(";")[0]) == (b"requests 3\n", "text/plain")
    assert ask(room, "/metrics", method="DELETE").body == b"metrics reset\n"
    assert ask(room, "/metrics").body == b"requests 0\n"
    assert ask(room, "/metrics/slis").body == b"slis\n"


@pytest.mark.parametrize(
    ("path", "line"), [("/statusz", "Emulation version: 1.36"), ("/flagz", "secure-port=6443")]
)
def test_status_pages(room: NonResource, path: str, line: str) -> None:
    response = ask(room, path, "*/*")
    assert response.status == 200
    assert line in response.body.decode().splitlines()
    with pytest.raises(NotAcceptable):
        ask(room, path, "text/html")


def test_the_root_lists_what_there_is(room: NonResource) -> None:
    async def page(request: Any, path: str) -> Response:
        return Response(200)

    room.add("/debug/x", page, listed=False)
    room.add_prefix("/openapi/v3", page, listed=("/openapi/v3", "/openapi/v3/"))
    paths = json.loads(ask(room, "/", "text/html", "POST").body)["paths"]
    assert paths == sorted(paths)
    assert {"/api/v1", "/apis/", "/healthz", "/livez/etcd", "/openapi/v3/", "/metrics/slis", "/flagz"} <= set(
        paths
    )
    assert "/debug/x" not in paths
    assert ask(room, "/openapi/v3/api/v1").status == 200
    assert ask(room, "/openapi/v3x") is None
