"""Authenticates tokens by TokenReview at a webhook (--authentication-token-webhook-config-file)."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.authn.authenticator import TokenIdentity, Undecided
from pilothouse.caches import Cache, CacheBudget, short
from pilothouse.outbound.reviews import Post


class WebhookTokens:
    """Asks the service about each token; its answers are cached for `ttl` seconds of `clock`.

    `version` is the one of authentication.k8s.io that the service speaks: v1 or v1beta1.
    """

    name = "token webhook"

    def __init__(
        self,
        post: Post,
        audiences: Sequence[str],
        version: str = "v1beta1",
        ttl: float = 120.0,
        budget: CacheBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if version not in ("v1", "v1beta1"):
            raise ValueError(
                f'unsupported authentication webhook version "{version}", '
                'supported versions are "v1", "v1beta1"'
            )
        self.post = post
        self.audiences = tuple(audiences)
        self.version = version
        self.ttl = ttl
        self._clock = clock
        self._known: Cache[tuple[str | bytes, tuple[str | bytes, ...]], tuple[float, TokenIdentity]] = Cache(
            "tokens_webhook", budget or CacheBudget(), lifetime=ttl
        )

    def use(self, post: Post) -> None:
        """Ask another service from now on; what the former one has said is forgotten."""
        self.post = post
        self._known.clear()

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenIdentity | None:
        wanted = tuple(audiences)
        known = self._known[short(token), tuple(map(short, wanted))]
        if known is not None and known[0] > self._clock():
            return known[1]
        return await self._ask(token, wanted)

    async def _ask(self, token: str, wanted: tuple[str, ...]) -> TokenIdentity | None:
        spec: Object = {"token": token, "audiences": list(wanted)} if wanted else {"token": token}
        review = {
            "apiVersion": f"authentication.k8s.io/{self.version}",
            "kind": "TokenReview",
            "metadata": {},
            "spec": spec,
        }
        post = self.post
        try:
            answer = await post(review)
            identity = self._identity(answer.get("status") or {}, wanted)
        except OSError as error:
            raise Undecided(str(error)) from None
        except errors.StatusError as error:
            raise errors.Unauthorized(str(error)) from None
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise errors.Unauthorized(f"the answer is no TokenReview: {error}") from None
        if identity is not None and self.ttl > 0 and post is self.post:
            key = short(token), tuple(map(short, wanted))
            self._known.put(key, (self._clock() + self.ttl, identity))
        return identity

    def _identity(self, status: Any, wanted: tuple[str, ...]) -> TokenIdentity | None:
        own = status.get("audiences") or self.audiences
        both = tuple(a for a in wanted if a in own)
        if wanted and not both:
            return None
        if status.get("authenticated") is not True:
            if status.get("error"):
                raise errors.Unauthorized(str(status["error"]))
            return None
        user = status.get("user") or {}
        extra = {str(key): [str(v) for v in values] for key, values in (user.get("extra") or {}).items()}
        groups = tuple(str(g) for g in user.get("groups") or ())
        return TokenIdentity(
            User(str(user.get("username", "")), str(user.get("uid", "")), groups, extra), both
        )
