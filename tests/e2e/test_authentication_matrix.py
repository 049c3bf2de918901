"""Every authenticator of a whole server against every way in which a credential can be wrong.

Each case says who is recognised, or nobody;
the metrics must agree, and no part of a credential may be told to anybody.
"""

import asyncio
import base64
import csv
import datetime
import hmac
import json
import logging
import pathlib
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp import web
from backend import Backend
from certificates import name, new_key, private
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from eventually import eventually
from joserfc import jws
from providers import OTHER, OTHER_PEM, PEM, SIGNING
from rsa_pem import rsa_pem

from pilothouse.authn import keys
from pilothouse.logs import TextFormatter
from pilothouse.testing.client import KubeClient
from pilothouse.testing.server import InProcess

ISSUER = "https://own.example"
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
THIRD = rsa_pem("third")
NOBODY = ""


class Log(logging.Handler):
    """Every line that is logged, as it is written."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""
        self.setFormatter(TextFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record) + "\n"


class CA:
    """Issues certificates for clients, good or not."""

    def __init__(self, common: str) -> None:
        self.name, self.key = name(common), new_key()
        self.certificate = self._sign(self.name, self.key, True, None, 0, 3600)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def _sign(
        self, subject: x509.Name, key: Any, ca: bool, usage: Any, begin: int, end: int
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now + datetime.timedelta(seconds=begin - 60))
        builder = builder.not_valid_after(now + datetime.timedelta(seconds=end))
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def client(self, common: str, usage: Any = Usage.CLIENT_AUTH, begin: int = 0, end: int = 3600) -> bytes:
        key = new_key()
        signed = self._sign(name(common), key, False, usage, begin, end)
        return signed.public_bytes(serialization.Encoding.PEM) + private(key)


CLIENTS, PROXY = CA("clients"), CA("proxies")


class Outside:
    """The provider of identities and the token webhook, on a thread."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.broken = False
        self.backend = Backend(folder, self.answer)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.run(self.backend.__aenter__())
        self.url = f"https://127.0.0.1:{self.backend.port}"

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    async def answer(self, request: Any) -> web.StreamResponse:
        if request.path == "/keys":
            return web.json_response(keys.jwks([*keys.load_public(PEM), *keys.load_public(OTHER_PEM)]))
        if request.path != "/webhook":
            return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})
        if self.broken:
            return web.Response(status=500)
        review = await request.json()
        status = {"webhook-good": {"authenticated": True, "user": {"username": "hook"}}}.get(
            review["spec"]["token"], {"authenticated": False, "error": "unknown"}
        )
        return web.json_response({**review, "status": status})

    def close(self) -> None:
        self.run(self.backend.__aexit__())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def attempts(metrics: str) -> dict[str, float]:
    """How many requests were authenticated, by the result."""
    lines = metrics.splitlines()
    found = [line.split(" ") for line in lines if line.startswith("authentication_attempts{")]
    return {labels.split('"')[1]: float(count) for labels, count in found}


class Cluster:
    def __init__(self, server: InProcess, outside: Outside, log: Log, folder: pathlib.Path) -> None:
        self.server, self.outside, self.log, self.folder = server, outside, log, folder
        self.admin = KubeClient(server.url, server.context())
        """The administrator, whose requests are counted one by one like those on connections of their own."""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer to an administrator's request."""
        return self.admin.call(method, path, body)

    def metrics(self) -> str:
        return self.admin.data("/metrics").decode()

    def ask(self, headers: dict[str, str], client: bytes = b"") -> tuple[int, str]:
        """Status and answer of a SelfSubjectReview."""
        context = ssl.create_default_context(cafile=str(self.server.ca_file))
        if client:
            path = self.folder / "client.pem"
            path.write_bytes(client)
            context.load_cert_chain(path)
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        sent = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.server.url + REVIEWS, json.dumps(review).encode(), sent)
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as err:
            with err:
                return err.code, err.read().decode()

    def warning(self, token: str) -> str:
        """The Warning header of an answer."""
        context = ssl.create_default_context(cafile=str(self.server.ca_file))
        request = urllib.request.Request(
            f"{self.server.url}/version", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return str(answer.headers.get("Warning", ""))

    def judge(self, wanted: str, *secrets: str, headers: Any = None, client: bytes = b"") -> None:
        """Ask as somebody, and check the user, the metrics and that no secret is told."""
        before = attempts(self.metrics())
        code, text = self.ask(headers or {}, client)
        if client:
            secrets = (*secrets, *client.decode().split("-----")[-3].split()[1:3])
        metrics = self.metrics()
        after = attempts(metrics)
        moved = {result: after[result] - before.get(result, 0) for result in after}
        if wanted:
            assert code == 201, text
            assert json.loads(text)["status"]["userInfo"]["username"] == wanted
            assert moved == {"success": 2, **({"error": 0} if "error" in after else {})}
        else:
            assert (code, json.loads(text)["message"]) == (401, "Unauthorized")
            assert moved == {"success": 1, "error": 1}  # the success is the administrator's
        for secret in secrets:
            assert secret not in text and secret not in self.log.text and secret not in metrics

    def bear(self, wanted: str, token: str) -> None:
        """Ask with a token; its parts are secret."""
        parts = [part for part in token.split(".") if len(part) > 8]
        self.judge(wanted, *(parts or [token]), headers={"Authorization": f"Bearer {token}"})
        audited = self.review(token)
        assert bool(audited.get("authenticated")) == bool(wanted)
        for part in parts:
            assert part not in json.dumps(audited)

    def review(self, token: str) -> Any:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        return self.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)["status"]


