"""The rules for an AuthenticationConfiguration (apiserver pkg/apis/apiserver/validation),
with upstream's words."""

from collections.abc import Callable, Collection, Iterable

from pilothouse.api.cel import Program
from pilothouse.api.configfile import refuse
from pilothouse.api.urls import parsed
from pilothouse.api.values.fields import Errors
from pilothouse.api.values.names import domain_prefixed_path
from pilothouse.authn import claims
from pilothouse.authn.claims import ClaimExpressions, ExpressionError
from pilothouse.authn.configuration import (
    AuthenticationConfiguration,
    Issuer,
    JWTAuthenticator,
    Mapping,
    ValidationRule,
)

MAX_AUTHENTICATORS = 64
_RESERVED_DOMAINS = ("kubernetes.io", "k8s.io")
_MATCH_ANY = "MatchAny"
_NO_EMAIL_VERIFIED = (
    "claims.email_verified must be used in claimMappings.username.expression or"
    " claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used"
    " in claimMappings.username.expression"
)


def validated(config: AuthenticationConfiguration, disallowed: Collection[str]) -> list[ClaimExpressions]:
    """The expressions of each authenticator; ConfigurationError with every cause.

    No issuer may be one of `disallowed`, which are those of this server's own service account tokens.
    """
    errs = Errors()
    compiled: list[ClaimExpressions] = []
    if len(config.jwt) > MAX_AUTHENTICATORS:
        errs.too_many("jwt", len(config.jwt), MAX_AUTHENTICATORS)
        refuse(errs)
    urls: set[str] = set()
    discovery_urls: set[str] = set()
    for at, one in enumerate(config.jwt):
        path = f"jwt[{at}]"
        compiled.append(_authenticator(one, path, disallowed, errs))
        for member, url, seen in (
            ("url", one.issuer.url, urls),
            ("discoveryURL", one.issuer.discovery_url, discovery_urls),
        ):
            if url in seen:
                errs.duplicate(f"{path}.issuer.{member}", url)
            if url or member == "url":
                seen.add(url)
    anonymous = config.anonymous
    if anonymous is not None and not anonymous.enabled and anonymous.paths:
        why = "enabled should be set to true when conditions are defined"
        errs.invalid("anonymous.conditions", [{"Path": path} for path in anonymous.paths], why)
    refuse(errs)
    return compiled


def _authenticator(
    one: JWTAuthenticator, path: str, disallowed: Collection[str], errs: Errors
) -> ClaimExpressions:
    _issuer(one.issuer, f"{path}.issuer", disallowed, errs)
    claim_rules = _claim_rules(one.claim_validation_rules, f"{path}.claimValidationRules", errs)
    mappings, where = one.claim_mappings, f"{path}.claimMappings"
    username = _mapping(mappings.username, f"{where}.username", errs, required=True)
    groups = _mapping(mappings.groups, f"{where}.groups", errs, required=False)
    uid = _uid(mappings.uid, f"{where}.uid", errs)
    extra = _extra(one, f"{where}.extra", errs)
    if username is not None and username.selects("claims", "email"):
        looking = [username, *(program for program, _ in claim_rules), *(program for _, program in extra)]
        if not any(program.selects("claims", "email_verified") for program in looking):
            errs.invalid(f"{where}.username.expression", username.text, _NO_EMAIL_VERIFIED)
    user_rules = _user_rules(one.user_validation_rules, f"{path}.userValidationRules", errs)
    return ClaimExpressions(
        username=username,
        groups=groups,
        uid=uid,
        extra=tuple(extra),
        claim_rules=tuple(claim_rules),
        user_rules=tuple(user_rules),
    )


def _issuer(issuer: Issuer, path: str, disallowed: Collection[str], errs: Errors) -> None:
    if not issuer.url:
        errs.required(f"{path}.url")
    else:
        _url(issuer.url, f"{path}.url", disallowed, errs)
    discovery = issuer.discovery_url
    if discovery:
        where = f"{path}.discoveryURL"
        if issuer.url and issuer.url.rstrip("/") == discovery.rstrip("/"):
            errs.invalid(where, discovery, "discoveryURL must be different from URL")
        _url(discovery, where, (), errs)
    _audiences(issuer, path, errs)
    if issuer.certificate_authority and not _has_certificates(issuer.certificate_authority):
        why = "data does not contain any valid RSA or ECDSA certificates"
        errs.invalid(f"{path}.certificateAuthority", "<omitted>", why)
    if issuer.egress_selector_type not in ("", "controlplane", "cluster"):
        why = "egress selector must be either controlplane or cluster"
        errs.invalid(f"{path}.egressSelectorType", issuer.egress_selector_type, why)


def _audiences(issuer: Issuer, path: str, errs: Errors) -> None:
    where, policy = f"{path}.audiences", issuer.audience_match_policy
    if not issuer.audiences:
        errs.required(where, f"at least one {where} is required")
        return
    seen: set[str] = set()
    for at, audience in enumerate(issuer.audiences):
        if not audience:
            errs.required(f"{where}[{at}]")
        if audience in seen:
            errs.duplicate(f"{where}[{at}]", audience)
        seen.add(audience)
    if len(issuer.audiences) > 1 and policy != _MATCH_ANY:
        why = "audienceMatchPolicy must be MatchAny for multiple audiences"
        errs.invalid(f"{path}.audienceMatchPolicy", policy, why)
    elif len(issuer.audiences) == 1 and policy not in ("", _MATCH_ANY):
        why = "audienceMatchPolicy must be empty or MatchAny for single audience"
        errs.invalid(f"{path}.audienceMatchPolicy", policy, why)


