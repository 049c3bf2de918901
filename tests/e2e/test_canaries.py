"""A server with everything on is given secrets in every way there is;
none of them may be told where it has no business.

Each secret is a canary: a text that occurs nowhere else. After a run of good and bad requests they are looked
for, raw and in base64, in the log, the audit log at the level Metadata and its webhook, errors, metrics,
debug pages, events, the process's arguments and environment, and the files of an encrypted store.
"""

import asyncio
import base64
import contextlib
import http.client
import json
import pathlib
import re
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any, Self

import pytest
from aiohttp import web
from backend import Backend
from eventually import eventually
from joserfc import jws
from providers import PEM, SIGNING

from pilothouse.authn import keys
from pilothouse.testing.server import Subprocess

SECRETS = "/api/v1/namespaces/default/secrets"
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
METADATA = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}
DEBUG = ("/flagz", "/statusz", "/metrics", "/metrics/slis", "/debug/pprof/", "/debug/pprof/cmdline",
         "/configz", "/",
         "/debug/api_priority_and_fairness/dump_priority_levels", "/readyz?verbose", "/debug/flags/v",
         "/debug/requests", "/api/v1/events?limit=500", "/apis/events.k8s.io/v1/events")  # fmt: skip


class Canaries:
    """Makes texts that occur nowhere else, and finds them."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def __call__(self, what: str) -> str:
        """A new one, 32 characters long."""
        serial = len(self.texts)
        self.texts[what] = text = (
            f"canary{serial:02}q7x{serial * 7919 % 9973:04}v" + f"Zk{serial:02}w" * 3 + "9"
        )
        return text

    def keep(self, what: str, text: str) -> None:
        """Keep a secret that others have made."""
        self.texts[what] = text

    def found(self, data: bytes) -> list[str]:
        """The secrets that the data hold: as they are, in base64 at any offset, or percent-encoded."""
        return [what for what, text in self.texts.items() if any(form in data for form in forms(text))]


def forms(text: str) -> set[bytes]:
    raw = text.encode()
    out = {raw, raw.hex().encode(), urllib.parse.quote(text).encode()}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw)
        inner = encoded[(offset * 8 + 5) // 6 : len(raw) * 8 // 6]  # what no neighbour changes
        out |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return out


class Outside:
    """The services that the server asks: the audit webhook,
    the token webhook, a provider of identities, admission webhooks."""

    def __init__(self, folder: pathlib.Path, good_token: str) -> None:
        self.good_token = good_token
        self.events = b""
        self.backend = Backend(folder, self.answer)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> Self:
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self.backend.__aenter__(), self.loop).result(10)
        self.url = f"https://127.0.0.1:{self.backend.port}"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.backend.__aexit__(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def answer(self, request: Any) -> web.StreamResponse:
        if request.path == "/audit":
            self.events += await request.read()
            return web.Response()
        if request.path == "/keys":
            return web.json_response(keys.jwks([*keys.load_public(PEM)]))
        if request.path == "/broken":
            return web.Response(status=500, text="no")
        if request.path == "/tokens":
            review = await request.json()
            good = review["spec"]["token"] == self.good_token
            status = (
                {"authenticated": True, "user": {"username": "hook"}} if good else {"authenticated": False}
            )
            return web.json_response({**review, "status": status})
        if request.path == "/admission":
            review = await request.json()
            response = {"uid": review["request"]["uid"], "allowed": True, "warnings": ["seen"]}
            return web.json_response({**review, "response": response})
        return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})

    def kubeconfig(self, path: str, user: dict[str, str], ca: bool = True) -> str:
        """How the server calls a path, with which credentials."""
        cluster = {"server": f"{self.url}{path}" if path.startswith("/") else path}
        if ca:
            cluster["certificate-authority-data"] = base64.b64encode(self.backend.ca).decode()
        return json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "s", "user": "u"}}],
                "clusters": [{"name": "s", "cluster": cluster}],
                "users": [{"name": "u", "user": user}],
            }
        )


class Run:
    """A server, its files, and every answer that was an error."""

    def __init__(self, server: Subprocess, outside: Outside, canary: Canaries, folder: pathlib.Path) -> None:
        self.server, self.outside, self.canary, self.folder = server, outside, canary, folder
        self.errors: list[tuple[str, bytes]] = []

    def ask(
        self, method: str, target: str, body: Any = None, *, token: str = "", media: str = "", **more: str
    ) -> tuple[int, bytes]:
        """Status and body of an answer; as administrator unless a token is given."""
        context = self.server.context()
        if token or more:
            context = ssl.create_default_context(cafile=str(self.server.ca_file))
        headers = {
            "Content-Type": media or "application/json",
            **{k.replace("_", "-"): v for k, v in more.items()},
        }
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPSConnection("127.0.0.1", self.server.port, timeout=20, context=context)
        with contextlib.closing(connection):
            connection.request(method, target, data, headers)
            answer = connection.getresponse()
            text = answer.read()
            head = str(answer.headers).encode()
        if answer.status >= 400:
            self.errors.append((f"{method} {target.partition('?')[0]} {media}", head + text))
        return answer.status, text

    def good(self, *args: Any, **kwargs: Any) -> Any:
        status, text = self.ask(*args, **kwargs)
        assert status < 300, text
        return json.loads(text)

    def bad(self, wanted: int, *args: Any, **kwargs: Any) -> None:
        status, text = self.ask(*args, **kwargs)
        assert status == wanted, (status, text)


def configure(folder: pathlib.Path, outside: Outside, canary: Canaries) -> list[str]:
    """The files of a server that has everything on, and the flags that name them."""
    issuer = {"url": outside.url, "audiences": ["me"], "certificateAuthority": outside.backend.ca.decode()}
    username = {"username": {"claim": "sub", "prefix": "oidc:"}}
    key = base64.b64encode(canary("key of the encryption at rest").encode()[:32]).decode()
    canary.keep("key of the encryption at rest, encoded", key)
    hook = {
        "user": {"token": canary("token for admission webhooks")},
        "name": f"127.0.0.1:{outside.backend.port}",
    }
    files: dict[str, Any] = {
        "policy": METADATA,
        "audit": outside.kubeconfig("/audit", {"token": canary("token for the audit webhook")}),
        "tokens": outside.kubeconfig(
            "/tokens", {"username": "server", "password": canary("password for the token webhook")}
        ),
        "authentication": {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AuthenticationConfiguration",
            "jwt": [{"issuer": issuer, "claimMappings": username}],
        },
        "encryption": {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [
                {
                    "resources": ["secrets"],
                    "providers": [{"secretbox": {"keys": [{"name": "k", "secret": key}]}}],
                }
            ],
        },
        "hooks": {"apiVersion": "v1", "kind": "Config", "users": [hook]},
        "admission": {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AdmissionConfiguration",
            "plugins": [
                {
                    "name": "ValidatingAdmissionWebhook",
                    "configuration": {
                        "apiVersion": "apiserver.config.k8s.io/v1",
                        "kind": "WebhookAdmissionConfiguration",
                        "kubeConfigFile": str(folder / "hooks"),
                    },
                }
            ],
        },
        "tokens.csv": f"{canary('token of a file')},bob,1\n",
    }
    for name, content in files.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    (folder / "sa.key").write_bytes(PEM)
    return [
        "--v=10",
        "--storage-backend=sqlite",
        f"--audit-policy-file={folder}/policy",
        f"--audit-log-path={folder}/audit.log",
        f"--audit-webhook-config-file={folder}/audit",
        "--audit-webhook-batch-max-wait=50ms",
        f"--authentication-token-webhook-config-file={folder}/tokens",
        "--authentication-token-webhook-version=v1",
        f"--authentication-config={folder}/authentication",
        f"--encryption-provider-config={folder}/encryption",
        f"--admission-control-config-file={folder}/admission",
        f"--token-auth-file={folder}/tokens.csv",
        "--enable-bootstrap-token-auth",
        f"--service-account-signing-key-file={folder}/sa.key",
        f"--service-account-key-file={folder}/sa.key",
        "--service-account-issuer=https://own.example",
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The server after all that is tried."""
    folder = tmp_path_factory.mktemp("canaries")
    canary = Canaries()
    with Outside(folder, canary("token of the webhook")) as outside:
        flags = configure(folder, outside, canary)
        with Subprocess(flags) as server:
            found = Run(server, outside, canary, folder)
            for path in (*server.directory.rglob("*.key"), folder / "sa.key"):
                canary.keep(f"private key {path.name}", path.read_text().split("-----")[2].split()[1])
            write_secrets(found)
            fail_with_secrets(found)
            authenticate(found)
            call_webhooks(found)
            yield found


