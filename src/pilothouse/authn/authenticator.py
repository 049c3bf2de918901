"""Determines the user of a request: tries all methods, anonymous last, and caches the results of tokens."""

import base64
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Protocol
from urllib.parse import unquote

from pilothouse import errors
from pilothouse.api.values.identity import ANONYMOUS, User
from pilothouse.authn.metrics import TokenCacheMetrics
from pilothouse.caches import Cache, CacheBudget, short
from pilothouse.metrics._instruments import Distribution
from pilothouse.process.frozen import frozen
from pilothouse.server.request import Request
from pilothouse.server.websocket import is_websocket

ALL_AUTHENTICATED = "system:authenticated"
ALL_UNAUTHENTICATED = "system:unauthenticated"
SUCCESS_TTL = 10.0
"""Seconds for which a valid token is not checked again (kube-apiserver's TokenSuccessCacheTTL)."""
_LONGEST = 2048
"""The longest header, in characters, that is a cache key as it is; a longer token is known by its digest."""

MAX_TOKEN = 16 << 10
"""Characters of a token that is looked at, unless --max-token-bytes says otherwise.
Groups make tokens of issuers long."""
_LARGEST = 64 << 10
"""The largest cached pair of a token and its user, in bytes: some users are in hundreds of groups."""

_INVALID_TOKEN = "invalid bearer token"
_EXTRA_SPACE = (
    "the provided Authorization header contains extra space before the bearer token, and is ignored"
)
_PROTOCOL_PREFIX = "base64url.bearer.authorization.k8s.io."


Texts = tuple[str, ...]
Pairs = tuple[tuple[str, str], ...]


class Undecided(errors.Unauthorized):
    """A method could not say whether a credential is good, as a service that it asks does not answer."""


class Authenticator(Protocol):
    """One method of authentication. It may begin in no task: see pilothouse.waiting."""

    async def authenticate(self, request: Request) -> User | None:
        """The user; None when the request has no credentials of this method;
        errors.Unauthorized for wrong ones."""


class Method(Authenticator, Protocol):
    """One of the methods of a union."""

    name: str
    """The name by which people know it."""


@frozen
class TokenIdentity:
    """The user of a token, those of the requested audiences for which it is valid,
    and what its owner is to be told.

    annotations: keys and values for the audit events of requests with the token.
    """

    user: User
    audiences: Texts = ()
    warnings: Texts = ()
    annotations: Pairs = ()


class TokenAuthenticator(Protocol):
    """An authenticator of one kind of bearer token."""

    name: str
    """The name by which people know it."""

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenIdentity | None:
        """The identity; None for a token of another kind;
        errors.Unauthorized, with the reason, for an invalid one."""


@frozen
class Recognition:
    """The method by which a request's user was recognised ("" = by none),
    and the answers of those asked before it."""

    by: str
    said: tuple[tuple[str, str], ...] = ()


BY_NOBODY = Recognition("anonymous")
"""The recognition of a request without credentials."""
NOT_MINE = "no token of this sort"
"""The error of an authenticator of tokens about a token of another kind."""


@frozen
class Review:
    """The result of a token review: an identity, or the reasons why there is none.

    undecided: a method could not say. recognition: who has said what.
    """

    identity: TokenIdentity | None
    error: str = ""
    undecided: bool = False
    recognition: Recognition = BY_NOBODY


def join(reasons: Sequence[str]) -> str:
    """Several errors in one text, each once (apimachinery's aggregate)."""
    unique = list(dict.fromkeys(reasons))
    return unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]" if unique else ""


def with_authenticated(user: User) -> User:
    """The user with the group system:authenticated,
    unless the groups tell already whether they are authenticated."""
    groups = user.groups
    if user.name == ANONYMOUS.name or ALL_AUTHENTICATED in groups or ALL_UNAUTHENTICATED in groups:
        return user
    return replace(user, groups=(*groups, ALL_AUTHENTICATED))


def bearer_token(header: str) -> str:
    """The token of an Authorization header, "" when it carries none."""
    parts = header.strip().split(" ", 2)
    return parts[1] if len(parts) >= 2 and parts[0].lower() == "bearer" else ""


