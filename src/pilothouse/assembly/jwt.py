"""Creates the authenticators of JWT issuers that --authentication-config,
or the --oidc-* flags, configure."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pilothouse.authn import configuration
from pilothouse.authn.configuration import (
    ALGORITHMS,
    Anonymous,
    AuthenticationConfiguration,
    ClaimMappings,
    Issuer,
    JWTAuthenticator,
    Mapping,
    ValidationRule,
    check_algorithms,
)
from pilothouse.authn.metrics import JWTMetrics
from pilothouse.configuration.sections.authentication import AuthenticationOptions
from pilothouse.configuration.sections.oidc import OpenIDOptions
from pilothouse.gotext import quote
from pilothouse.outbound.clients import Clients
from pilothouse.process.frozen import frozen
from pilothouse.reload import Followed, Reloads

if TYPE_CHECKING:
    from pilothouse.authn.oidc import IssuerTokens, JWTTokens
    from pilothouse.authn.provider import Fetch

MakeIssuers = Callable[[AuthenticationConfiguration], "list[IssuerTokens]"]
"""A function that makes the issuers of a configuration; ValueError with everything that is wrong."""
Follow = Callable[[Reloads, Callable[[], None]], None]
"""A function that has the file of issuers followed; its second argument empties the cache of tokens."""


@frozen
class Authentication:
    """The configuration by the flags: `data` is the content of the file, b"" without one."""

    configuration: AuthenticationConfiguration
    data: bytes
    anonymous: Anonymous
    algorithms: tuple[str, ...]


def authentication(options: AuthenticationOptions) -> Authentication:
    """The file, or what the --oidc-* flags say in its place. ValueError, OSError when it cannot be used."""
    if not options.authentication_config:
        check_algorithms(options.oidc.oidc_signing_algs)
        return Authentication(
            _of_flags(options.oidc, _text(options.oidc.oidc_ca_file)),
            b"",
            Anonymous(options.anonymous_auth),
            tuple(options.oidc.oidc_signing_algs),
        )
    data = Path(options.authentication_config).read_bytes()
    found = configuration.read(data)
    if found.anonymous is not None and "anonymous-auth" in options.given:
        raise ValueError(
            "--anonymous-auth flag cannot be set when anonymous field is configured in authentication "
            "configuration file"
        )
    return Authentication(found, data, found.anonymous or Anonymous(options.anonymous_auth), ALGORITHMS)


def jwt_tokens(
    options: AuthenticationOptions,
    found: Authentication,
    *,
    clients: Clients,
    proxied: bool,
    metrics: JWTMetrics,
) -> "tuple[JWTTokens | None, Follow]":
    """The issuers, and what has their file followed. None where nothing can be configured later either.

    proxied: whether there is an egress selection, whose proxies an issuer may name.
    ValueError with everything that is wrong.
    """
    if not found.configuration.jwt and not found.data:
        return None, lambda reloads, forget: None
    from pilothouse.authn.oidc import JWTTokens
    from pilothouse.authn.reload import AuthenticationReload

    make = issuer_maker(options, found.algorithms, clients=clients, proxied=proxied, metrics=metrics)
    tokens = JWTTokens(make(found.configuration), options.audiences, metrics)

    def follow(reloads: Reloads, forget: Callable[[], None]) -> None:
        reload = AuthenticationReload(found.configuration.anonymous, tokens, make, forget=forget)
        path, ca = options.authentication_config, options.oidc.oidc_ca_file
        if path:
            reloads.follow(
                Followed(
                    kind="authentication",
                    paths=lambda: (path,),
                    read=reload.read,
                    use=reload.use,
                    metrics=metrics,
                )
            )
        elif ca:
            reloads.follow(
                Followed(
                    kind="oidc-ca",
                    paths=lambda: (ca,),
                    read=lambda files: make(_of_flags(options.oidc, files[ca].decode())),
                    use=reload.use,
                )
            )

    return tokens, follow


def issuer_maker(
    options: AuthenticationOptions,
    algorithms: tuple[str, ...],
    *,
    clients: Clients,
    proxied: bool,
    metrics: JWTMetrics,
) -> MakeIssuers:
    """The function that makes the issuers of a configuration. The arguments are those of `jwt_tokens`."""
    from pilothouse.authn import validation
    from pilothouse.authn.oidc import IssuerTokens, TokenChecks

    checks = TokenChecks(algorithms=algorithms, metrics=metrics)

    def make(config_: AuthenticationConfiguration) -> "list[IssuerTokens]":
        compiled = validation.validated(config_, options.service_accounts.issuers)
        return [
            IssuerTokens(one, expressions, _fetch(clients, one.issuer, proxied=proxied), checks)
            for one, expressions in zip(config_.jwt, compiled, strict=True)
        ]

    return make


def _fetch(clients: Clients, issuer: Issuer, *, proxied: bool) -> "Fetch":
    """Reads the documents of an issuer, through the proxy of the egress selection that it names."""
    kind = issuer.egress_selector_type
    if kind and not proxied:
        raise ValueError(f"oidc: egress lookup for {quote(kind)} is not configured")
    from pilothouse.authn.fetch import fetch_through

    outbound = {"controlplane": clients.controlplane, "cluster": clients.cluster}.get(kind, clients.direct)
    return fetch_through(outbound, issuer.certificate_authority)


def _of_flags(options: OpenIDOptions, ca: str = "") -> AuthenticationConfiguration:
    """The configuration by the --oidc-* flags; `ca` has the certificates of --oidc-ca-file."""
    if not options.oidc_issuer_url:
        return AuthenticationConfiguration()
    url, claim = options.oidc_issuer_url, options.oidc_username_claim
    groups = Mapping()
    if options.oidc_groups_claim:
        groups = Mapping(claim=options.oidc_groups_claim, prefix=options.oidc_groups_prefix)
    authenticator = JWTAuthenticator(
        issuer=Issuer(url=url, audiences=(options.oidc_client_id,), certificate_authority=ca),
        claim_validation_rules=tuple(
            ValidationRule(claim=name, required_value=value)
            for name, value in options.oidc_required_claim.items()
        ),
        claim_mappings=ClaimMappings(
            username=Mapping(claim=claim, prefix=username_prefix(claim, options.oidc_username_prefix, url)),
            groups=groups,
        ),
    )
    return AuthenticationConfiguration((authenticator,))


def _text(path: str) -> str:
    return Path(path).read_text() if path else ""


def username_prefix(claim: str, flag: str, issuer: str) -> str:
    """The prefix that --oidc-username-prefix means: "-" is none;
    when unset, only e-mails go without the issuer."""
    if flag == "-":
        return ""
    return flag or ("" if claim == "email" else issuer + "#")