def write_secrets(run: Run) -> None:
    """Every verb that carries the content of a secret."""
    canary = run.canary
    body = {"metadata": {"name": "s"}, "stringData": {"a": canary("created")}}
    run.good("POST", SECRETS, body)
    encoded = base64.b64encode(canary("updated").encode()).decode()
    run.good("PUT", f"{SECRETS}/s", {"metadata": {"name": "s"}, "data": {"a": encoded}})
    for media, patch in (
        ("application/merge-patch+json", {"stringData": {"b": canary("merge patch")}}),
        ("application/strategic-merge-patch+json", {"stringData": {"c": canary("strategic merge patch")}}),
        (
            "application/json-patch+json",
            [{"op": "add", "path": "/stringData", "value": {"d": canary("JSON patch")}}],
        ),
        (
            "application/apply-patch+yaml",
            {"apiVersion": "v1", "kind": "Secret", "stringData": {"e": canary("apply")}},
        ),
    ):
        force = "&force=true" if "apply" in media else ""
        run.good("PATCH", f"{SECRETS}/s?fieldManager=m{force}", patch, media=media)
    run.good("GET", f"{SECRETS}/s")
    run.good("GET", SECRETS)
    run.ask("GET", f"{SECRETS}?watch=true&timeoutSeconds=1")
    run.good(
        "POST", f"{SECRETS}?dryRun=All", {"metadata": {"name": "d"}, "stringData": {"a": canary("dry run")}}
    )


