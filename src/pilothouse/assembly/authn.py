"""Creates the authenticators and the token issuer that the flags configure."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pilothouse.api.fields import Object
from pilothouse.assembly.services import advertised
from pilothouse.authn import keys
from pilothouse.authn.authenticator import Authenticator, TokenAuthenticator, UnionAuthenticator
from pilothouse.authn.configuration import Anonymous
from pilothouse.authn.metrics import ServiceAccountMetrics
from pilothouse.authn.oidc import JWTTokens
from pilothouse.authn.requestheader import RequestHeaderAuthenticator
from pilothouse.authn.serviceaccount import ServiceAccountTokens, TokenIssuer, discovery_document
from pilothouse.authn.tokens import BootstrapTokens, TokenFile
from pilothouse.authn.x509 import CertificateAuthenticator
from pilothouse.caches import Budget
from pilothouse.config import Config
from pilothouse.outbound.http import Outbound
from pilothouse.outbound.reviews import post_to
from pilothouse.pki import Files
from pilothouse.registry.readers import Readers


def audiences_of(config: Config) -> tuple[str, ...]:
    """The audiences of tokens for this API: --api-audiences, else the issuers."""
    return config.api_audiences or config.issuers


def public_keys(config: Config, files: Files) -> list[keys.VerifyKey]:
    """The keys by which service account tokens are checked."""
    paths = config.service_account_key_file or (files.signing_key,)
    return [key for path in paths for key in keys.load_public(Path(path).read_bytes())]


def token_issuer(config: Config, files: Files, readers: Readers) -> TokenIssuer:
    """Signs the tokens of service accounts."""
    return TokenIssuer(
        config.issuers[0],
        keys.load_private(Path(files.signing_key).read_bytes()),
        readers,
        audiences_of(config),
        int(config.service_account_max_token_expiration),
        config.service_account_extend_token_expiration,
    )


class IssuerDocuments:
    """The documents by which others check this server's service account tokens."""

    def __init__(self, config: Config, public: list[keys.VerifyKey]) -> None:
        self._config = config
        self._public = public

    def jwks(self) -> dict[str, Any]:
        """The public keys as a JWK set."""
        return keys.jwks(self._public)

    def configuration(self) -> dict[str, Any]:
        """The document at /.well-known/openid-configuration."""
        config = self._config
        uri = (
            config.service_account_jwks_uri
            or f"https://{advertised(config)}:{config.secure_port}/openid/v1/jwks"
        )
        return discovery_document(config.issuers[0], uri, self._public)


def authenticator(
    config: Config,
    files: Files,
    readers: Readers,
    *,
    public: list[keys.VerifyKey],
    outbound: Outbound,
    anonymous: Anonymous,
    jwt: JWTTokens | None = None,
    metrics: ServiceAccountMetrics | None = None,
    used: Callable[[Object], None] = lambda _: None,
    caches: Budget | None = None,
) -> UnionAuthenticator:
    """All the ways in which a request may say who sends it, in upstream's order; or, if `anonymous`, not say it."""
    methods: list[Authenticator] = []
    if config.requestheader_client_ca_file:
        methods.append(_front_proxy(config, caches))
    client_ca = b"".join(Path(path).read_bytes() for path in files.client_ca)
    methods.append(CertificateAuthenticator(client_ca, caches))
    audiences = audiences_of(config)
    tokens: list[TokenAuthenticator] = []
    if config.token_auth_file:
        tokens.append(TokenFile(Path(config.token_auth_file).read_text(), audiences, config.token_auth_file))
    tokens.append(
        ServiceAccountTokens(
            public,
            config.issuers,
            audiences,
            readers,
            config.service_account_lookup,
            metrics=metrics,
            used=used,
        )
    )
    if config.enable_bootstrap_token_auth:
        tokens.append(BootstrapTokens(readers, audiences))
    if jwt is not None:
        tokens.append(jwt)
    if config.authentication_token_webhook_config_file:
        tokens.append(_webhook_tokens(config, outbound, caches))
    return UnionAuthenticator(methods, tokens, audiences, anonymous.enabled, anonymous.paths, caches)


def _front_proxy(config: Config, caches: Budget | None) -> Authenticator:
    return RequestHeaderAuthenticator(
        Path(config.requestheader_client_ca_file).read_bytes(),
        allowed_names=config.requestheader_allowed_names,
        username_headers=config.requestheader_username_headers,
        uid_headers=config.requestheader_uid_headers,
        group_headers=config.requestheader_group_headers,
        extra_prefixes=config.requestheader_extra_headers_prefix,
        budget=caches,
    )


def _webhook_tokens(config: Config, outbound: Outbound, caches: Budget | None) -> TokenAuthenticator:
    """The service behind --authentication-token-webhook-config-file."""
    from pilothouse.authn.webhook import WebhookTokens

    return WebhookTokens(
        post_to(outbound, Path(config.authentication_token_webhook_config_file)),
        audiences_of(config),
        config.authentication_token_webhook_version,
        config.authentication_token_webhook_cache_ttl,
        caches,
    )