def kubeconfig(outside: Outside) -> str:
    ca = base64.b64encode(outside.backend.ca).decode()
    cluster = {"server": f"{outside.url}/webhook", "certificate-authority-data": ca}
    return json.dumps(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "w"}}],
            "clusters": [{"name": "w", "cluster": cluster}],
        }
    )


def configuration(outside: Outside) -> str:
    issuer = {"url": outside.url, "audiences": ["me"], "certificateAuthority": outside.backend.ca.decode()}
    return json.dumps(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AuthenticationConfiguration",
            "jwt": [{"issuer": issuer, "claimMappings": {"username": {"claim": "sub", "prefix": "oidc:"}}}],
        }
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("matrix")
    outside, log, root = Outside(folder), Log(), logging.getLogger("pilothouse")
    root.addHandler(log)
    files = {
        "tokens.csv": b"file-token,bob,1\n",
        "sa.key": PEM,
        "sa-old.key": OTHER_PEM,
        "clients.crt": CLIENTS.pem,
        "proxy.crt": PROXY.pem,
        "webhook": kubeconfig(outside).encode(),
        "config": configuration(outside).encode(),
    }
    for file, data in files.items():
        (folder / file).write_bytes(data)
    flags = [
        f"--client-ca-file={folder}/clients.crt",
        f"--token-auth-file={folder}/tokens.csv",
        "--enable-bootstrap-token-auth",
        f"--authentication-config={folder}/config",
        f"--authentication-token-webhook-config-file={folder}/webhook",
        "--authentication-token-webhook-version=v1",
        f"--requestheader-client-ca-file={folder}/proxy.crt",
        "--requestheader-allowed-names=front",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-signing-key-file={folder}/sa.key",
        f"--service-account-key-file={folder}/sa.key",
        f"--service-account-key-file={folder}/sa-old.key",
    ]
    try:
        with InProcess(flags) as server:
            cluster = Cluster(server, outside, log, folder)
            with cluster.admin:
                for pod in ("pod", "gone"):
                    cluster.call("POST", "/api/v1/namespaces/default/pods", a_pod(pod))
                yield cluster
    finally:
        root.removeHandler(log)
        outside.close()


def a_pod(pod: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod},
        "spec": {"containers": [{"name": "c", "image": "i"}], "automountServiceAccountToken": False},
    }


def now() -> int:
    return int(time.time())


# JSON web tokens: each case changes a good one


def signed(claims: dict[str, Any], key: Any = SIGNING, **header: Any) -> str:
    head = {"alg": key.alg, "kid": key.kid, **header}
    head = {member: value for member, value in head.items() if value is not None}
    return jws.serialize_compact(head, json.dumps(claims).encode(), key.key, algorithms=[key.alg])


def plain(claims: dict[str, Any], algorithm: str) -> str:
    """A token that nobody has signed."""
    parts = (json.dumps(one).encode() for one in ({"alg": algorithm, "kid": SIGNING.kid}, claims))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


def confused(claims: dict[str, Any], secret: bytes) -> str:
    """HS256 with what everybody knows, the public key, as secret."""
    body = plain(claims, "HS256").rstrip(".")
    signature = hmac.digest(secret, body.encode(), "sha256")
    return f"{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def public_pem() -> bytes:
    return bytes(SIGNING.key.as_pem(private=False))