def _url(url: str, path: str, disallowed: Collection[str], errs: Errors) -> None:
    if url in disallowed:
        listed = f"[{' '.join(sorted(set(disallowed)))}]"
        errs.invalid(path, url, f"URL must not overlap with disallowed issuers: {listed}")
    try:
        parts = parsed(url)
    except ValueError as err:
        errs.invalid(path, url, str(err))
        return
    if parts.scheme != "https":
        errs.invalid(path, url, "URL scheme must be https")
    if "@" in parts.netloc:
        errs.invalid(path, url, "URL must not contain a username or password")
    if parts.query:
        errs.invalid(path, url, "URL must not contain a query")
    if parts.fragment:
        errs.invalid(path, url, "URL must not contain a fragment")


def _has_certificates(text: str) -> bool:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return bool(load_pem_x509_certificates(text.encode()))
    except ValueError:
        return False


def _claim_rules(rules: Iterable[ValidationRule], path: str, errs: Errors) -> list[tuple[Program, str]]:
    compiled: list[tuple[Program, str]] = []
    names: set[str] = set()
    expressions: set[str] = set()
    for at, rule in enumerate(rules):
        where = f"{path}[{at}]"
        if rule.claim and rule.expression:
            errs.invalid(where, rule.claim, "claim and expression can't both be set")
        elif not rule.claim and not rule.expression:
            errs.required(where, "claim or expression is required")
        elif rule.claim:
            if rule.message:
                errs.invalid(f"{where}.message", rule.message, "may not be specified when claim is set")
            if rule.claim in names:
                errs.duplicate(f"{where}.claim", rule.claim)
            names.add(rule.claim)
        else:
            if rule.required_value:
                why = "may not be specified when expression is set"
                errs.invalid(f"{where}.requiredValue", rule.required_value, why)
            if rule.expression in expressions:
                errs.duplicate(f"{where}.expression", rule.expression)
                continue
            expressions.add(rule.expression)
            program = _program(claims.compile_claim_rule, rule.expression, f"{where}.expression", errs)
            if program is not None:
                compiled.append((program, rule.message))
    return compiled


def _user_rules(rules: Iterable[ValidationRule], path: str, errs: Errors) -> list[tuple[Program, str]]:
    compiled: list[tuple[Program, str]] = []
    expressions: set[str] = set()
    for at, rule in enumerate(rules):
        where = f"{path}[{at}].expression"
        if not rule.expression:
            errs.required(where)
            continue
        if rule.expression in expressions:
            errs.duplicate(where, rule.expression)
            continue
        expressions.add(rule.expression)
        program = _program(claims.compile_user_rule, rule.expression, where, errs)
        if program is not None:
            compiled.append((program, rule.message))
    return compiled


def _mapping(mapping: Mapping, path: str, errs: Errors, *, required: bool) -> Program | None:
    """The program of the username or of the groups.
    An expression counts only when nothing about it is wrong."""
    if mapping.expression and mapping.claim:
        errs.invalid(path, "", "claim and expression can't both be set")
    elif mapping.expression:
        alone = mapping.prefix is None
        if not alone:
            errs.invalid(f"{path}.prefix", mapping.prefix, "may not be specified when expression is set")
        program = _program(claims.compile_mapping, mapping.expression, f"{path}.expression", errs)
        return program if alone else None
    elif mapping.claim:
        if mapping.prefix is None:
            why = (
                "prefix is required when claim is set. It can be set to an empty string to disable prefixing"
            )
            errs.required(f"{path}.prefix", why)
    elif required:
        errs.required(path, "claim or expression is required")
    return None


def _uid(mapping: Mapping, path: str, errs: Errors) -> Program | None:
    if mapping.claim and mapping.expression:
        errs.invalid(path, "", "claim and expression can't both be set")
    elif mapping.expression:
        return _program(claims.compile_mapping, mapping.expression, f"{path}.expression", errs)
    return None


def _extra(one: JWTAuthenticator, path: str, errs: Errors) -> list[tuple[str, Program]]:
    compiled: list[tuple[str, Program]] = []
    keys: set[str] = set()
    for at, mapping in enumerate(one.claim_mappings.extra):
        where, key = f"{path}[{at}].key", mapping.key
        domain_prefixed_path(errs, where, key)
        if key != key.lower():
            errs.invalid(where, key, "must be lowercase")
        domain = key.partition("/")[0] if "/" in key else ""
        if any(domain == reserved or domain.endswith(f".{reserved}") for reserved in _RESERVED_DOMAINS):
            why = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"
            errs.invalid(where, key, why)
        if key in keys:
            errs.duplicate(where, key)
            continue
        keys.add(key)
        where = f"{path}[{at}].valueExpression"
        if not mapping.value_expression:
            errs.required(where)
            continue
        program = _program(claims.compile_mapping, mapping.value_expression, where, errs)
        if program is not None:
            compiled.append((key, program))
    return compiled


def _program(make: Callable[[str], Program], text: str, path: str, errs: Errors) -> Program | None:
    try:
        return make(text)
    except ExpressionError as err:
        errs.invalid(path, text, str(err))
        return None
