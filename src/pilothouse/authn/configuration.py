"""AuthenticationConfiguration: the JWT authenticators of --authentication-config
(apiserver pkg/apis/apiserver, KEP-3331)."""

from collections.abc import Sequence
from dataclasses import field
from typing import Any

from pilothouse.api.configfile import ConfigurationError, expect, parse, refuse_unknown
from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote
from pilothouse.process.frozen import frozen

VERSIONS = tuple(f"apiserver.config.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
KIND = "AuthenticationConfiguration"
ALGORITHMS = ("ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
"""The algorithms with which tokens may be signed: all are asymmetric."""


def check_algorithms(algorithms: Sequence[str]) -> None:
    """ValueError for an algorithm that tokens may not be signed with."""
    for one in algorithms:
        if one not in ALGORITHMS:
            raise ValueError(f"oidc: unsupported signing alg: {quote(one)}")


@frozen(kw_only=True)
class Issuer:
    """The issuer who signs the tokens, and the place of its keys.

    discovery_url: of the discovery document, when that is not at the issuer's well-known path.
    certificate_authority: PEM; the host's when empty.
    egress_selector_type: the egress that fetches use; "" dials directly.
    """

    url: str = ""
    discovery_url: str = ""
    certificate_authority: str = field(default="", repr=False)
    audiences: tuple[str, ...] = ()
    audience_match_policy: str = ""
    egress_selector_type: str = ""


@frozen(kw_only=True)
class Mapping:
    """The source of a value of the user: a claim behind a prefix, or an expression.
    `prefix` is None when not set."""

    claim: str = ""
    prefix: str | None = None
    expression: str = ""


@frozen(kw_only=True)
class ExtraMapping:
    """An extra of the user and the expression that gives its values."""

    key: str = ""
    value_expression: str = ""


@frozen(kw_only=True)
class ClaimMappings:
    """How claims become a user."""

    username: Mapping = Mapping()
    groups: Mapping = Mapping()
    uid: Mapping = Mapping()
    extra: tuple[ExtraMapping, ...] = ()


@frozen(kw_only=True)
class ValidationRule:
    """A condition on the claims (a claim with a value, or an expression) or on the user (an expression)."""

    claim: str = ""
    required_value: str = ""
    expression: str = ""
    message: str = ""


@frozen(kw_only=True)
class JWTAuthenticator:
    """One issuer whose tokens authenticate users."""

    issuer: Issuer = Issuer()
    claim_validation_rules: tuple[ValidationRule, ...] = ()
    claim_mappings: ClaimMappings = ClaimMappings()
    user_validation_rules: tuple[ValidationRule, ...] = ()


@frozen
class Anonymous:
    """Whether requests without credentials come in; only at these paths unless there are none."""

    enabled: bool = False
    paths: tuple[str, ...] = ()


@frozen
class AuthenticationConfiguration:
    """The whole configuration. `anonymous` is None when --anonymous-auth decides."""

    jwt: tuple[JWTAuthenticator, ...] = ()
    anonymous: Anonymous | None = None


def read(data: bytes) -> AuthenticationConfiguration:
    """Read the content of a file, which is not validated yet;
    ConfigurationError when it is no configuration."""
    if not data:
        raise ConfigurationError("empty config data")
    config = parse(data, "failed to load AuthenticationConfiguration:")
    expect(config, VERSIONS, KIND, ("jwt", "anonymous"))
    jwt = _list(config, "jwt", "")
    return AuthenticationConfiguration(
        tuple(_authenticator(one, f"jwt[{at}]") for at, one in enumerate(jwt)),
        _anonymous(config["anonymous"]) if config.get("anonymous") is not None else None,
    )


def _authenticator(found: Any, path: str) -> JWTAuthenticator:
    members = ("issuer", "claimValidationRules", "claimMappings", "userValidationRules")
    found = refuse_unknown(found, members, f"{path}.")
    of_claims = ("claim", "requiredValue", "expression", "message")
    return JWTAuthenticator(
        issuer=_issuer(found.get("issuer"), f"{path}.issuer"),
        claim_validation_rules=_rules(found, "claimValidationRules", path, of_claims),
        claim_mappings=_mappings(found.get("claimMappings"), f"{path}.claimMappings"),
        user_validation_rules=_rules(found, "userValidationRules", path, ("expression", "message")),
    )


def _issuer(found: Any, path: str) -> Issuer:
    members = (
        "url", "discoveryURL", "certificateAuthority", "audiences", "audienceMatchPolicy",
        "egressSelectorType",
    )  # fmt: skip
    found = refuse_unknown(found, members, f"{path}.")
    audiences = _list(found, "audiences", path)
    if not all(isinstance(one, str) for one in audiences):
        raise ConfigurationError(f"{path}.audiences: it must be a list of strings")
    return Issuer(
        url=_text(found, "url", path),
        discovery_url=_text(found, "discoveryURL", path),
        certificate_authority=_text(found, "certificateAuthority", path),
        audiences=tuple(audiences),
        audience_match_policy=_text(found, "audienceMatchPolicy", path),
        egress_selector_type=_text(found, "egressSelectorType", path),
    )


def _mappings(found: Any, path: str) -> ClaimMappings:
    found = refuse_unknown(found, ("username", "groups", "uid", "extra"), f"{path}.")
    prefixed = ("claim", "prefix", "expression")
    extra = []
    for at, one in enumerate(_list(found, "extra", path)):
        where = f"{path}.extra[{at}]"
        one = refuse_unknown(one, ("key", "valueExpression"), f"{where}.")
        extra.append(
            ExtraMapping(key=_text(one, "key", where), value_expression=_text(one, "valueExpression", where))
        )
    return ClaimMappings(
        username=_mapping(found.get("username"), f"{path}.username", prefixed),
        groups=_mapping(found.get("groups"), f"{path}.groups", prefixed),
        uid=_mapping(found.get("uid"), f"{path}.uid", ("claim", "expression")),
        extra=tuple(extra),
    )


def _mapping(found: Any, path: str, members: Sequence[str]) -> Mapping:
    found = refuse_unknown(found, members, f"{path}.")
    prefix = _text(found, "prefix", path) if found.get("prefix") is not None else None
    return Mapping(
        claim=_text(found, "claim", path), prefix=prefix, expression=_text(found, "expression", path)
    )


def _rules(found: Object, member: str, path: str, members: Sequence[str]) -> tuple[ValidationRule, ...]:
    rules = []
    for at, one in enumerate(_list(found, member, path)):
        where = f"{path}.{member}[{at}]"
        one = refuse_unknown(one, members, f"{where}.")
        rules.append(
            ValidationRule(
                claim=_text(one, "claim", where),
                required_value=_text(one, "requiredValue", where),
                expression=_text(one, "expression", where),
                message=_text(one, "message", where),
            )
        )
    return tuple(rules)


def _anonymous(found: Any) -> Anonymous:
    found = refuse_unknown(found, ("enabled", "conditions"), "anonymous.")
    enabled = found.get("enabled")
    if enabled is not None and not isinstance(enabled, bool):
        raise ConfigurationError("anonymous.enabled: it must be a boolean")
    paths = []
    for at, one in enumerate(_list(found, "conditions", "anonymous")):
        where = f"anonymous.conditions[{at}]"
        paths.append(_text(refuse_unknown(one, ("path",), f"{where}."), "path", where))
    return Anonymous(bool(enabled), tuple(paths))


def _text(found: Object, member: str, path: str) -> str:
    value = found.get(member)
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{path}.{member}: it must be a string")
    return value or ""


def _list(found: Object, member: str, path: str) -> list[Any]:
    value = found.get(member)
    if value is not None and not isinstance(value, list):
        raise ConfigurationError(f"{f'{path}.' if path else ''}{member}: it must be a list")
    return value or []
