"""The rules for authentication configurations, each with upstream's words."""

from dataclasses import fields
from typing import Any

import pytest
from certificates import certificate, new_key

from pilothouse.api.configfile import ConfigurationError
from pilothouse.authn.claims import ClaimExpressions
from pilothouse.authn.configuration import (
    Anonymous,
    AuthenticationConfiguration,
    ClaimMappings,
    ExtraMapping,
    Issuer,
    JWTAuthenticator,
    Mapping,
    ValidationRule,
)
from pilothouse.authn.validation import validated

EMAIL = (
    "claims.email_verified must be used in claimMappings.username.expression or"
    " claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used"
    " in claimMappings.username.expression"
)
UNDECLARED = (
    "compilation failed: ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')\n |"
    " foo.bar\n | ^"
)
BOTH = "claim and expression can't both be set"
NO_PREFIX = "prefix is required when claim is set. It can be set to an empty string to disable prefixing"
NO_SYSTEM = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"
PARTS = ("username", "groups", "uid", "extra")


def authenticator(url: str = "https://issuer", **given: Any) -> JWTAuthenticator:
    issuer = {one.name: given.pop(one.name) for one in fields(Issuer) if one.name in given}
    mappings = {name: given.pop(name) for name in list(given) if name in PARTS}
    mappings.setdefault("username", Mapping(claim="sub", prefix=""))
    return JWTAuthenticator(
        issuer=Issuer(**{"url": url, "audiences": ("a",), **issuer}),
        claim_mappings=ClaimMappings(**mappings),
        claim_validation_rules=given.pop("claims", ()),
        user_validation_rules=given.pop("users", ()),
        **given,
    )


def check(*jwt: JWTAuthenticator, anonymous: Any = None, disallowed: Any = ()) -> list[ClaimExpressions]:
    return validated(AuthenticationConfiguration(jwt, anonymous), disallowed)


def faults(*jwt: JWTAuthenticator, **more: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check(*jwt, **more)
    return str(caught.value)


def extras(*pairs: tuple[str, str]) -> tuple[ExtraMapping, ...]:
    return tuple(ExtraMapping(key=key, value_expression=text) for key, text in pairs)


def test_good_ones_are_compiled() -> None:
    pem = certificate(new_key()).decode()
    (one, two) = check(
        authenticator(
            certificate_authority=pem,
            discovery_url="https://issuer/elsewhere",
            egress_selector_type="cluster",
        ),
        authenticator(
            "https://second",
            audiences=("a", "b"),
            audience_match_policy="MatchAny",
            username=Mapping(expression="claims.sub"),
            groups=Mapping(expression="claims.groups"),
            uid=Mapping(expression="claims.uid"),
            extra=extras(("example.com/a", "claims.a")),
            claims=(ValidationRule(claim="hd"), ValidationRule(expression="claims.x == 1.0", message="m")),
            users=(ValidationRule(expression="user.username != ''"),),
        ),
        anonymous=Anonymous(True, ("/livez",)),
        disallowed=["https://own"],
    )
    assert one == ClaimExpressions()
    assert two.username is not None and two.groups is not None and two.uid is not None
    assert [key for key, _ in two.extra] == ["example.com/a"]
    assert [message for _, message in two.claim_rules] == ["m"] and len(two.user_rules) == 1
    assert check() == []


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"url": ""}, "url: Required value"),
        ({"url": "invalid-url"}, 'url: Invalid value: "invalid-url": URL scheme must be https'),
        (
            {"url": "https://issuer-url:invalid-port"},
            'url: Invalid value: "https://issuer-url:invalid-port": parse "https://issuer-url:invalid-port": '
            'invalid port ":invalid-port" after host',
        ),
        ({"url": "http://x"}, 'url: Invalid value: "http://x": URL scheme must be https'),
        ({"url": "https://u:p@x"},
         'url: Invalid value: "https://u:p@x": URL must not contain a username or password'),
        ({"url": "https://x?q"}, 'url: Invalid value: "https://x?q": URL must not contain a query'),
        ({"url": "https://x#f"}, 'url: Invalid value: "https://x#f": URL must not contain a fragment'),
        ({"url": ":x"}, 'url: Invalid value: ":x": parse ":x": missing protocol scheme'),
        ({"url": "https://a b"},
         'url: Invalid value: "https://a b": parse "https://a b": invalid character " " in host name'),
        ({"url": "https://a/%zz"},
         'url: Invalid value: "https://a/%zz": parse "https://a/%zz": invalid URL escape "%zz"'),
        ({"url": "https://[::1"},
         "url: Invalid value: \"https://[::1\": parse \"https://[::1\": missing ']' in host"),
        (
            {"url": "https://own"},
            'url: Invalid value: "https://own": URL must not overlap with disallowed issuers: [https://other '
            'https://own]',
        ),
        (
            {"discovery_url": "https://issuer///"},
            'discoveryURL: Invalid value: "https://issuer///": discoveryURL must be different from URL',
        ),
        ({"discovery_url": "http://x"}, 'discoveryURL: Invalid value: "http://x": URL scheme must be https'),
        ({"audiences": ()}, "audiences: Required value: at least one jwt[0].issuer.audiences is required"),
        ({"audiences": ("",)}, "audiences[0]: Required value"),
        (
            {"audiences": ("a", "a"), "audience_match_policy": "MatchAny"},
            'audiences[1]: Duplicate value: "a"',
        ),
        (
            {"audiences": ("a", "b")},
            'audienceMatchPolicy: Invalid value: "": audienceMatchPolicy must be MatchAny for multiple '
            'audiences',
        ),
        (
            {"audience_match_policy": "MatchExact"},
            'audienceMatchPolicy: Invalid value: "MatchExact": audienceMatchPolicy must be empty or MatchAny '
            'for '
            "single audience",
        ),
        (
            {"certificate_authority": "secret nonsense"},
            'certificateAuthority: Invalid value: "<omitted>": data does not contain any valid RSA or ECDSA '
            'certificates',
        ),
        (
            {"egress_selector_type": "panda"},
            'egressSelectorType: Invalid value: "panda": egress selector must be either controlplane or '
            'cluster',
        ),
    ],
)  # fmt: skip
def test_issuers(given: dict[str, Any], why: str) -> None:
    found = faults(authenticator(**given), disallowed=["https://own", "https://other"])
    assert found == f"jwt[0].issuer.{why}"


