"""Webhooks that judge tokens and requests, with a whole server that is configured by flags."""

import asyncio
import base64
import json
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from backend import Backend
from eventually import aeventually
from joserfc import jwt
from joserfc.jwk import RSAKey

from pilothouse.assembly.authn import public_keys, token_issuer
from pilothouse.authn import keys
from pilothouse.configuration.sections.authentication import AuthenticationOptions
from pilothouse.configuration.sections.service_accounts import ServiceAccountOptions
from pilothouse.testing.server import InProcess

MAPS = "/api/v1/namespaces/default/configmaps"


def kubeconfig(folder: Any, url: str, ca: Any, user: Any) -> Any:
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "s", "user": "u"}}],
        "clusters": [
            {
                "name": "s",
                "cluster": {"server": url, "certificate-authority-data": base64.b64encode(ca).decode()},
            }
        ],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "webhook.kubeconfig"
    path.write_text(json.dumps(config))
    return path


def get(server: Any, path: str, token: Any) -> tuple[Any, Any]:
    """Status and body of a GET."""
    request = urllib.request.Request(
        f"https://127.0.0.1:{server.port}{path}", headers={"Authorization": f"Bearer {token}"}
    )
    context = ssl.create_default_context(cafile=server.ca_file)  # without the administrator's certificate
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


async def judge(request: Any) -> Any:
    """Knows the token "good", and lets user remote read configmaps."""
    if request.headers.get("Authorization") != "Bearer secret":
        return web.Response(status=401)
    review = await request.json()
    spec = review["spec"]
    if review["kind"] == "TokenReview":
        good = spec["token"] == "good"
        review["status"] = {"authenticated": good}
        if good:
            review["status"]["user"] = {"username": "remote", "groups": ["far"]}
    else:
        wanted = spec.get("resourceAttributes", {})
        allowed = spec["user"] == "remote" and wanted.get("resource") == "configmaps"
        review["status"] = {"allowed": allowed, "reason": "" if allowed else "not for you"}
    return web.json_response(review)


async def test_webhooks_judge_tokens_and_requests(runner: asyncio.Runner, tmp_path: Path) -> None:
    async with Backend(tmp_path, judge) as backend:
        path = kubeconfig(tmp_path, f"https://127.0.0.1:{backend.port}/", backend.ca, {"token": "secret"})
        server = InProcess(
            [
                f"--authentication-token-webhook-config-file={path}",
                "--authentication-token-webhook-version=v1",
                "--authorization-mode=RBAC,Webhook",
                f"--authorization-webhook-config-file={path}",
                "--authorization-webhook-version=v1",
            ]
        )
        await asyncio.to_thread(server.start)
        try:
            status, found = await asyncio.to_thread(get, server, MAPS, "good")
            assert (status, found["kind"]) == (200, "ConfigMapList")
            asked = len(backend.requests)
            assert (await asyncio.to_thread(get, server, MAPS, "good"))[0] == 200
            assert len(backend.requests) == asked  # both answers are remembered
            status, failure = await asyncio.to_thread(get, server, "/api/v1/secrets", "good")
            assert status == 403 and failure["message"].endswith("not for you")
            assert (await asyncio.to_thread(get, server, MAPS, "bad"))[0] == 401
        finally:
            await asyncio.to_thread(server.stop)


async def test_a_provider_of_identities(runner: asyncio.Runner, tmp_path: Path) -> None:
    key = RSAKey.generate_key(2048, parameters={"kid": "k", "alg": "RS256", "use": "sig"})

    async def provide(request: Any) -> Any:
        url = f"https://127.0.0.1:{backend.port}"
        if request.path == "/keys":
            return web.json_response({"keys": [key.as_dict(private=False)]})
        return web.json_response({"issuer": url, "jwks_uri": f"{url}/keys"})

    def token(audience: Any) -> str:
        claims = {"iss": url, "aud": audience, "sub": "jane", "exp": int(time.time()) + 60, "teams": ["a"]}
        return jwt.encode({"alg": "RS256", "kid": "k"}, claims, key)

    async with Backend(tmp_path, provide) as backend:
        url = f"https://127.0.0.1:{backend.port}"
        (tmp_path / "ca.pem").write_bytes(backend.ca)
        server = InProcess(
            [
                f"--oidc-issuer-url={url}",
                "--oidc-client-id=cluster",
                f"--oidc-ca-file={tmp_path / 'ca.pem'}",
                "--oidc-username-prefix=oidc:",
                "--oidc-groups-claim=teams",
            ]
        )
        await asyncio.to_thread(server.start)
        try:

            async def known() -> tuple[int, Any] | None:
                answer = await asyncio.to_thread(get, server, MAPS, token("cluster"))
                return answer if answer[0] != 401 else None  # as long as the provider is not found

            status, failure = await aeventually(known, "the provider")
            assert status == 403 and 'User "oidc:jane" cannot list' in failure["message"]
            assert (await asyncio.to_thread(get, server, MAPS, token("other")))[0] == 401
        finally:
            await asyncio.to_thread(server.stop)


def test_a_key_of_a_cluster_is_its_only_one(tmp_path: Path) -> None:
    """Tokens of a logical cluster are signed and checked by its own key, whatever the flags name."""
    files: Any = SimpleNamespace(signing_key=str(tmp_path / "sa.key"), sound=())
    Path(files.signing_key).write_bytes(keys.new_private())
    own, options = keys.new_private(), ServiceAccountOptions()
    [of_file] = public_keys(options, files).published()
    [of_cluster] = public_keys(options, files, own=own).published()
    assert of_cluster.kid == keys.load_public(own)[0].kid != of_file.kid
    Path(files.signing_key).unlink()
    assert [one.kid for one in public_keys(options, files, own=own).published()] == [of_cluster.kid]
    readers: Any = None
    assert token_issuer(AuthenticationOptions(), files, readers, own=own)
    with pytest.raises(OSError, match=r"sa\.key"):
        token_issuer(AuthenticationOptions(), files, readers)