def protocol_token(request: Request, longest: int = MAX_TOKEN) -> str:
    """The token that a browser's WebSocket carries among its subprotocols, ""
    when there is none; Unauthorized when it is malformed, or no other
    subprotocol is left to be chosen (request/websocket ProtocolAuthenticator).

    Subprotocols that leave no room for a token of `longest` bytes in base64, and 4 KB beside it, are refused.
    """
    token, tokens, others = "", 0, 0
    values = [value for name, value in request.all_headers if name == "sec-websocket-protocol"]
    if sum(map(len, values)) > longest * 4 // 3 + 4096:
        raise errors.Unauthorized("the subprotocols are too long")
    for protocol in ",".join(values).split(",") if values else ():
        name = protocol.strip()
        if not name.startswith(_PROTOCOL_PREFIX):
            others += 1
            continue
        tokens += 1
        if tokens > 1:
            raise errors.Unauthorized("multiple base64.bearer.authorization tokens specified")
        token = _decoded(name[len(_PROTOCOL_PREFIX) :])
    if token and not others:
        raise errors.Unauthorized("missing additional subprotocol")
    return token


def _decoded(text: str) -> str:
    """A token in base64 of the URL alphabet without padding."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        if "=" in text:
            raise ValueError("padding")
    except ValueError:
        raise errors.Unauthorized("invalid base64.bearer.authorization token encoding") from None
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise errors.Unauthorized("invalid base64.bearer.authorization token") from None


@frozen
class Remembered:
    """The user of a credential that was judged, and how it was recognised.

    until: when it has to be judged again: for tokens by the clock of the union, for certificates in Unix
    seconds. remaining: counts how long certificates stay valid, at each request; None for tokens.
    """

    user: User
    recognition: Recognition
    until: float
    remaining: Distribution | None = None


class UnionAuthenticator:
    """Asks each method in turn: front proxy and certificates, then tokens, then anonymous.

    `methods` look at the whole request; `tokens` at a bearer token. The first success wins; a failure counts
    only when nothing succeeds, and then it keeps anonymous from being tried. `anonymous_paths` limit
    anonymous requests to some paths, unless there are none. `audiences` are the server's; `clock` is the one
    by which a token's result is cached for SUCCESS_TTL seconds.
    No method is asked about tokens of more than `longest` bytes.
    """

    def __init__(
        self,
        methods: Sequence[Method] = (),
        tokens: Sequence[TokenAuthenticator] = (),
        audiences: Sequence[str] = (),
        *,
        anonymous: bool = True,
        anonymous_paths: Collection[str] = (),
        budget: CacheBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
        metrics: TokenCacheMetrics | None = None,
        longest: int = MAX_TOKEN,
    ) -> None:
        self._longest = longest
        self.metrics = metrics or TokenCacheMetrics()
        self._hit = self.metrics.hit
        """Counts a token of the cache; upstream tells the time it takes in whole milliseconds."""
        self.methods = tuple(methods)
        self._plain: dict[str, Recognition] = {}
        self.tokens = tuple(tokens)
        self.audiences = tuple(audiences)
        self.anonymous = anonymous and not anonymous_paths
        self._anonymous_paths = frozenset(anonymous_paths if anonymous else ())
        self.clock = clock
        self._cache: Cache[str | bytes, tuple[float, User, Texts, Pairs, Recognition]] = Cache(
            "tokens", budget or CacheBudget(), largest=_LARGEST, lifetime=SUCCESS_TTL
        )
        self.listeners: list[Callable[[], None]] = []
        """Called when tokens are judged anew."""
        self._epoch = 0
        """Grows when the cache is emptied: what was asked before that is not put there."""

    async def authenticate(self, request: Request) -> User:
        """The user behind a request, or errors.Unauthorized
        (Undecided, where it might have been another answer).

        Sets `warnings`, `annotations` and `recognition` of the request.
        """
        # PERF: a known token costs one look-up by the header, unless that is long or odd.
        if not request.peer_certificates:
            header = request.headers.get("authorization")
            if header is None:
                if "sec-websocket-protocol" not in request.headers and self.anonymous:
                    return ANONYMOUS
            else:
                known = self._cache[header]
                if known is not None and known[0] > self.clock():
                    self._hit(0.0)
                    _, user, request.warnings, request.annotations, request.recognition = known
                    return user
        return await self._ask(request)

    def remembered(self, request: Request) -> Remembered | None:
        """The user of a request's credential that was judged before; None where none was, or where its
        owner is told something with each answer."""
        if request.peer_certificates:
            for method in self.methods:
                known_by = getattr(method, "remembered", None)
                if known_by is not None:
                    found: Remembered | None = known_by(request.peer_certificates[0], request.recognition)
                    return found
            return None
        known = self._cache[request.headers.get("authorization", "")]
        if known is None or known[2]:
            return None
        until, user, _, _, recognition = known
        return Remembered(user, recognition, until)

    async def review(self, token: str, audiences: Sequence[str] = ()) -> Review:
        """The answer of a TokenReview to a token, with no other credentials beside it."""
        return await self._token(token, tuple(audiences) or self.audiences)

    @property
    def proxied(self) -> tuple[str, ...]:
        """The headers by which front proxies name users."""
        names = (getattr(method, "username_headers", ()) for method in self.methods)
        return tuple(name for some in names for name in some)

    def forget(self) -> None:
        """Empty the cache of tokens, also of those that are being judged."""
        self._epoch += 1
        self._cache.clear()
        for listener in self.listeners:
            listener()

    async def _ask(self, request: Request) -> User:
        said: list[tuple[str, str]] = []
        refusal = errors.Unauthorized
        for method in self.methods:
            try:
                user = await method.authenticate(request)
            except errors.Unauthorized as error:
                said.append((method.name, error.message))
                continue
            if user is not None:
                request.recognition = self._recognition(method.name, said)
                return with_authenticated(user)
        header = request.headers.get("authorization", "")
        token = bearer_token(header)
        if not token and header.strip()[:8].lower() == "bearer  ":
            request.warnings = (_EXTRA_SPACE,)
        if not token and is_websocket(request):
            header = ""
            try:
                token = protocol_token(request, self._longest)
            except errors.Unauthorized as error:
                said.append(("token in a subprotocol", error.message))
        if len(token) > self._longest:
            said.append(("bearer token", self._too_long()))
        elif token:
            key = _cache_key(token)
            known = self._cache[key] if header else None
            if known is not None and known[0] > self.clock():
                self._hit(0.0)
                _, user, request.warnings, request.annotations, found = known
                request.recognition = _after(said, found)
                return user
            epoch = self._epoch
            review = await self._token(token, self.audiences)
            identity, found = review.identity, review.recognition
            if identity is not None:
                user, request.warnings, request.annotations = (
                    identity.user,
                    identity.warnings,
                    identity.annotations,
                )
                request.recognition = _after(said, found)
                if header and epoch == self._epoch:
                    kept = (user, identity.warnings, identity.annotations, found)
                    self._cache.put(key, (self.clock() + SUCCESS_TTL, *kept))
                return user
            said += found.said
            refusal = Undecided if review.undecided else refusal
        if said or not (self.anonymous or unquote(request.path) in self._anonymous_paths):
            request.recognition = Recognition("", tuple(said))
            raise refusal("Unauthorized")
        return ANONYMOUS

    def _recognition(self, by: str, said: list[tuple[str, str]]) -> Recognition:
        """The recognition by a method; one for all requests before which nobody has said anything."""
        if said:
            return Recognition(by, tuple(said))
        return self._plain.get(by) or self._plain.setdefault(by, Recognition(by))

    def _too_long(self) -> str:
        return f"the token has more than {self._longest} bytes"

    async def _token(self, token: str, audiences: tuple[str, ...]) -> Review:
        if len(token) > self._longest:
            return Review(None, join((_INVALID_TOKEN, self._too_long())))
        with self.metrics.fetch() as fetch:
            review = await self._asked(token, audiences)
            fetch.good = review.identity is not None or review.error == _INVALID_TOKEN
            return review

    async def _asked(self, token: str, audiences: tuple[str, ...]) -> Review:
        reasons, undecided = [_INVALID_TOKEN], False
        said: list[tuple[str, str]] = []
        for method in self.tokens:
            try:
                identity = await method.authenticate_token(token, audiences)
            except errors.Unauthorized as error:
                reasons.append(error.message)
                said.append((method.name, error.message))
                undecided |= isinstance(error, Undecided)
                continue
            if identity is not None:
                found = Recognition(method.name, tuple(said))
                return Review(replace(identity, user=with_authenticated(identity.user)), recognition=found)
            said.append((method.name, NOT_MINE))
        found = Recognition("", tuple(said) or (("bearer token", _INVALID_TOKEN),))
        return Review(None, join(reasons), undecided, found)


def _after(said: list[tuple[str, str]], found: Recognition) -> Recognition:
    """A recognition by a token, with what was said before its sort was looked for."""
    return Recognition(found.by, (*said, *found.said)) if said else found


def _cache_key(token: str) -> str | bytes:
    """The cache key of a token: the header with the token alone,
    so that other words in it make no further entry."""
    header = f"Bearer {token}"
    return header if len(header) <= _LONGEST else short(token)