def test_issuers_are_different() -> None:
    first = authenticator(discovery_url="https://d")
    assert faults(first, authenticator()) == 'jwt[1].issuer.url: Duplicate value: "https://issuer"'
    second = authenticator("https://second", discovery_url="https://d")
    assert faults(first, second) == 'jwt[1].issuer.discoveryURL: Duplicate value: "https://d"'
    many = [authenticator(f"https://{at}") for at in range(65)]
    assert faults(*many) == "jwt: Too many: 65: must have at most 64 items"
    assert len(check(*many[:64])) == 64


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ([ValidationRule()], "[0]: Required value: claim or expression is required"),
        ([ValidationRule(claim="c", expression="e")], f'[0]: Invalid value: "c": {BOTH}'),
        ([ValidationRule(claim="c", message="m")],
         '[0].message: Invalid value: "m": may not be specified when claim is set'),
        (
            [ValidationRule(expression="true", required_value="v")],
            '[0].requiredValue: Invalid value: "v": may not be specified when expression is set',
        ),
        ([ValidationRule(claim="c"), ValidationRule(claim="c")], '[1].claim: Duplicate value: "c"'),
        ([ValidationRule(expression="true")] * 2, '[1].expression: Duplicate value: "true"'),
        ([ValidationRule(expression="foo.bar")], f'[0].expression: Invalid value: "foo.bar": {UNDECLARED}'),
        ([ValidationRule(expression="claims.foo")],
         '[0].expression: Invalid value: "claims.foo": must evaluate to bool'),
        ([ValidationRule(expression="user.uid == ''")], None),
    ],
)  # fmt: skip
def test_claim_rules(rules: list[ValidationRule], why: str | None) -> None:
    found = faults(authenticator(claims=tuple(rules)))
    assert found.startswith("jwt[0].claimValidationRules")
    assert why is None or found == f"jwt[0].claimValidationRules{why}"


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ([ValidationRule()], "[0].expression: Required value"),
        ([ValidationRule(expression="true")] * 2, '[1].expression: Duplicate value: "true"'),
        ([ValidationRule(expression="foo.bar")], f'[0].expression: Invalid value: "foo.bar": {UNDECLARED}'),
        (
            [ValidationRule(expression="user.username")],
            '[0].expression: Invalid value: "user.username": must evaluate to bool',
        ),
    ],
)
def test_user_rules(rules: list[ValidationRule], why: str) -> None:
    assert faults(authenticator(users=tuple(rules))) == f"jwt[0].userValidationRules{why}"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"username": Mapping()}, "username: Required value: claim or expression is required"),
        ({"username": Mapping(claim="c", expression="e")}, f'username: Invalid value: "": {BOTH}'),
        (
            {"username": Mapping(expression="claims.a", prefix="p")},
            'username.prefix: Invalid value: "p": may not be specified when expression is set',
        ),
        ({"username": Mapping(claim="c")}, f"username.prefix: Required value: {NO_PREFIX}"),
        ({"username": Mapping(expression="foo.bar")},
         f'username.expression: Invalid value: "foo.bar": {UNDECLARED}'),
        ({"groups": Mapping(claim="c", expression="e")}, f'groups: Invalid value: "": {BOTH}'),
        ({"groups": Mapping(claim="c")}, f"groups.prefix: Required value: {NO_PREFIX}"),
        ({"uid": Mapping(claim="c", expression="e")}, f'uid: Invalid value: "": {BOTH}'),
        ({"uid": Mapping(expression="foo.bar")}, f'uid.expression: Invalid value: "foo.bar": {UNDECLARED}'),
        ({"extra": extras(("", "claims.a"))}, "extra[0].key: Required value"),
        ({"extra": extras(("a.b/c", ""))}, "extra[0].valueExpression: Required value"),
        ({"extra": extras(("a.b/c", "foo.bar"))},
         f'extra[0].valueExpression: Invalid value: "foo.bar": {UNDECLARED}'),
        ({"extra": extras(("a.b/c", "''"), ("a.b/c", "''"))}, 'extra[1].key: Duplicate value: "a.b/c"'),
        (
            {"extra": extras(("foo", "''"))},
            'extra[0].key: Invalid value: "foo": must be a domain-prefixed path (such as "acme.io/foo")',
        ),
        ({"extra": extras(("a.b/C", "''"))}, 'extra[0].key: Invalid value: "a.b/C": must be lowercase'),
        ({"extra": extras(("a.k8s.io/c", "''"))}, f'extra[0].key: Invalid value: "a.k8s.io/c": {NO_SYSTEM}'),
        ({"extra": extras(("kubernetes.io/c", "''"))},
         f'extra[0].key: Invalid value: "kubernetes.io/c": {NO_SYSTEM}'),
        (
            {"extra": extras(("a.b/c d", "''"))},
            "extra[0].key: Invalid value: \"c d\": Invalid path (regex used for validation is "
            "'[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')",
        ),
    ],
)  # fmt: skip
def test_mappings(given: dict[str, Any], why: str) -> None:
    assert faults(authenticator(**given)) == f"jwt[0].claimMappings.{why}"


