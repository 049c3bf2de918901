"""Users out of claims: by claims and prefixes, by expressions, and the rules that must hold."""

from typing import Any

import pytest

from pilothouse import errors
from pilothouse.api.values.identity import User
from pilothouse.authn.claims import ClaimMapper
from pilothouse.authn.configuration import (
    AuthenticationConfiguration,
    ClaimMappings,
    ExtraMapping,
    Issuer,
    JWTAuthenticator,
    Mapping,
    ValidationRule,
)
from pilothouse.authn.validation import validated

CREDENTIAL = "authentication.kubernetes.io/credential-id"


def user(claims: dict[str, Any], *, rules: Any = (), users: Any = (), **mappings: Any) -> User:
    mappings.setdefault("username", Mapping(claim="sub", prefix=""))
    one = JWTAuthenticator(
        issuer=Issuer(url="https://issuer", audiences=("a",)),
        claim_mappings=ClaimMappings(**mappings),
        claim_validation_rules=tuple(rules),
        user_validation_rules=tuple(users),
    )
    (expressions,) = validated(AuthenticationConfiguration((one,)), ())
    return ClaimMapper(one, expressions).user(claims)


def why(claims: dict[str, Any], **more: Any) -> str:
    with pytest.raises(errors.Unauthorized) as caught:
        user(claims, **more)
    return caught.value.message


def expression(text: str) -> Mapping:
    return Mapping(expression=text)


def extra(text: str) -> tuple[ExtraMapping, ...]:
    return (ExtraMapping(key="example.com/a", value_expression=text),)


def rule(text: str, message: str = "") -> ValidationRule:
    return ValidationRule(expression=text, message=message)


def test_claims_and_prefixes() -> None:
    found = user(
        {"sub": "jane", "roles": ["a", "b"], "id": "7", "jti": "j"},
        username=Mapping(claim="sub", prefix="oidc:"),
        groups=Mapping(claim="roles", prefix="g:"),
        uid=Mapping(claim="id"),
    )
    assert found == User("oidc:jane", "7", ("g:a", "g:b"), {CREDENTIAL: ["JTI=j"]})
    groups = Mapping(claim="roles", prefix="")
    assert user({"sub": "jane", "roles": "one"}, groups=groups).groups == ("one",)
    assert user({"sub": "jane"}, groups=groups) == User("jane")


@pytest.mark.parametrize(
    ("claims", "mappings", "wanted"),
    [
        ({}, {}, 'parse username claims "sub": claim not present'),
        (
            {"sub": 1},
            {},
            'parse username claims "sub": json: cannot unmarshal number into Go value of type string',
        ),
        (
            {"sub": None},
            {},
            'parse username claims "sub": json: cannot unmarshal null into Go value of type string',
        ),
        ({"sub": "j"}, {"uid": Mapping(claim="id")}, 'parse uid claim "id": claim not present'),
        (
            {"sub": "j", "g": 1},
            {"groups": Mapping(claim="g", prefix="")},
            'parse groups claim "g": json: cannot unmarshal number into Go value of type string',
        ),
        (
            {"sub": "j", "g": ["a", 1]},
            {"groups": Mapping(claim="g", prefix="")},
            'parse groups claim "g": json: cannot unmarshal array into Go value of type string',
        ),
    ],
)
def test_claims_of_other_types(claims: dict[str, Any], mappings: dict[str, Any], wanted: str) -> None:
    assert why(claims, **mappings) == f"oidc: {wanted}"


def test_an_email_must_be_verified() -> None:
    username = Mapping(claim="email", prefix="")
    assert user({"email": "j@x"}, username=username).name == "j@x"
    assert user({"email": "j@x", "email_verified": True}, username=username).name == "j@x"
    assert why({"email": "j@x", "email_verified": False}, username=username) == "oidc: email not verified"
    assert why({"email": "j@x", "email_verified": "true"}, username=username) == (
        "oidc: parse 'email_verified' claim: json: cannot unmarshal string into Go value of type bool"
    )


