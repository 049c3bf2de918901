import asyncio
import json
from typing import Any

import pytest

from pilothouse.endpoints.documents.discovery import Discovery
from pilothouse.endpoints.documents.health import HOOKS, Health
from pilothouse.endpoints.documents.nonresource import NonResource
from pilothouse.errors import MethodNotAllowed, NotAcceptable, NotFound
from pilothouse.metrics.instruments import Counter, Group, MetricsRegistry
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Request, Response


class Issuer:
    def jwks(self) -> dict[str, Any]:
        return {"keys": []}

    def configuration(self) -> dict[str, Any]:
        return {"issuer": "https://example.com"}


class Metrics(Group):
    def __init__(self) -> None:
        self.requests = Counter("requests", "Some.")
        self.requests.inc(by=3)


@pytest.fixture
def health() -> Any:
    out = Health()
    out.finish()
    return out


@pytest.fixture
def nonresource(health: Any) -> NonResource:
    pods = Resource(
        group="", version="v1", plural="pods", kind="Pod", singular="pod", namespaced=True, verbs=()
    )
    discovery = Discovery(Catalog([pods]))
    flags = {"v": "2", "secure-port": "6443"}
    metrics, slis = MetricsRegistry(), MetricsRegistry()
    metrics.add(Metrics())
    slis.add(health.metrics)
    return NonResource(discovery, health, metrics=metrics, slis=slis, issuer=Issuer(), flags=lambda: flags)


def ask(nonresource: Any, target: Any, accept: Any = None, method: str = "GET") -> Any:
    headers = {} if accept is None else {"accept": accept}
    request = Request(method, target, headers, list(headers.items()))
    return asyncio.run(nonresource.handle(request, request.path))  # metrics pause on a busy machine


