"""Creates the authenticators and the token issuer that the flags configure."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pilothouse.api.values.clock import SYSTEM, ServerClock
from pilothouse.api.values.fields import Object
from pilothouse.assembly.certificates import Authorities
from pilothouse.authn import keys
from pilothouse.authn.authenticator import Method, TokenAuthenticator, UnionAuthenticator
from pilothouse.authn.configuration import Anonymous
from pilothouse.authn.external_signer import ExternalSigner
from pilothouse.authn.metrics import (
    CertificateMetrics,
    ServiceAccountMetrics,
    SignerMetrics,
    TokenCacheMetrics,
)
from pilothouse.authn.requestheader import RequestHeaderAuthenticator
from pilothouse.authn.serviceaccount import (
    EXTENDED_LIFETIME,
    ServiceAccountTokens,
    TokenIssuer,
    discovery_document,
)
from pilothouse.authn.tokens import BootstrapTokens, TokenFile
from pilothouse.authn.x509 import CertificateAuthenticator
from pilothouse.caches import CacheBudget
from pilothouse.configuration.addresses import advertised
from pilothouse.configuration.sections.authentication import AuthenticationOptions
from pilothouse.configuration.sections.request_header import RequestHeaderOptions
from pilothouse.configuration.sections.service_accounts import ServiceAccountOptions
from pilothouse.configuration.sections.serving import ServingOptions
from pilothouse.outbound.clients import Clients
from pilothouse.outbound.http import Outbound
from pilothouse.outbound.kubeconfig import files_of
from pilothouse.outbound.reviews import post_to
from pilothouse.pki import Files
from pilothouse.registry.readers import Readers
from pilothouse.reload import Followed, Reloads

if TYPE_CHECKING:
    from pilothouse.authn.oidc import JWTTokens
    from pilothouse.authn.webhook import WebhookTokens

T = TypeVar("T")


def public_keys(
    options: ServiceAccountOptions, files: Files, signer: ExternalSigner | None = None, own: bytes = b""
) -> keys.KeySource:
    """The keys by which service account tokens are checked; `own` is a private key in PEM, the only one."""
    if signer is not None:
        return signer
    if own or (_is_sound(files) and not options.service_account_key_file):
        return keys.OwnKeys(own or Path(files.signing_key).read_bytes())
    paths = options.service_account_key_file or (files.signing_key,)
    return keys.StaticKeys([key for path in paths for key in _read(path, keys.load_public)])


def _is_sound(files: Files) -> bool:
    """Whether the signing key is known to be good, so that it need not be read before somebody uses it."""
    return files.signing_key in files.sound


def _read(path: str, load: Callable[[bytes], T]) -> T:
    """Read the keys of a file; ValueError, which names it, for one without."""
    try:
        return load(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


async def external_signer(options: ServiceAccountOptions, metrics: SignerMetrics) -> ExternalSigner:
    """The process behind --service-account-signing-endpoint;
    SignerError, ValueError when it cannot be used."""
    signer = ExternalSigner(options.service_account_signing_endpoint, metrics)
    try:
        await signer.open()
        longest = options.service_account_max_token_expiration
        if longest > signer.max_lifetime:
            raise ValueError(
                "service-account-max-token-expiration cannot be set longer than the token expiration"
                f" supported by service-account-signing-endpoint: {longest:g}s > {signer.max_lifetime}s"
            )
    except BaseException:
        await signer.close()
        raise
    return signer


def token_issuer(
    options: AuthenticationOptions,
    files: Files,
    readers: Readers,
    signer: ExternalSigner | None = None,
    own: bytes = b"",
    clock: ServerClock = SYSTEM,
) -> TokenIssuer:
    """Signs the tokens of service accounts, with the private key `own` in PEM where there is one."""
    longest, extended = int(options.service_accounts.service_account_max_token_expiration), EXTENDED_LIFETIME
    if signer is None:
        if own or _is_sound(files):
            sign = keys.signing_by(own or Path(files.signing_key).read_bytes())
        else:
            sign = keys.signing_with(_read(files.signing_key, keys.load_private))
    else:
        sign, extended = signer.sign, min(extended, signer.max_lifetime)
        longest = longest or signer.max_lifetime
    return TokenIssuer(
        options.service_accounts.issuers[0],
        sign,
        readers=readers,
        audiences=options.audiences,
        max_expiration=longest,
        extend_expiration=options.service_accounts.service_account_extend_token_expiration,
        extended_lifetime=extended,
        clock=clock.time,
    )


class IssuerDocuments:
    """The documents by which others check this server's service account tokens."""

    def __init__(
        self, options: ServiceAccountOptions, serving: ServingOptions, public: keys.KeySource
    ) -> None:
        self._options = options
        self._serving = serving
        self._public = public

    def jwks(self) -> dict[str, Any]:
        """The public keys as a JWK set."""
        return keys.jwks(self._public.published())

    def configuration(self) -> dict[str, Any]:
        """The document at /.well-known/openid-configuration."""
        options, serving = self._options, self._serving
        uri = (
            options.service_account_jwks_uri
            or f"https://{advertised(serving)}:{serving.secure_port}/openid/v1/jwks"
        )
        return discovery_document(options.issuers[0], uri, self._public.published())