@pytest.mark.parametrize(
    "text",
    [
        "claims.email",
        "['yay', string(claims.email), 'panda'].join(' ')",
        "claims.?email",
        '{claims.?email: "panda"}',
        '{"fancy": claims.?email}',
        '["a"].map(i, i + claims.email)',
        "has(claims.email) ? claims.email : claims.sub",
        "claims.email.trim()",
    ],
)
def test_an_email_must_be_verified(text: str) -> None:
    username = Mapping(expression=text)
    found = faults(authenticator(username=username))
    assert found.startswith("jwt[0].claimMappings.username.expression: Invalid value: ") and found.endswith(
        f": {EMAIL}"
    )
    check(
        authenticator(
            username=username,
            claims=(ValidationRule(expression="claims.?email_verified.orValue(true) == true"),),
        )
    )
    check(authenticator(username=username, extra=extras(("a.b/c", "string(claims.email_verified)"))))
    looks = authenticator(
        username=username, users=(ValidationRule(expression="user.username != 'email_verified'"),)
    )
    assert faults(looks).endswith(EMAIL)


def test_other_emails_need_no_rule() -> None:
    check(authenticator(username=Mapping(expression="claims.other.email")))
    check(authenticator(username=Mapping(expression="claims.email_verified ? claims.email : claims.sub")))


def test_all_faults_are_told() -> None:
    found = faults(authenticator("", audiences=()), anonymous=Anonymous(False, ("/x",)))
    assert (
        found == "[jwt[0].issuer.url: Required value, jwt[0].issuer.audiences: Required value: at least one"
        ' jwt[0].issuer.audiences is required, anonymous.conditions: Invalid value: [{"Path":"/x"}]:'
        " enabled should be set to true when conditions are defined]"
    )
