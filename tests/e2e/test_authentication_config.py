"""A server with --authentication-config:
a real OpenID provider, one of the tests' own that fails, anonymous paths, reload."""

import asyncio
import json
import pathlib
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from backend import Backend
from eventually import eventually
from identity_provider import IdentityProvider
from joserfc import jwt
from joserfc.jwk import RSAKey

from pilothouse.testing.server import InProcess

USERS = {
    "jane": {"email": "jane@x.example", "email_verified": True, "teams": ["dev", "ops"], "tenant.id": "t1"},
    "eve": {"email": "eve@x.example", "email_verified": False},
    "root": {"email": "system:admin", "email_verified": True},
}
EXPRESSIONS = {
    "claimMappings": {
        "username": {"expression": "'real:' + claims.email"},
        "groups": {"expression": "dyn(claims.?teams.orValue([])).map(team, 'team:' + string(team))"},
        "uid": {"claim": "sub"},
        "extra": [{"key": "example.com/tenant", "valueExpression": "claims.?tenant__dot__id.orValue('')"}],
    },
    "claimValidationRules": [{"expression": "claims.email_verified == true", "message": "verify it first"}],
    "userValidationRules": [
        {"expression": "!user.username.startsWith('real:system:')", "message": "reserved"},
    ],
}


class Own:
    """A provider whose keys the test changes, and that can be down."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.keys = [self.new_key("first")]
        self.down = False
        self.backend = Backend(folder, self.answer)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.run(self.backend.__aenter__())
        self.url = f"https://127.0.0.1:{self.backend.port}"

    @staticmethod
    def new_key(kid: str) -> RSAKey:
        return RSAKey.generate_key(2048, parameters={"kid": kid, "alg": "RS256", "use": "sig"})

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def answer(self, request: Any) -> web.StreamResponse:
        if self.down:
            return web.Response(status=503)
        if request.path == "/keys":
            return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]})
        return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})

    def token(self, key: RSAKey, **claims: Any) -> str:
        base = {"iss": self.url, "aud": "own", "sub": "joe", "exp": int(time.time()) + 60}
        return jwt.encode({"alg": "RS256", "kid": key.kid}, {**base, **claims}, key)

    def close(self) -> None:
        self.run(self.backend.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Cluster:
    def __init__(self, server: InProcess, real: IdentityProvider, own: Own, file: pathlib.Path) -> None:
        self.server, self.real, self.own, self.file = server, real, own, file

    def ask(self, path: str, token: str = "", body: Any = None) -> tuple[int, Any]:
        """Status and answer, without the administrator's certificate."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.server.url + path, data, {**headers, "Content-Type": "application/json"}
        )
        context = ssl.create_default_context(cafile=str(self.server.ca_file))
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as err:
            with err:
                return err.code, err.read().decode()

    def who(self, token: str) -> Any:
        """The server's review of a token's user; None when it does not count."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        code, answer = self.ask("/apis/authentication.k8s.io/v1/selfsubjectreviews", token, review)
        return json.loads(answer)["status"]["userInfo"] if code == 201 else None

    def why(self, token: str) -> str:
        """The reason why a token does not count, as an administrator is told."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        request = urllib.request.Request(
            f"{self.server.url}/apis/authentication.k8s.io/v1/tokenreviews",
            json.dumps(review).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, context=self.server.context(), timeout=10) as answer:
            status = json.load(answer)["status"]
        assert not status.get("authenticated")
        return str(status["error"])

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.server.url}/metrics", context=self.server.context()) as answer:
            return str(answer.read().decode())

    def configure(self, *issuers: str) -> None:
        self.file.write_text(configuration(self.real, self.own, *issuers))


