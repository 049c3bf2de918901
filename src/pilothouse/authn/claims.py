"""Turns the claims of a token into a user:
claims and prefixes, or CEL expressions (apiserver pkg/authentication/cel)."""

from collections.abc import Sequence
from typing import Any

from pilothouse import errors
from pilothouse.api.cel import (
    ANY,
    BOOL,
    STRING,
    CelType,
    CompileError,
    Environment,
    EvaluationError,
    Program,
    ProgramError,
    ResultError,
    list_of,
    map_of,
    object_type,
)
from pilothouse.api.values.identity import User
from pilothouse.authn.configuration import JWTAuthenticator
from pilothouse.authn.x509 import CREDENTIAL_ID
from pilothouse.gotext import quote
from pilothouse.process.frozen import frozen

Claims = dict[str, Any]

_TEXTS = list_of(STRING)
_USER = object_type("UserInfo", username=STRING, uid=STRING, groups=_TEXTS, extra=map_of(STRING, _TEXTS))
_OF_CLAIMS = Environment({"claims": map_of(STRING, ANY)}, escaped=True)
_OF_USER = Environment({"user": _USER}, escaped=True)


class ExpressionError(Exception):
    """An expression that does not compile; the text is upstream's."""


def compile_mapping(text: str) -> Program:
    """The program of an expression over `claims` that gives a value of whatever type; ExpressionError."""
    return _compiled(_OF_CLAIMS, text)


def compile_claim_rule(text: str) -> Program:
    """The program of an expression over `claims` that must hold; ExpressionError."""
    return _compiled(_OF_CLAIMS, text, BOOL)


def compile_user_rule(text: str) -> Program:
    """The program of an expression over `user` that must hold; ExpressionError."""
    return _compiled(_OF_USER, text, BOOL)


def _compiled(environment: Environment, text: str, *results: CelType) -> Program:
    try:
        return environment.compile(text, *results)
    except ResultError:
        raise ExpressionError("must evaluate to bool") from None
    except ProgramError as err:
        raise ExpressionError(f"program instantiation failed: {err}") from None
    except CompileError as err:
        raise ExpressionError(f"compilation failed: {err}") from None


@frozen(kw_only=True)
class ClaimExpressions:
    """The compiled expressions of one authenticator; rules come with their messages."""

    username: Program | None = None
    groups: Program | None = None
    uid: Program | None = None
    extra: tuple[tuple[str, Program], ...] = ()
    claim_rules: tuple[tuple[Program, str], ...] = ()
    user_rules: tuple[tuple[Program, str], ...] = ()

    @property
    def reads_claims(self) -> bool:
        """Whether one of them is evaluated over the claims."""
        return bool(self.username or self.groups or self.uid or self.extra or self.claim_rules)