def fail_with_secrets(run: Run) -> None:
    """Requests with the content of a secret that are refused."""
    canary = run.canary
    fixed = {"metadata": {"name": "fixed"}, "immutable": True, "stringData": {"a": canary("immutable")}}
    run.good("POST", SECRETS, fixed)
    merge, strategic = "application/merge-patch+json", "application/strategic-merge-patch+json"
    text = canary("changed")
    run.bad(422, "PATCH", f"{SECRETS}/fixed", {"stringData": {"a": text}}, media=merge)
    run.bad(422, "PUT", f"{SECRETS}/fixed", {"metadata": {"name": "fixed"}, "stringData": {"a": text}})
    named = {"metadata": {"name": "Not A Name"}, "stringData": {"a": canary("wrong name")}}
    run.bad(422, "POST", SECRETS, named)
    typed = {
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": canary("wrong type")},
    }
    run.bad(422, "POST", SECRETS, {"metadata": {"name": "t"}, **typed})
    run.bad(422, "POST", SECRETS, {"metadata": {"name": "t"}, "stringData": {"a b": canary("wrong key")}})
    text = canary("wrong member")
    run.bad(400, "POST", SECRETS, {"metadata": {"name": "t"}, "data": {"a": text + "!"}})
    run.bad(400, "POST", SECRETS, {"metadata": {"name": "t"}, "data": text})
    run.bad(400, "POST", SECRETS, {"metadata": {"name": "t"}, "stringData": [text]})
    run.bad(400, "POST", SECRETS, {"metadata": text, "stringData": {"a": text}})
    run.bad(
        400, "POST", f"{SECRETS}?fieldValidation=Strict", {"metadata": {"name": "t"}, "strings": {"a": text}}
    )
    run.bad(400, "POST", SECRETS, {"metadata": {"name": "t"}, "immutable": text})
    text = canary("no JSON")
    for media in (
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
        "application/cbor",
    ):
        for body in (
            f'{{"data": {{"a": "{text}',
            f"a: [{text}",
            f"k8s\0{text}",
            text,
            f'{{"a":1}}{text}',
            f'"{text}"',
        ):
            assert run.ask("POST", SECRETS, body.encode(), media=media)[0] in (400, 415, 422)
    text = canary("patch that does not fit")
    for media, patch in (
        (merge, {"data": text}),
        (merge, {"data": {"a": text + "!"}}),
        (merge, {"data": {"a": [text]}}),
        (strategic, {"data": text}),
        (strategic, {"data": {"a": [text]}}),
        (strategic, {"metadata": {"ownerReferences": text}}),
        (strategic, {"metadata": {"$patch": text}}),
        ("application/json-patch+json", [{"op": "test", "path": "/data/a", "value": text}]),
        ("application/json-patch+json", [{"op": "add", "path": "/data/x/y", "value": text}]),
        ("application/json-patch+json", [{"op": "replace", "path": "/data", "value": text}]),
        ("application/json-patch+json", [{"op": "add", "path": "/immutable", "value": text}]),
        ("application/json-patch+json", [{"op": text, "path": "/data"}]),
        ("application/apply-patch+yaml", {"apiVersion": "v1", "kind": "Secret", "data": {"a": [text]}}),
        ("application/apply-patch+yaml", {"apiVersion": "v1", "kind": "Secret", "wrong": text}),
        ("application/apply-patch+yaml", {"apiVersion": "v1", "kind": "Secret", "data": text}),
    ):
        status, _ = run.ask("PATCH", f"{SECRETS}/s?fieldManager=n", patch, media=media)
        assert status in (400, 409, 415, 422, 500), (media, patch, status)
    for media in (merge, strategic, "application/json-patch+json", "application/apply-patch+yaml"):
        run.bad(
            400, "PATCH", f"{SECRETS}/s?fieldManager=n", f'{{"data": {{"a": "{text}'.encode(), media=media
        )
    conflict = {"apiVersion": "v1", "kind": "Secret", "data": {"a": base64.b64encode(text.encode()).decode()}}
    run.bad(409, "PATCH", f"{SECRETS}/s?fieldManager=o", conflict, media="application/apply-patch+yaml")
    old = {"metadata": {"name": "s", "resourceVersion": "1"}, "stringData": {"a": text}}
    run.bad(409, "PUT", f"{SECRETS}/s", old)
    run.bad(
        404,
        "PUT",
        "/api/v1/namespaces/none/secrets/s",
        {"metadata": {"name": "s"}, "stringData": {"a": text}},
    )
    run.bad(
        403,
        "POST",
        SECRETS,
        {"metadata": {"name": "u"}, "stringData": {"a": text}},
        token=canary.texts["token of a file"],
    )