def configuration(real: IdentityProvider, own: Own, *issuers: str) -> str:
    known = {
        "real": {
            "issuer": {
                "url": real.url,
                "certificateAuthority": real.ca,
                "audiences": ["cluster", "other"],
                "audienceMatchPolicy": "MatchAny",
            },
            **EXPRESSIONS,
        },
        "own": {
            "issuer": {
                "url": own.url,
                "discoveryURL": f"{own.url}/elsewhere",
                "certificateAuthority": own.backend.ca.decode(),
                "audiences": ["own"],
            },
            "claimMappings": {"username": {"claim": "sub", "prefix": "own:"}},
        },
    }
    return json.dumps(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AuthenticationConfiguration",
            "jwt": [known[name] for name in issuers or ("real", "own")],
            "anonymous": {"enabled": True, "conditions": [{"path": "/livez"}, {"path": "/readyz"}]},
        }
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("authentication")
    own = Own(folder)
    try:
        with IdentityProvider(folder, USERS) as real:
            file = folder / "config.yaml"
            file.write_text(configuration(real, own))
            with InProcess([f"--authentication-config={file}"]) as server:
                cluster = Cluster(server, real, own, file)
                eventually(lambda: cluster.who(own.token(own.keys[0])), "discovery")
                yield cluster
    finally:
        own.close()


def test_users_of_a_real_provider(cluster: Cluster) -> None:
    user = cluster.who(cluster.real.log_in("jane", "cluster"))
    assert user == {
        "username": "real:jane@x.example",
        "uid": "jane",
        "groups": ["team:dev", "team:ops", "system:authenticated"],
        "extra": {"example.com/tenant": ["t1"]},
    }
    assert cluster.who(cluster.real.log_in("jane", "other")) is not None


@pytest.mark.parametrize(
    ("subject", "client", "why"),
    [
        ("eve", "cluster", "validation expression 'claims.email_verified == true' failed: verify it first"),
        (
            "jane",
            "elsewhere",
            'oidc: verify token: oidc: expected audience in ["cluster" "other"] got ["elsewhere"]',
        ),
    ],
)
def test_users_that_are_refused(cluster: Cluster, subject: str, client: str, why: str) -> None:
    token = cluster.real.log_in(subject, client)
    assert cluster.who(token) is None
    assert why in cluster.why(token)


def test_rules_for_users(cluster: Cluster) -> None:
    assert "failed: reserved" in cluster.why(cluster.real.log_in("root", "cluster"))


def test_anonymous_requests_come_in_at_some_paths(cluster: Cluster) -> None:
    assert cluster.ask("/livez")[0] == cluster.ask("/readyz")[0] == 200
    for path in ("/healthz", "/livez/ping", "/version", "/api", "/apis"):
        code, answer = cluster.ask(path)
        assert (code, json.loads(answer)["message"]) == (401, "Unauthorized")
    assert cluster.ask("/livez", "wrong")[0] == 401


def test_an_issuer_does_not_speak_for_another(cluster: Cluster) -> None:
    own = cluster.own
    assert cluster.who(own.token(own.keys[0]))["username"] == "own:joe"
    assert cluster.who(own.token(own.keys[0], iss=cluster.real.url, aud="cluster")) is None


@pytest.mark.slow
def test_keys_change_and_the_provider_is_down(cluster: Cluster) -> None:
    own = cluster.own
    first, second = own.keys[0], own.new_key("second")
    own.down = True
    try:
        assert cluster.who(own.token(first, jti="a"))["username"] == "own:joe"
        assert cluster.who(own.token(second)) is None
    finally:
        own.down = False
    own.keys = [second]
    eventually(lambda: cluster.who(own.token(second)), "the new key", 20)
    assert "failed to verify signature" in cluster.why(own.token(first, jti="b"))
    found = cluster.metrics()
    assert 'jwt_authenticator_jwks_fetch_last_timestamp_seconds{apiserver_id_hash="sha256:' in found
    assert (
        'apiserver_authentication_jwt_authenticator_latency_seconds_count{jwt_issuer_hash="sha256:' in found
    )


@pytest.mark.slow
def test_a_new_configuration_comes_into_force(cluster: Cluster) -> None:
    own = cluster.own
    token = own.token(own.keys[0])
    assert cluster.who(token) is not None
    cluster.file.write_text("broken")
    eventually(
        lambda: 'automatic_reloads_total{apiserver_id_hash="sha256:' in cluster.metrics(), "a failure", 20
    )
    assert cluster.who(token) is not None
    cluster.configure("real")
    eventually(lambda: cluster.who(token) is None, "the new configuration", 20)
    assert cluster.who(cluster.real.log_in("jane", "cluster")) is not None
    cluster.configure()
    eventually(lambda: cluster.who(token), "the old one", 20)
    found = cluster.metrics()
    assert 'status="success"} 2' in found and 'status="failure"} 1' in found
    assert "apiserver_authentication_config_controller_last_config_info{" in found