def tampered(claims: dict[str, Any]) -> str:
    token = signed(claims)
    head, _, tail = token.split(".")
    other = {**claims, "sub": "system:admin"}
    return f"{head}.{base64.urlsafe_b64encode(json.dumps(other).encode()).decode().rstrip('=')}.{tail}"


STRANGER = keys.load_private(THIRD)
Make = Callable[[dict[str, Any]], str]
FORGED: dict[str, Make] = {
    "signature of a stranger": lambda c: signed(c, STRANGER),
    "signature of a stranger, kid of ours": lambda c: signed(c, STRANGER, kid=SIGNING.kid),
    "signature of a stranger, no kid": lambda c: signed(c, STRANGER, kid=None),
    "changed claims": tampered,
    "no signature": lambda c: signed(c).rpartition(".")[0] + ".",
    "cut off": lambda c: signed(c)[:-20],
    "alg none": lambda c: plain(c, "none"),
    "alg None": lambda c: plain(c, "None"),
    "alg empty": lambda c: plain(c, ""),
    "HS256 with the public key": lambda c: confused(c, public_pem()),
    "HS256 with the modulus": lambda c: confused(c, SIGNING.key.as_dict(private=False)["n"].encode()),
    "HS256 with nothing": lambda c: confused(c, b"\0"),
    "kid of another key": lambda c: signed(c, kid=OTHER.kid),
    "kid that is a path": lambda c: signed(c, kid="../../../../dev/null"),
    "kid that is SQL": lambda c: signed(c, kid="' UNION SELECT 'x"),
    "kid that is an address": lambda c: signed(c, kid="https://evil.example/keys"),
    "the key in the header": lambda c: signed(c, STRANGER, jwk=STRANGER.key.as_dict(private=False)),
    "an address of keys in the header": lambda c: signed(c, STRANGER, jku="https://evil.example/keys"),
    "RS256 without a signature": lambda c: plain(c, "RS256"),
}
GOOD: dict[str, Make] = {
    "good": signed,
    "no kid": lambda c: signed(c, kid=None),
    "the other key": lambda c: signed(c, OTHER),
    "the other key, no kid": lambda c: signed(c, OTHER, kid=None),
}
"""Good tokens, signed with both keys: an API server has several, and so has a provider."""


def oidc(cluster: Cluster, **changes: Any) -> dict[str, Any]:
    claims = {"iss": cluster.outside.url, "aud": "me", "sub": "jane", "exp": now() + 600, **changes}
    return {member: value for member, value in claims.items() if value is not None}


OIDC_CLAIMS: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "one of several audiences": (lambda: {"aud": ["x", "me"]}, "oidc:jane"),
    "not before, a little ahead": (lambda: {"nbf": now() + 30}, "oidc:jane"),
    "issued in the future": (lambda: {"iat": now() + 3600}, "oidc:jane"),
    "expired": (lambda: {"exp": now() - 3600}, NOBODY),
    "expired a moment ago": (lambda: {"exp": now() - 2}, NOBODY),
    "never expires": (lambda: {"exp": None}, NOBODY),
    "expires as text": (lambda: {"exp": "never"}, NOBODY),
    "not yet valid": (lambda: {"nbf": now() + 3600}, NOBODY),
    "issuer": (lambda: {"iss": "https://else.example"}, NOBODY),
    "no issuer": (lambda: {"iss": None}, NOBODY),
    "audience": (lambda: {"aud": "you"}, NOBODY),
    "no audience": (lambda: {"aud": None}, NOBODY),
    "no user": (lambda: {"sub": None}, NOBODY),
    "user of another type": (lambda: {"sub": {"a": 1}}, NOBODY),
}


@pytest.mark.parametrize("case", [*GOOD, *FORGED])
def test_signatures_of_a_provider(cluster: Cluster, case: str) -> None:
    make = GOOD.get(case) or FORGED[case]
    cluster.bear("oidc:jane" if case in GOOD else NOBODY, make(oidc(cluster)))


@pytest.mark.parametrize("case", OIDC_CLAIMS)
def test_claims_of_a_provider(cluster: Cluster, case: str) -> None:
    changes, wanted = OIDC_CLAIMS[case]
    cluster.bear(wanted, signed(oidc(cluster, **changes())))


# Service accounts


SA = "system:serviceaccount:default:default"