def signed(run: Run, **changes: Any) -> str:
    claims = {"iss": run.outside.url, "aud": "me", "sub": "jane", "exp": 1 << 33, **changes}
    head = {"alg": SIGNING.alg, "kid": SIGNING.kid}
    return jws.serialize_compact(head, json.dumps(claims).encode(), SIGNING.key, algorithms=[SIGNING.alg])


def authenticate(run: Run) -> None:
    """Send credentials of every kind, good ones and bad ones."""
    canary = run.canary
    account = "/api/v1/namespaces/default/serviceaccounts/default/token"
    token = run.good("POST", account, {"spec": {"expirationSeconds": 600}})["status"]["token"]
    bad = {
        "spec": {"audiences": [], "expirationSeconds": 600, "boundObjectRef": {"kind": "Pod", "name": "none"}}
    }
    run.ask("POST", account, bad)
    jwt, stale, foreign = signed(run), signed(run, exp=1), signed(run, aud="else")
    for what, one in (("account", token), ("provider", jwt), ("expired", stale), ("other audience", foreign)):
        _, claims, signature = one.split(".")
        canary.keep(f"signature of a token, {what}", signature[8:48])
        canary.keep(f"claims of a token, {what}", claims[8:60])
    fixed = "0123456789abcdef"
    data = {"token-id": "abcdef", "token-secret": fixed, "usage-bootstrap-authentication": "true"}
    canary.keep("secret of a bootstrap token", fixed)
    boot = {
        "metadata": {"name": "bootstrap-token-abcdef"},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": data,
    }
    run.good("POST", "/api/v1/namespaces/kube-system/secrets", boot)
    good = (
        token,
        jwt,
        canary.texts["token of the webhook"],
        canary.texts["token of a file"],
        f"abcdef.{fixed}",
    )
    wrong = (canary("unknown token"), f"{token[:-8]}aaaaaaaa", f"abcdeg.{fixed}", stale, foreign, f"{jwt}x")
    for one in good:
        run.bad(403, "GET", SECRETS, token=one)
    for one in wrong:
        run.bad(401, "GET", SECRETS, token=one)
    for one in (*good, *wrong):
        run.good("POST", TOKEN_REVIEWS, {"spec": {"token": one}})
        run.ask("POST", TOKEN_REVIEWS, {"spec": {"token": one, "audiences": "x"}})
    basic = base64.b64encode(f"user:{canary('password in a header')}".encode()).decode()
    text = canary("credential in another header")
    run.ask("GET", SECRETS, Authorization=f"Basic {basic}")
    run.ask("GET", SECRETS, Authorization=f"Negotiate {text}")
    run.ask("GET", SECRETS, Authorization=f"Bearer {text} {text}")
    run.ask("GET", SECRETS, Proxy_Authorization=f"Basic {basic}", Cookie=f"session={text}")
    for one in (token, text):
        encoded = base64.urlsafe_b64encode(one.encode()).decode().rstrip("=")
        subprotocol = f"base64url.bearer.authorization.k8s.io.{encoded}"
        run.ask(
            "GET", "/api/v1/namespaces/default/pods/p/exec?command=x",
            Sec_WebSocket_Protocol=f"{subprotocol}, v5.channel.k8s.io", Upgrade="websocket",
            Connection="Upgrade",
            Sec_WebSocket_Version="13", Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
        )  # fmt: skip


def webhook(run: Run, name: str, url: str, **more: Any) -> dict[str, Any]:
    ca = base64.b64encode(run.outside.backend.ca).decode()
    rule = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"]}
    one = {
        "name": f"{name}.example.com", "clientConfig": {"url": url, "caBundle": ca}, "rules": [rule],
        "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 2, **more,
    }  # fmt: skip
    return {"metadata": {"name": name}, "webhooks": [one]}