def test_expressions() -> None:
    claims = {
        "sub": "jane",
        "a.b": {"c/d": ["x", "", "y"]},
        "level": 3,
        "admin": True,
        "nothing": None,
    }
    found = user(
        claims,
        username=expression("'u-' + claims.sub"),
        groups=expression("claims.a__dot__b.c__slash__d"),
        uid=expression("string(claims.level)"),
        extra=(
            ExtraMapping(key="example.com/a", value_expression="claims.admin ? 'yes' : ''"),
            ExtraMapping(key="example.com/b", value_expression="claims.nothing"),
            ExtraMapping(key="example.com/c", value_expression="has(claims.a__dot__b) ? [''] : ['no']"),
            ExtraMapping(key="example.com/d", value_expression="claims.?x__dot__y.orValue('none')"),
            ExtraMapping(key="example.com/e",
                         value_expression="[string(claims.sub), type(claims.level) == double ? 'd' : 'i']"),
        ),
    )  # fmt: skip
    assert found == User(
        "u-jane",
        "3",
        ("x", "y"),
        {"example.com/a": ["yes"], "example.com/d": ["none"], "example.com/e": ["jane", "d"]},
    )


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (
            {"username": expression("claims.x")},
            (
                "error evaluating username claim expression: expression 'claims.x' resulted in error: no such"
                " key: x"
            ),
        ),
        (
            {"username": expression("claims.n")},
            "error evaluating username claim expression: username claim expression must return a string",
        ),
        ({"username": expression("''")}, "empty username via CEL expression is not allowed"),
        (
            {"groups": expression("[claims.n]")},
            "error evaluating group claim expression: expression must return a string or a list of strings",
        ),
        (
            {"groups": expression("claims.o.p.q")},
            (
                "error evaluating group claim expression: expression 'claims.o.p.q' resulted in error: no"
                " such key: p"
            ),
        ),
        (
            {"uid": expression("claims.n")},
            "error evaluating uid claim expression: uid claim expression must return a string",
        ),
        (
            {"extra": extra("claims.n")},
            (
                "error evaluating extra claim expression: claims.n: expression must return a string or a list"
                " of strings"
            ),
        ),
        ({"rules": [ValidationRule(claim="hd")]}, "required claim hd not present in ID token"),
        (
            {"rules": [ValidationRule(claim="sub", required_value="joe")]},
            "required claim sub value does not match. Got = jane, want = joe",
        ),
        (
            {"rules": [ValidationRule(claim="n", required_value="1")]},
            "parse claim n: json: cannot unmarshal number into Go value of type string",
        ),
        (
            {"rules": [rule("claims.hd == 'x'")]},
            (
                "error evaluating claim validation expression: expression 'claims.hd == 'x'' resulted in"
                " error: no such key: hd"
            ),
        ),
        (
            {"rules": [rule("claims.n == 2.0", "it must be two")]},
            (
                "error evaluating claim validation expression: validation expression 'claims.n == 2.0'"
                " failed: it must be two"
            ),
        ),
        (
            {"users": [rule("!user.username.startsWith('ja')", "not her")]},
            (
                "error evaluating user info validation rule: validation expression "
                "'!user.username.startsWith('ja')' failed: not her"
            ),
        ),
    ],
)
def test_what_does_not_hold(given: dict[str, Any], wanted: str) -> None:
    assert why({"sub": "jane", "n": 1, "o": {}}, **given) == f"oidc: {wanted}"


def test_an_extra_without_an_answer() -> None:
    assert why({"sub": "j"}, extra=extra("claims.x")) == (
        "expression 'claims.x' resulted in error: no such key: x"
    )


def test_rules_see_the_whole_user() -> None:
    holds = (
        "user.username == 'jane' && user.uid == '' && user.groups == ['g'] && "
        "user.extra['authentication.kubernetes.io/credential-id'] == ['JTI=1']"
    )
    groups = Mapping(claim="groups", prefix="")
    user({"sub": "jane", "groups": ["g"], "jti": "1"}, groups=groups, users=[rule(holds)])


def test_claims_may_be_nested_deeply_but_not_too_deeply() -> None:
    for depth in (100, 5000):
        deep: Any = "x"
        for _ in range(depth):
            deep = [deep]
        if depth == 100:
            assert user({"sub": "j", "d": deep}, username=expression("claims.sub")).name == "j"
        else:
            wanted = "oidc: parse claims: they are nested too deeply"
            assert why({"sub": "j", "d": deep}, username=expression("claims.sub")) == wanted


def test_an_expression_has_a_limit() -> None:
    claims = {"sub": "jane", "many": ["x"] * 2000}
    text = "dyn(claims.many).all(a, dyn(claims.many).all(b, a == b)) ? 'a' : 'b'"
    assert "cost limit exceeded" in why(claims, username=expression(text))
    assert why({"sub": "j", "n": 10**400}, username=expression("claims.sub")) == (
        "oidc: parse claims: a number is out of range"
    )
