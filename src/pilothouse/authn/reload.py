"""Follows changes of --authentication-config; a file that cannot be used leaves the authenticators as they are."""

import asyncio
from collections.abc import Callable

from pilothouse.authn import configuration
from pilothouse.authn.configuration import POLL, Anonymous, AuthenticationConfiguration
from pilothouse.authn.metrics import JWTMetrics
from pilothouse.authn.oidc import IssuerTokens, JWTTokens
from pilothouse.reload import FollowedFile

PATIENCE = 60.0
"""Seconds within which all providers of a new configuration must be found."""


class Reload(FollowedFile):
    """Has tokens judged by other issuers; `anonymous` is what the content in force says of anonymous requests.

    `make` validates a configuration and makes its issuers; `forget` is called when others are in force. Providers that are
    not found are looked for again the next time.
    """

    def __init__(
        self,
        path: str,
        data: bytes,
        anonymous: Anonymous | None,
        tokens: JWTTokens,
        make: Callable[[AuthenticationConfiguration], list[IssuerTokens]],
        metrics: JWTMetrics,
        *,
        forget: Callable[[], None] = lambda: None,
        poll: float = POLL,
        patience: float = PATIENCE,
    ) -> None:
        super().__init__("authentication", path, data, metrics, poll)
        self._anonymous = anonymous
        self._tokens = tokens
        self._make = make
        self._forget = forget
        self._patience = patience

    async def _take(self, data: bytes) -> None:
        issuers = await asyncio.to_thread(self._read, data)
        if why := await self._find(issuers):
            self._seen = b""
            raise TimeoutError(why)
        await self._tokens.replace(issuers)
        self._forget()

    def _read(self, data: bytes) -> list[IssuerTokens]:
        config = configuration.read(data)
        if config.anonymous != self._anonymous:
            raise ValueError("the anonymous configuration changed: it needs a restart")
        return self._make(config)

    async def _find(self, issuers: list[IssuerTokens]) -> str:
        """Look for all providers; why some cannot be used, and then all are given up."""
        for one in issuers:
            one.start()
        looking = [one.provider.found() for one in issuers]
        try:
            await asyncio.wait_for(asyncio.gather(*looking), self._patience)
        except TimeoutError:
            pass
        except BaseException:
            await _close(issuers)
            raise
        faults = [why for one in issuers if (why := one.fault())]
        if faults:
            await _close(issuers)
        return ", ".join(faults)


async def _close(issuers: list[IssuerTokens]) -> None:
    for one in issuers:
        await one.close()