def bound(cluster: Cluster, pod: str = "pod", **changes: Any) -> dict[str, Any]:
    """The claims of a token that is bound to a pod."""
    account = cluster.call("GET", "/api/v1/namespaces/default/serviceaccounts/default")["metadata"]
    refs = {"serviceaccount": {"name": "default", "uid": account["uid"]}}
    if pod:
        found = cluster.call("GET", f"/api/v1/namespaces/default/pods/{pod}")["metadata"]
        refs["pod"] = {"name": pod, "uid": found["uid"]}
    moment = now()
    claims = {
        "iss": ISSUER, "sub": SA, "aud": [ISSUER], "iat": moment, "nbf": moment, "exp": moment + 600,
        "kubernetes.io": {"namespace": "default", **refs}, **changes,
    }  # fmt: skip
    return {member: value for member, value in claims.items() if value is not None}


SA_CLAIMS: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "expired a moment ago": (lambda: {"exp": now() - 30}, SA),
    "not before, a little ahead": (lambda: {"nbf": now() + 30}, SA),
    "no audience": (lambda: {"aud": None}, SA),
    "expired": (lambda: {"exp": now() - 3600}, NOBODY),
    "not yet valid": (lambda: {"nbf": now() + 3600}, NOBODY),
    "issued in the future": (lambda: {"iat": now() + 3600}, NOBODY),
    "issuer": (lambda: {"iss": "https://else.example"}, NOBODY),
    "audience": (lambda: {"aud": ["you"]}, NOBODY),
    "account that is gone": (
        lambda: {"kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "x", "uid": "1"}}},
        NOBODY,
    ),
    "account made anew": (
        lambda: {
            "kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "default", "uid": "1"}}
        },
        NOBODY,
    ),
    "no claims of ours": (lambda: {"kubernetes.io": None}, NOBODY),
}


@pytest.mark.parametrize("case", [*GOOD, *FORGED])
def test_signatures_of_service_accounts(cluster: Cluster, case: str) -> None:
    make = GOOD.get(case) or FORGED[case]
    cluster.bear(SA if case in GOOD else NOBODY, make(bound(cluster)))


@pytest.mark.parametrize("case", SA_CLAIMS)
def test_claims_of_service_accounts(cluster: Cluster, case: str) -> None:
    changes, wanted = SA_CLAIMS[case]
    cluster.bear(wanted, signed(bound(cluster, **changes())))


def test_the_object_of_a_token_is_gone(cluster: Cluster) -> None:
    token = signed(bound(cluster, "gone"))
    cluster.bear(SA, token)
    cluster.call("DELETE", "/api/v1/namespaces/default/pods/gone?gracePeriodSeconds=0")
    cluster.bear(NOBODY, signed(bound(cluster, "", jti="again") | {"kubernetes.io": claims_of(token)}))


def claims_of(token: str) -> Any:
    parts = keys.read(token)
    assert parts is not None
    return parts[1]["kubernetes.io"]


def legacy(cluster: Cluster, secret: str, key: Any = SIGNING, **changes: Any) -> str:
    """The token of a secret, and the secret."""
    account = cluster.call("GET", "/api/v1/namespaces/default/serviceaccounts/default")["metadata"]
    prefix = "kubernetes.io/serviceaccount/"
    claims = {
        "iss": "kubernetes/serviceaccount", "sub": SA, f"{prefix}namespace": "default",
        f"{prefix}secret.name": secret, f"{prefix}service-account.name": "default",
        f"{prefix}service-account.uid": account["uid"], **changes,
    }  # fmt: skip
    return signed(claims, key)


def test_legacy_tokens(cluster: Cluster) -> None:
    secrets = "/api/v1/namespaces/default/secrets"
    token = legacy(cluster, "old")
    account = {"kubernetes.io/service-account.name": "default"}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "old", "annotations": account},
        "type": "kubernetes.io/service-account-token",
        "data": {"token": base64.b64encode(token.encode()).decode()},
    }
    cluster.bear(NOBODY, legacy(cluster, "none"))
    cluster.call("POST", secrets, secret)
    path = "/api/v1/namespaces/default/serviceaccounts/default"
    cluster.call("PUT", path, {**cluster.call("GET", path), "secrets": [{"name": "old"}]})
    cluster.bear(SA, token)
    assert "auto-generated secret-based tokens" in cluster.warning(token)
    today = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    eventually(
        lambda: (
            cluster.call("GET", f"{secrets}/old")["metadata"].get("labels")
            == {"kubernetes.io/legacy-token-last-used": today}
        ),
        "the day of its last use",
    )
    cluster.bear(NOBODY, legacy(cluster, "old", OTHER))  # not the server's copy
    cluster.bear(NOBODY, legacy(cluster, "old", STRANGER))
    cluster.bear(NOBODY, legacy(cluster, "old", sub="system:serviceaccount:default:other"))
    cluster.call("DELETE", f"{secrets}/old")
    assert "service account token has been invalidated" in cluster.review(token)["error"]


