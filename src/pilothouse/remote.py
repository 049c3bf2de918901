"""The services outside that judge tokens and requests, as the flags name them. Needs aiohttp (extra `proxy`)."""

import base64
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilothouse.api.yaml import reader as yaml
from pilothouse.outbound.http import ClientError, Outbound, Trust

if TYPE_CHECKING:
    from pilothouse.api.fields import Object
    from pilothouse.authn.oidc import Fetch, OIDCTokens
    from pilothouse.authn.webhook import Post, WebhookTokens
    from pilothouse.authz.webhook import WebhookAuthorizer
    from pilothouse.caches import Budget
    from pilothouse.options import Config

ANSWER_LIMIT = 1 << 20
SECONDS = 30.0


def oidc_tokens(config: "Config", outbound: Outbound) -> "OIDCTokens":
    """The tokens of the provider that --oidc-issuer-url names."""
    from pilothouse.authn.oidc import OIDCIssuer, OIDCTokens, username_prefix

    claim = config.oidc_username_claim
    issuer = OIDCIssuer(
        url=config.oidc_issuer_url,
        audiences=(config.oidc_client_id,),
        username_claim=claim,
        username_prefix=username_prefix(claim, config.oidc_username_prefix, config.oidc_issuer_url),
        groups_claim=config.oidc_groups_claim,
        groups_prefix=config.oidc_groups_prefix,
        required=dict(config.oidc_required_claim),
        algorithms=tuple(config.oidc_signing_algs),
    )
    ca = Path(config.oidc_ca_file).read_bytes() if config.oidc_ca_file else b""
    return OIDCTokens(issuer, fetch_from(outbound, ca), config.api_audiences or config.issuers)


def webhook_tokens(
    config: "Config", outbound: Outbound, audiences: Sequence[str], budget: "Budget | None" = None
) -> "WebhookTokens":
    """The service behind --authentication-token-webhook-config-file."""
    from pilothouse.authn.webhook import WebhookTokens

    post = post_to(outbound, Path(config.authentication_token_webhook_config_file))
    version, ttl = config.authentication_token_webhook_version, config.authentication_token_webhook_cache_ttl
    return WebhookTokens(post, audiences, version, ttl, budget)


def webhook_authorizer(
    config: "Config", outbound: Outbound, budget: "Budget | None" = None
) -> "WebhookAuthorizer":
    """The service behind --authorization-webhook-config-file."""
    from pilothouse.authz.webhook import WebhookAuthorizer

    return WebhookAuthorizer(
        post_to(outbound, Path(config.authorization_webhook_config_file)),
        config.authorization_webhook_version,
        allowed_ttl=config.authorization_webhook_cache_authorized_ttl,
        other_ttl=config.authorization_webhook_cache_unauthorized_ttl,
        budget=budget,
    )


def fetch_from(outbound: Outbound, ca: bytes) -> "Fetch":
    """Reads https URLs whose servers `ca` (PEM; the host's CAs when empty) vouches for."""
    trust = Trust(ca)

    async def fetch(url: str) -> bytes:
        return await _exchange(outbound, "GET", url, [], b"", trust)

    return fetch


def post_to(outbound: Outbound, path: Path) -> "Post":
    """Sends reviews to the cluster of a kubeconfig's current context; ValueError when it names none.

    Its user may have a client certificate, a token or a password.
    """
    url, headers, trust = read_kubeconfig(path)

    async def post(review: "Object") -> "Object":
        body = json.dumps(review).encode()
        answer = json.loads(await _exchange(outbound, "POST", url, headers, body, trust))
        if not isinstance(answer, dict):
            raise OSError(f"{url}: no review in the answer")
        return answer

    return post


async def _exchange(
    outbound: Outbound, method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes, trust: Trust
) -> bytes:
    try:
        answer = await outbound.open(method, url, headers=headers, body=body, trust=trust, timeout=SECONDS)
        data = await answer.read(ANSWER_LIMIT)
    except ClientError as error:
        raise OSError(str(error)) from None
    if not 200 <= answer.status < 300:
        raise OSError(f"{method} {url}: status code {answer.status}")
    return data


def read_kubeconfig(path: Path) -> tuple[str, list[tuple[str, str]], Trust]:
    """The server's URL, the headers that say who asks, and how to trust the server."""
    try:
        config = yaml.parse(path.read_bytes()).value
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"] if context.get("user") else {}
        server = str(cluster["server"])
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError(f"invalid configuration: {path}: {error}") from None
    cert, key = _file(path, user, "client-certificate"), _file(path, user, "client-key")
    ca = _file(path, cluster, "certificate-authority")
    trust = Trust(
        ca=Path(ca).read_bytes() if ca else b"",
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=str(cluster.get("tls-server-name") or ""),
        cert_file=cert,
        key_file=key,
    )
    return server, [("Content-Type", "application/json"), *_credentials(path, user)], trust


def _named(items: Any, name: str) -> Any:
    for item in items:
        if item["name"] == name:
            return item
    raise KeyError(name)


def _credentials(path: Path, user: dict[str, Any]) -> list[tuple[str, str]]:
    token = user.get("token")
    if not token and user.get("tokenFile"):
        token = (path.parent / user["tokenFile"]).read_text().strip()
    if token:
        return [("Authorization", f"Bearer {token}")]
    if user.get("username"):
        pair = base64.b64encode(f"{user['username']}:{user.get('password', '')}".encode()).decode()
        return [("Authorization", f"Basic {pair}")]
    return []


def _file(path: Path, holder: dict[str, Any], name: str) -> str:
    """The file that holds something: inline data, which wins, goes into a private one, as TLS reads files alone."""
    data = holder.get(f"{name}-data")
    if data:
        with tempfile.NamedTemporaryFile("wb", prefix="pilothouse-", delete=False) as file:  # mode 0600
            file.write(base64.b64decode(data))
        return file.name
    return str(path.parent / holder[name]) if holder.get(name) else ""
