"""Looks up tokens in the static token file and among the bootstrap token secrets of kube-system."""

import base64
import csv
import hmac
import time
from collections.abc import Callable, Sequence

from pilothouse.api.values import times
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.authn.authenticator import TokenIdentity
from pilothouse.process.patterns import pattern
from pilothouse.registry.readers import Readers


def intersect(own: Sequence[str], asked: Sequence[str]) -> tuple[str, ...] | None:
    """The asked-for audiences that are ours, None when only others are wanted: for tokens that name none."""
    if not own or not asked:
        return ()
    both = tuple(a for a in own if a in asked)
    return both or None


class TokenFile:
    """The users of --token-auth-file: `token,user,uid,"group1,group2"`. ValueError when the file is wrong."""

    name = "token file"

    def __init__(self, text: str, audiences: Sequence[str] = (), name: str = "") -> None:
        self.audiences = tuple(audiences)
        self.users: dict[str, User] = {}
        for record in _records(text, name):
            if len(record) < 3:
                raise ValueError(
                    f"token file '{name}' must have at least 3 columns (token, user name, user uid), "
                    f"found {len(record)}"
                )
            if record[0]:
                groups = tuple(record[3].split(",")) if len(record) > 3 else ()
                self.users[record[0]] = User(record[1], record[2], groups)

    @classmethod
    def load(cls, path: str, audiences: Sequence[str] = ()) -> "TokenFile":
        with open(path, encoding="utf-8", newline="") as file:
            return cls(file.read(), audiences, path)

    def use(self, other: "TokenFile") -> None:
        """Have the users of another file in the place of these."""
        self.users = other.users

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenIdentity | None:
        user = self.users.get(token)
        if user is None:
            return None
        both = intersect(self.audiences, audiences)
        return None if both is None else TokenIdentity(user, both)


def _records(text: str, name: str) -> list[list[str]]:
    """The lines of a token file that are not empty; ValueError when they are no CSV."""
    try:
        return [record for record in csv.reader(text.splitlines()) if record]
    except csv.Error as error:
        raise ValueError(f"token file '{name}': {error}") from None


_BOOTSTRAP = pattern(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_BOOTSTRAP_GROUP = pattern(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


class BootstrapTokens:
    """Tokens `id.secret` in the secrets kube-system/bootstrap-token-ID (--enable-bootstrap-token-auth).

    `clock` gives Unix seconds.
    """

    name = "bootstrap token"

    def __init__(
        self, readers: Readers, audiences: Sequence[str] = (), clock: Callable[[], float] = time.time
    ) -> None:
        self.readers = readers
        self.audiences = tuple(audiences)
        self._clock = clock

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenIdentity | None:
        parts = _BOOTSTRAP.fullmatch(token)
        if parts is None:
            return None
        secret = self.readers.get("secrets", "kube-system", f"bootstrap-token-{parts[1]}")
        if secret is None or not _is_valid(secret, parts[1], parts[2], self._clock()):
            return None
        groups = _extra_groups(_text(secret, "auth-extra-groups"))
        both = intersect(self.audiences, audiences)
        if groups is None or both is None:
            return None
        user = User(f"system:bootstrap:{parts[1]}", groups=("system:bootstrappers", *groups))
        return TokenIdentity(user, both)


def _text(secret: Object, key: str) -> str:
    try:
        return base64.b64decode((secret.get("data") or {}).get(key, "")).decode()
    except ValueError:
        return ""


def _is_valid(secret: Object, token_id: str, token_secret: str, now: float) -> bool:
    return (
        not secret["metadata"].get("deletionTimestamp")
        and secret.get("type") == "bootstrap.kubernetes.io/token"
        and hmac.compare_digest(_text(secret, "token-secret").encode(), token_secret.encode())
        and _text(secret, "token-id") == token_id
        and not _expired(_text(secret, "expiration"), now)
        and _text(secret, "usage-bootstrap-authentication") == "true"
    )


def _expired(when: str, now: float) -> bool:
    """Whether a secret has expired; one whose expiration cannot be parsed has."""
    if not when:
        return False
    try:
        return times.to_seconds(when) <= now
    except ValueError:
        return True


def _extra_groups(text: str) -> list[str] | None:
    if not text:
        return []
    groups = sorted({g.strip() for g in text.split(",")})
    return groups if all(_BOOTSTRAP_GROUP.fullmatch(g) for g in groups) else None
