"""AuthenticationConfiguration files: what is decoded, and what is no configuration."""

import json
from typing import Any

import pytest

from pilothouse.api.configfile import ConfigurationError
from pilothouse.authn.configuration import (
    Anonymous,
    AuthenticationConfiguration,
    ExtraMapping,
    Mapping,
    ValidationRule,
    read,
)

HEAD = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration"}

WHOLE = """
apiVersion: apiserver.config.k8s.io/v1beta1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: https://one.example
    discoveryURL: https://inside.example/discovery
    certificateAuthority: PEM
    audiences: [a, b]
    audienceMatchPolicy: MatchAny
    egressSelectorType: cluster
  claimValidationRules:
  - {claim: hd, requiredValue: example.com}
  - {expression: claims.x == 'y', message: it must be y}
  claimMappings:
    username: {claim: sub, prefix: ""}
    groups: {expression: claims.roles}
    uid: {claim: uid}
    extra:
    - {key: example.com/a, valueExpression: claims.a}
  userValidationRules:
  - {expression: user.username != 'root', message: not root}
anonymous:
  enabled: true
  conditions:
  - path: /livez
  - path: /readyz
"""


def of(**members: Any) -> AuthenticationConfiguration:
    return read(json.dumps({**HEAD, **members}).encode())


def test_everything_is_decoded() -> None:
    found = read(WHOLE.encode())
    (one,) = found.jwt
    issuer = one.issuer
    assert (issuer.url, issuer.discovery_url) == ("https://one.example", "https://inside.example/discovery")
    assert (issuer.audiences, issuer.audience_match_policy) == (("a", "b"), "MatchAny")
    assert (issuer.certificate_authority, issuer.egress_selector_type) == ("PEM", "cluster")
    assert one.claim_validation_rules == (
        ValidationRule(claim="hd", required_value="example.com"),
        ValidationRule(expression="claims.x == 'y'", message="it must be y"),
    )
    mappings = one.claim_mappings
    assert mappings.username == Mapping(claim="sub", prefix="")
    assert mappings.groups == Mapping(expression="claims.roles")
    assert mappings.uid == Mapping(claim="uid")
    assert mappings.extra == (ExtraMapping(key="example.com/a", value_expression="claims.a"),)
    assert one.user_validation_rules == (
        ValidationRule(expression="user.username != 'root'", message="not root"),
    )
    assert found.anonymous == Anonymous(True, ("/livez", "/readyz"))


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha1"])
def test_versions(version: str) -> None:
    assert of(apiVersion=f"apiserver.config.k8s.io/{version}") == AuthenticationConfiguration()
    assert of(anonymous={}).anonymous == Anonymous(False)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"apiVersion": "apiserver.config.k8s.io/v2"}, "no kind"),
        ({"kind": "AuthorizationConfiguration"}, "no kind"),
        ({"jtw": []}, 'unknown field "jtw"'),
        ({"jwt": {}}, "jwt: it must be a list"),
        ({"jwt": [{"issuers": {}}]}, r'unknown field "jwt\[0\].issuers"'),
        ({"jwt": [{"issuer": {"uri": ""}}]}, r'unknown field "jwt\[0\].issuer.uri"'),
        ({"jwt": [{"issuer": {"url": 1}}]}, r"jwt\[0\].issuer.url: it must be a string"),
        ({"jwt": [{"issuer": {"audiences": "a"}}]}, r"audiences: it must be a list"),
        ({"jwt": [{"issuer": {"audiences": [1]}}]}, r"audiences: it must be a list of strings"),
        (
            {"jwt": [{"claimMappings": {"uid": {"prefix": ""}}}]},
            r'unknown field "jwt\[0\].claimMappings.uid.prefix"',
        ),
        ({"jwt": [{"userValidationRules": [{"claim": ""}]}]}, "unknown field"),
        ({"anonymous": {"enabled": "yes"}}, "anonymous.enabled: it must be a boolean"),
        ({"anonymous": {"conditions": [{"paths": ""}]}}, r'unknown field "anonymous.conditions\[0\].paths"'),
    ],
)
def test_what_is_no_configuration(members: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        of(**members)


@pytest.mark.parametrize(
    ("data", "why"), [(b"", "empty config data"), (b"{", "failed to load"), (b"- a", "it must be an object")]
)
def test_what_is_no_object(data: bytes, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        read(data)