def authenticator(
    options: AuthenticationOptions,
    authorities: Authorities,
    readers: Readers,
    *,
    public: keys.KeySource,
    clients: Clients,
    anonymous: Anonymous,
    jwt: "JWTTokens | None" = None,
    metrics: ServiceAccountMetrics | None = None,
    cached: TokenCacheMetrics | None = None,
    certificates: CertificateMetrics | None = None,
    used: Callable[[Object], None] = lambda _: None,
    caches: CacheBudget | None = None,
    clock: ServerClock = SYSTEM,
) -> UnionAuthenticator:
    """All the ways in which a request may say who sends it, in upstream's order;
    or, if `anonymous`, not say it. `clock` says which tokens of this cluster have expired."""
    methods: list[Method] = []
    if authorities.proxies:
        methods.append(_front_proxy(options.request_header, authorities.proxies, caches))
    methods.append(
        CertificateAuthenticator(authorities.clients, caches, metrics=certificates, scope=authorities.scope)
    )
    audiences = options.audiences
    tokens: list[TokenAuthenticator] = []
    if options.token_auth_file:
        tokens.append(
            TokenFile(Path(options.token_auth_file).read_text(), audiences, options.token_auth_file)
        )
    tokens.append(
        ServiceAccountTokens(
            public,
            options.service_accounts.issuers,
            audiences,
            readers,
            lookup=options.service_accounts.service_account_lookup,
            clock=clock.time,
            metrics=metrics,
            used=used,
        )
    )
    if options.enable_bootstrap_token_auth:
        tokens.append(BootstrapTokens(readers, audiences, clock.time))
    if jwt is not None:
        tokens.append(jwt)
    if options.authentication_token_webhook_config_file:
        tokens.append(_webhook_tokens(options, clients.controlplane, caches))
    return UnionAuthenticator(
        methods,
        tokens,
        audiences,
        anonymous=anonymous.enabled,
        anonymous_paths=anonymous.paths,
        budget=caches,
        metrics=cached,
        longest=options.max_token_bytes,
    )


def _front_proxy(options: RequestHeaderOptions, ca: bytes, caches: CacheBudget | None) -> Method:
    return RequestHeaderAuthenticator(
        ca,
        allowed_names=options.requestheader_allowed_names,
        username_headers=options.requestheader_username_headers,
        uid_headers=options.requestheader_uid_headers,
        group_headers=options.requestheader_group_headers,
        extra_prefixes=options.requestheader_extra_headers_prefix,
        budget=caches,
    )


def _webhook_tokens(
    options: AuthenticationOptions, outbound: Outbound, caches: CacheBudget | None
) -> TokenAuthenticator:
    """The service behind --authentication-token-webhook-config-file."""
    return _webhook_class()(
        post_to(outbound, Path(options.authentication_token_webhook_config_file)),
        options.audiences,
        options.authentication_token_webhook_version,
        options.authentication_token_webhook_cache_ttl,
        caches,
    )


def follow_tokens(
    options: AuthenticationOptions, union: UnionAuthenticator, clients: Clients, reloads: Reloads
) -> None:
    """Follow the files by which tokens are judged.
    With a file go the tokens that are remembered because of it."""
    file, webhook = options.token_auth_file, options.authentication_token_webhook_config_file
    audiences = options.audiences
    for method in union.tokens:
        if isinstance(method, TokenFile):
            reloads.follow(
                Followed(
                    kind="token-file",
                    paths=lambda: (file,),
                    read=lambda files: TokenFile(files[file].decode(), audiences, file),
                    use=_then_forget(method.use, union),
                )
            )
        elif webhook and isinstance(method, _webhook_class()):
            reloads.follow(
                Followed(
                    kind="authentication-webhook",
                    paths=lambda: files_of(webhook),
                    read=lambda files: post_to(clients.controlplane, Path(webhook)),
                    use=_then_forget(method.use, union),
                )
            )


def _then_forget(use: Callable[[T], None], union: UnionAuthenticator) -> Callable[[T], None]:
    def both(made: T) -> None:
        use(made)
        union.forget()

    return both


def _webhook_class() -> "type[WebhookTokens]":
    from pilothouse.authn.webhook import WebhookTokens

    return WebhookTokens