def call_webhooks(run: Run) -> None:
    """Admission webhooks that see a secret: good, broken, not there."""
    canary, url = run.canary, run.outside.url
    run.good("POST", HOOKS, webhook(run, "good", f"{url}/admission"))
    run.good(
        "POST", SECRETS, {"metadata": {"name": "seen"}, "stringData": {"a": canary("seen by a webhook")}}
    )
    sent = next(
        headers for _, path, headers, _ in run.outside.backend.requests if path.startswith("/admission")
    )
    assert canary.texts["token for admission webhooks"] in sent["authorization"][0]
    condition = {
        "name": "c",
        "expression": "object.data.a.startsWith('x') || 1/int(object.metadata.name) > 0",
    }
    for name, target, more in (
        ("broken", f"{url}/broken", {}),
        ("closed", "https://127.0.0.1:1/x", {}),
        ("open", f"{url}/broken", {"failurePolicy": "Ignore"}),
        ("condition", f"{url}/admission", {"matchConditions": [condition]}),
    ):
        run.good("POST", HOOKS, webhook(run, name, target, **more))
        body = {"metadata": {"name": f"by-{name}"}, "stringData": {"a": canary(f"seen by a webhook, {name}")}}
        assert run.ask("POST", SECRETS, body)[0] == (
            201 if name == "open" else 500 if name != "condition" else 403
        )
        run.good("DELETE", f"{HOOKS}/{name}")
    there = f"https://user:{canary('password of a URL')}@127.0.0.1:1/x"
    run.bad(422, "POST", HOOKS, webhook(run, "named", there))


def told(run: Run, data: bytes, *allowed: str) -> list[str]:
    return [what for what in run.canary.found(data) if what not in allowed]


def test_no_error_tells_a_secret(run: Run) -> None:
    assert len(run.errors) > 60
    assert {what: found for what, text in run.errors if (found := told(run, text))} == {}


def test_no_log_tells_a_secret(run: Run) -> None:
    text = run.server.log.read_bytes()
    assert b"Failed calling webhook" in text
    assert told(run, text) == []


def test_no_audit_event_tells_a_secret(run: Run) -> None:
    def written() -> bytes:
        return (run.folder / "audit.log").read_bytes()

    assert b'"resource":"secrets"' in written()
    eventually(lambda: run.outside.events.count(b'"stage"') >= written().count(b'"stage"') > 100, "posts")
    assert told(run, written()) == []
    assert told(run, run.outside.events) == []


@pytest.mark.parametrize("path", DEBUG)
def test_no_page_tells_a_secret(run: Run, path: str) -> None:
    _, text = run.ask("GET", path)
    assert told(run, text) == []


def test_the_process_tells_no_secret(run: Run) -> None:
    """The arguments and the environment hold no secret;
    the process leaves no core file, nor is its core handed to a program that keeps cores."""
    assert run.server.process is not None
    proc = pathlib.Path(f"/proc/{run.server.process.pid}")
    for file in ("cmdline", "environ"):
        assert told(run, (proc / file).read_bytes()) == []
    limit = re.search(r"Max core file size +(\d+)", (proc / "limits").read_text())
    assert limit is not None and int(limit[1]) == 1


def test_the_encrypted_store_holds_no_secret(run: Run) -> None:
    """Nor do other files of the data directory; private keys are in their own files."""
    all_files = [path for path in run.server.directory.rglob("*") if path.is_file()]
    private = [path for path in all_files if path.suffix in (".key", ".kubeconfig")]
    files = [path for path in all_files if path not in private and path != run.server.log]
    assert any(b"SQLite format 3" in path.read_bytes()[:16] for path in files)
    assert {path.name: what for path in files if (what := told(run, path.read_bytes()))} == {}
    assert b"k8s:enc:secretbox:v1:k:" in b"".join(path.read_bytes() for path in files)
    assert [path for path in private if path.stat().st_mode & 0o077] == []


def test_the_canaries_would_be_found(run: Run) -> None:
    """The forms are those in which the server would tell a secret."""
    text = run.canary.texts["updated"]
    encoded = base64.b64encode(text.encode())
    assert "updated" in run.canary.found(b'{"data":{"a":"' + encoded + b'"}}')
    for lead in ("", "u", "us", "use"):
        assert "updated" in run.canary.found(base64.b64encode(f"{lead}{text}:x".encode()))
    status, body = run.ask("GET", f"{SECRETS}/s")
    assert status == 200 and "merge patch" in run.canary.found(body)