@pytest.mark.parametrize(
    "path", ["/healthz", "/livez", "/readyz", "/livez/ping", "/readyz/shutdown", "/livez/etcd"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_healthy(nonresource: NonResource, path: str, method: str) -> None:
    response = ask(nonresource, path, method=method)
    assert (response.status, response.body, response.content_type) == (
        200,
        b"ok",
        "text/plain; charset=utf-8",
    )
    assert ("X-Content-Type-Options", "nosniff") in response.headers


@pytest.mark.parametrize(
    "path", ["/healthz/", "/livez/nope", "/livez/shutdown", "/healthz/poststarthook", "/nope", "/Version"]
)
def test_unknown_paths_are_not_answered(nonresource: NonResource, path: str) -> None:
    assert ask(nonresource, path) is None


def test_verbose_health(nonresource: NonResource) -> None:
    lines = (
        ask(nonresource, "/livez?exclude=etcd&exclude=nope&exclude=nada&verbose").body.decode().splitlines()
    )
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


def test_failures_are_always_verbose_but_keep_their_reason(nonresource: NonResource, health: Any) -> None:
    def fail() -> None:
        raise RuntimeError("the disk is full")

    health.add_check("etcd", fail)
    response = ask(nonresource, "/readyz")
    assert response.status == 500
    assert b"[-]etcd failed: reason withheld\n" in response.body
    assert response.body.endswith(b"readyz check failed\n")
    last = health.metrics.last.values
    assert (last["etcd", "readyz"], last["ping", "readyz"]) == (0, 1)
    assert ask(nonresource, "/readyz?exclude=etcd").status == 200
    assert ask(nonresource, "/readyz/etcd").body == b"internal server error: the disk is full\n"


def test_start_and_shutdown(nonresource: NonResource, health: Any) -> None:
    fresh = Health()
    assert fresh.handle("/livez", "").status == 500
    fresh.finish("poststarthook/rbac/bootstrap-roles")
    assert fresh.handle("/livez/poststarthook/rbac/bootstrap-roles", "").status == 200
    assert fresh.handle("/livez/autoregister-completion", "").body == b"internal server error: not finished\n"
    health.shutting_down = True
    assert ask(nonresource, "/readyz").status == 500
    assert ask(nonresource, "/livez").status == 200


def test_livez_waits_for_the_steps_of_a_start_when_it_is_given_time() -> None:
    starting, late = Health(grace=60), Health(grace=1e-9)
    for health, status in ((starting, 200), (late, 500)):
        found = health.handle("/livez", "")
        assert found is not None and found.status == status
        found = health.handle("/readyz", "")
        assert found is not None and found.status == 500


@pytest.mark.parametrize("path", ["/version", "/version/"])
def test_version(nonresource: NonResource, path: str) -> None:
    found = json.loads(ask(nonresource, path).body)
    assert (found["major"], found["minor"], found["emulationMinor"]) == ("1", "36", "36")
    assert found["gitVersion"].startswith("v1.36.0+")


def test_version_is_routed(nonresource: NonResource) -> None:
    with pytest.raises(NotFound):
        ask(nonresource, "/version/nope")
    with pytest.raises(MethodNotAllowed):
        ask(nonresource, "/version", method="HEAD")
    with pytest.raises(NotAcceptable, match=r"Available representations: application/json$"):
        ask(nonresource, "/version", "text/html")


def test_keys(nonresource: NonResource) -> None:
    response = ask(nonresource, "/openid/v1/jwks", "*/*")
    assert (response.content_type, json.loads(response.body)) == ("application/jwk-set+json", {"keys": []})
    assert ("Cache-Control", "public, max-age=3600") in response.headers
    with pytest.raises(NotAcceptable, match="representations: application/jwk-set"):
        ask(nonresource, "/openid/v1/jwks", "application/json")
    assert (
        json.loads(ask(nonresource, "/.well-known/openid-configuration").body)["issuer"]
        == "https://example.com"
    )
    assert ask(nonresource, "/openid/v1") is None


def test_metrics(nonresource: NonResource) -> None:
    def shown(path: str, method: str = "GET") -> list[Any]:
        response = ask(nonresource, path, method=method)
        assert response.content_type.partition(";")[0] == "text/plain"
        lines = b"".join(response.body).decode().splitlines()
        return [line for line in lines if not line.startswith("#")]

    assert shown("/metrics", "PUT") == ["requests 3"]
    assert ask(nonresource, "/metrics", method="DELETE").body == b"metrics reset\n"
    assert shown("/metrics") == ["requests 0"]
    assert shown("/metrics/slis") == []
    ask(nonresource, "/livez/ping")
    assert 'kubernetes_healthcheck{name="ping",type="livez"} 1' in shown("/metrics/slis")
    assert shown("/metrics") == ["requests 0"]


@pytest.mark.parametrize(
    ("path", "line"), [("/statusz", "Emulation version: 1.36"), ("/flagz", "secure-port=6443")]
)
def test_status_pages(nonresource: NonResource, path: str, line: str) -> None:
    response = ask(nonresource, path, "*/*")
    assert response.status == 200
    assert line in response.body.decode().splitlines()
    with pytest.raises(NotAcceptable):
        ask(nonresource, path, "text/html")


def test_the_root_lists_what_there_is(nonresource: NonResource) -> None:
    async def page(request: Any, path: str) -> Response:
        return Response(200)

    nonresource.add("/debug/x", page, listed=False)
    nonresource.add_prefix("/openapi/v3", page, listed=("/openapi/v3", "/openapi/v3/"))
    paths = json.loads(ask(nonresource, "/", "text/html", "POST").body)["paths"]
    assert paths == sorted(paths)
    assert {"/api/v1", "/apis/", "/healthz", "/livez/etcd", "/openapi/v3/", "/metrics/slis", "/flagz"} <= set(
        paths
    )
    assert "/debug/x" not in paths
    assert ask(nonresource, "/openapi/v3/api/v1").status == 200
    assert ask(nonresource, "/openapi/v3x") is None