class ClaimMapper:
    """Makes the user out of verified claims, by one authenticator's mappings and rules."""

    def __init__(self, authenticator: JWTAuthenticator, expressions: ClaimExpressions) -> None:
        self._mappings = authenticator.claim_mappings
        self._expressions = expressions
        self._required = {
            rule.claim: rule.required_value for rule in authenticator.claim_validation_rules if rule.claim
        }

    def user(self, claims: Claims) -> User:
        """The user; errors.Unauthorized, with the reason, when a claim is missing or a rule does not hold."""
        seen = {"claims": _as_cel_claims(claims)} if self._expressions.reads_claims else {}
        name = self._username(claims, seen)
        groups = self._groups(claims, seen)
        user = User(name, self._uid(claims, seen), tuple(groups), self._extra(claims, seen))
        for claim, wanted in self._required.items():
            _require(claims, claim, wanted)
        why = "error evaluating claim validation expression"
        _check(self._expressions.claim_rules, seen, why)
        _check(
            self._expressions.user_rules,
            {"user": _as_cel_user(user)},
            "error evaluating user info validation rule",
        )
        return user

    def _username(self, claims: Claims, seen: dict[str, Any]) -> str:
        program, mapping = self._expressions.username, self._mappings.username
        if program is not None:
            what = "error evaluating username claim expression"
            found = _evaluated(program, seen, what)
            if not isinstance(found, str):
                raise errors.Unauthorized(f"oidc: {what}: username claim expression must return a string")
            if not found:
                raise errors.Unauthorized("oidc: empty username via CEL expression is not allowed")
            return found
        name = _text(claims, mapping.claim, f"parse username claims {quote(mapping.claim)}")
        if mapping.claim == "email" and "email_verified" in claims:
            verified = claims["email_verified"]
            if not isinstance(verified, bool):
                why = _wrong_type(verified, "bool")
                raise errors.Unauthorized(f"oidc: parse 'email_verified' claim: {why}")
            if not verified:
                raise errors.Unauthorized("oidc: email not verified")
        return (mapping.prefix or "") + name

    def _groups(self, claims: Claims, seen: dict[str, Any]) -> list[str]:
        program, mapping = self._expressions.groups, self._mappings.groups
        if mapping.claim and mapping.claim in claims:
            value = claims[mapping.claim]
            groups = value if isinstance(value, list) else [value]
            wrong = [one for one in groups if not isinstance(one, str)]
            if wrong:
                why = _wrong_type(value if isinstance(value, list) else wrong[0], "string")
                raise errors.Unauthorized(f"oidc: parse groups claim {quote(mapping.claim)}: {why}")
            return [(mapping.prefix or "") + group for group in groups]
        if program is None:
            return []
        what = "error evaluating group claim expression"
        return _texts(_evaluated(program, seen, what), what)

    def _uid(self, claims: Claims, seen: dict[str, Any]) -> str:
        program, mapping = self._expressions.uid, self._mappings.uid
        if mapping.claim:
            return _text(claims, mapping.claim, f"parse uid claim {quote(mapping.claim)}")
        if program is None:
            return ""
        what = "error evaluating uid claim expression"
        found = _evaluated(program, seen, what)
        if not isinstance(found, str):
            raise errors.Unauthorized(f"oidc: {what}: uid claim expression must return a string")
        return found

    def _extra(self, claims: Claims, seen: dict[str, Any]) -> dict[str, list[str]]:
        extra: dict[str, list[str]] = {}
        jti = claims.get("jti")
        if isinstance(jti, str) and jti:
            extra[CREDENTIAL_ID] = [f"JTI={jti}"]
        for key, program in self._expressions.extra:
            found = _evaluated(program, seen, "")
            values = _texts(found, f"error evaluating extra claim expression: {program.text}")
            if values:
                extra[key] = values
        return extra


def as_cel(value: Any) -> Any:
    """A claim as expressions see it: every number is a double, as Go's decoder makes it."""
    if isinstance(value, dict):
        return {name: as_cel(one) for name, one in value.items()}
    if isinstance(value, list):
        return [as_cel(one) for one in value]
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise errors.Unauthorized("oidc: parse claims: a number is out of range") from None
    return value


def _as_cel_claims(claims: Claims) -> Any:
    try:
        return as_cel(claims)
    except RecursionError:
        raise errors.Unauthorized("oidc: parse claims: they are nested too deeply") from None


def _as_cel_user(user: User) -> dict[str, Any]:
    return {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": user.extra}


def _evaluated(program: Program, seen: dict[str, Any], what: str) -> Any:
    try:
        return program.evaluate(seen)
    except EvaluationError as err:
        why = f"expression '{program.text}' resulted in error: {err}"
        raise errors.Unauthorized(f"oidc: {what}: {why}" if what else why) from None


def _check(rules: Sequence[tuple[Program, str]], seen: dict[str, Any], what: str) -> None:
    """All rules are evaluated before the first that does not hold is told, as upstream does."""
    for (program, message), held in [(rule, _evaluated(rule[0], seen, what)) for rule in rules]:
        if not isinstance(held, bool):
            raise errors.Unauthorized(f"oidc: {what}: validation expression must return a boolean")
        if not held:
            why = f"validation expression '{program.text}' failed: {message}"
            raise errors.Unauthorized(f"oidc: {what}: {why}")


def _require(claims: Claims, claim: str, wanted: str) -> None:
    if claim not in claims:
        raise errors.Unauthorized(f"oidc: required claim {claim} not present in ID token")
    found = _text(claims, claim, f"parse claim {claim}")
    if found != wanted:
        raise errors.Unauthorized(
            f"oidc: required claim {claim} value does not match. Got = {found}, want = {wanted}"
        )


def _text(claims: Claims, claim: str, what: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str):
        why = "claim not present" if claim not in claims else _wrong_type(value, "string")
        raise errors.Unauthorized(f"oidc: {what}: {why}")
    return value


def _wrong_type(value: Any, wanted: str) -> str:
    """The message of Go's decoder. It names the first wrong item of a list;
    this one calls the list an array."""
    found = {bool: "bool", str: "string", dict: "object", list: "array"}.get(type(value), "number")
    return f"json: cannot unmarshal {'null' if value is None else found} into Go value of type {wanted}"


def _texts(value: Any, what: str) -> list[str]:
    """The texts that an expression gives; those that are empty are left out."""
    if value is None:
        return []
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise errors.Unauthorized(f"oidc: {what}: expression must return a string or a list of strings")
    return [one for one in values if one]