# Opaque tokens


@pytest.mark.parametrize(
    ("token", "wanted"),
    [("file-token", "bob"), ("file-toke", NOBODY), ("file-tokenn", NOBODY), ("FILE-TOKEN", NOBODY),
     ("*" * 9000, NOBODY)],
)  # fmt: skip
def test_static_tokens(cluster: Cluster, token: str, wanted: str) -> None:
    cluster.bear(wanted, token)
    assert next(csv.reader(["file-token,bob,1"]))[0] not in cluster.log.text


def test_bootstrap_tokens(cluster: Cluster) -> None:
    def secret(token_id: str, **changes: str) -> str:
        data = {
            "token-id": token_id,
            "token-secret": "0123456789abcdef",
            "usage-bootstrap-authentication": "true",
        }
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"bootstrap-token-{token_id}"},
            "type": "bootstrap.kubernetes.io/token",
            "stringData": {**data, **changes},
        }
        cluster.call("POST", "/api/v1/namespaces/kube-system/secrets", body)
        return f"{token_id}.0123456789abcdef"

    good = secret("aaaaaa")
    cluster.bear("system:bootstrap:aaaaaa", good)
    cluster.bear(NOBODY, "aaaaaa.0123456789abcdeg")
    cluster.bear(NOBODY, "bbbbbb.0123456789abcdef")
    cluster.bear(NOBODY, secret("cccccc", expiration="2020-01-01T00:00:00Z"))
    cluster.bear(NOBODY, secret("dddddd", **{"usage-bootstrap-authentication": "false"}))
    late = secret("eeeeee")
    cluster.call("DELETE", "/api/v1/namespaces/kube-system/secrets/bootstrap-token-eeeeee")
    cluster.bear(NOBODY, late)


def test_tokens_of_a_webhook(cluster: Cluster) -> None:
    cluster.bear("hook", "webhook-good")
    cluster.bear(NOBODY, "webhook-wrong")
    cluster.outside.broken = True
    try:
        cluster.bear(NOBODY, "webhook-outage")
    finally:
        cluster.outside.broken = False


# Certificates


CERTIFICATES: dict[str, tuple[Callable[[], bytes], str]] = {
    "good": (lambda: CLIENTS.client("jane"), "jane"),
    "for every use": (lambda: CLIENTS.client("jane", None), "jane"),
    "expired": (lambda: CLIENTS.client("jane", end=-30), NOBODY),
    "not yet valid": (lambda: CLIENTS.client("jane", begin=600), NOBODY),
    "another issuer": (lambda: CA("else").client("jane"), NOBODY),
    "another issuer of the same name": (lambda: CA("clients").client("jane"), NOBODY),
    "for servers": (lambda: CLIENTS.client("jane", Usage.SERVER_AUTH), NOBODY),
    "of the front proxies' issuer": (lambda: PROXY.client("front"), NOBODY),
}


@pytest.mark.parametrize("case", CERTIFICATES)
def test_certificates(cluster: Cluster, case: str) -> None:
    make, wanted = CERTIFICATES[case]
    cluster.judge(wanted, client=make())


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: PROXY.client("front"), "proxied"),
        (lambda: PROXY.client("other"), NOBODY),
        (lambda: PROXY.client("front", end=-30), NOBODY),
        (lambda: CA("proxies").client("front"), NOBODY),
        (lambda: CLIENTS.client("front"), "front"),  # a client like others: its headers say nothing
    ],
)
def test_front_proxies(cluster: Cluster, make: Callable[[], bytes], wanted: str) -> None:
    cluster.judge(wanted, headers={"X-Remote-User": "proxied", "X-Remote-Group": "g"}, client=make())


def test_headers_of_a_proxy_without_its_certificate(cluster: Cluster) -> None:
    code, text = cluster.ask({"X-Remote-User": "system:admin"})
    assert code == 403 and 'User \\"system:anonymous\\" cannot create' in text


def test_a_wrong_token_beside_a_good_certificate(cluster: Cluster) -> None:
    cluster.judge(
        "jane",
        "canary-token",
        headers={"Authorization": "Bearer canary-token"},
        client=CLIENTS.client("jane"),
    )
