"""The token file and bootstrap tokens."""

import base64
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock
from coroutines import at_once

from pilothouse.authn.tokens import BootstrapTokens, TokenFile


def test_a_token_file_gives_users_with_uid_and_groups() -> None:
    tokens = TokenFile('a,alice,1\n\nb,bob,2,"x,y"\nc,cleo,3,z,more\n,nobody,4\n', ["api"])
    users = {t: at_once(tokens.authenticate_token(t, ())) for t in ("a", "b", "c", "", "d")}
    assert users["a"].user.groups == ()
    assert (users["b"].user.name, users["b"].user.uid, users["b"].user.groups) == ("bob", "2", ("x", "y"))
    assert users["c"].user.groups == ("z",)
    assert users[""] is None and users["d"] is None


def test_a_later_line_of_the_same_token_wins() -> None:
    assert at_once(TokenFile("a,x,1\na,y,2").authenticate_token("a", ())).user.name == "y"


def test_a_token_file_needs_three_columns(tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"
    path.write_text("a,b\n")
    with pytest.raises(ValueError, match=r"must have at least 3 columns .* found 2"):
        TokenFile.load(str(path))


class Secrets:
    def __init__(self, **changes: Any) -> None:
        data = {
            "token-id": "abcdef",
            "token-secret": "0123456789abcdef",
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": "system:bootstrappers:b, system:bootstrappers:a",
            "expiration": "2026-01-01T01:00:00Z",
        }
        data.update(changes)
        self.secret = {
            "metadata": {"name": "bootstrap-token-abcdef"},
            "type": "bootstrap.kubernetes.io/token",
            "data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()},
        }

    def get(self, resource: Any, namespace: str, name: str) -> Any:
        ours = (resource, namespace, name) == ("secrets", "kube-system", "bootstrap-token-abcdef")
        return self.secret if ours else None


def ask(readers: Any, token: str = "abcdef.0123456789abcdef", at: str = "2026-01-01T00:59:59Z") -> Any:
    """The user that a token stands for at a moment."""
    clock = Clock(datetime.fromisoformat(at).timestamp())
    return at_once(BootstrapTokens(readers, clock=clock).authenticate_token(token, ()))


def test_a_bootstrap_token_is_of_the_bootstrappers() -> None:
    found = ask(Secrets())
    assert found.user.name == "system:bootstrap:abcdef"
    assert found.user.groups == (
        "system:bootstrappers",
        "system:bootstrappers:a",
        "system:bootstrappers:b",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"token-secret": "fedcba9876543210"},
        {"token-id": "ghijkl"},
        {"usage-bootstrap-authentication": "false"},
        {"auth-extra-groups": "system:masters"},
        {"expiration": "2020-01-01T00:00:00Z"},
        {"expiration": "tomorrow"},
    ],
)
def test_a_bootstrap_token_is_void_when_its_secret_says_otherwise(changes: dict[str, Any]) -> None:
    readers = Secrets(**changes)
    assert ask(readers) is None


def test_a_bootstrap_token_ends_with_its_expiration() -> None:
    assert ask(Secrets(), at="2026-01-01T01:00:00Z") is None
    assert ask(Secrets(expiration=""), at="2036-01-01T00:00:00Z") is not None


@pytest.mark.parametrize("token", ["", "abcdef", "ABCDEF.0123456789abcdef", "ghijkl.0123456789abcdef"])
def test_other_tokens_are_not_bootstrap_tokens(token: str) -> None:
    assert ask(Secrets(), token) is None


def test_the_users_of_another_file_take_their_place() -> None:
    tokens = TokenFile("a,alice,1\n")
    tokens.use(TokenFile("b,bob,2\n"))
    assert at_once(tokens.authenticate_token("a", ())) is None
    assert at_once(tokens.authenticate_token("b", ())).user.name == "bob"


def test_a_token_file_that_is_no_table() -> None:
    with pytest.raises(ValueError, match="token file 'tokens'") as caught:
        TokenFile(f"{'secret' * 30_000},jane,1\n", name="tokens")
    assert "secretsecret" not in str(caught.value)
