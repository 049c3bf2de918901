"""Puts other JWT issuers in force when --authentication-config has changed, all of them or none."""

import asyncio
from collections.abc import Callable

from pilothouse.authn import configuration
from pilothouse.authn.configuration import Anonymous, AuthenticationConfiguration
from pilothouse.authn.oidc import IssuerTokens, JWTTokens
from pilothouse.reload import Files

PATIENCE = 60.0
"""Seconds within which all providers of a new configuration must be found."""


class AuthenticationReload:
    """A reload, which has other issuers judge tokens;
    `anonymous` is what the content in force says of anonymous requests.

    `make` validates a configuration and makes its issuers; `forget` is called when others are in force.
    """

    def __init__(
        self,
        anonymous: Anonymous | None,
        tokens: JWTTokens,
        make: Callable[[AuthenticationConfiguration], list[IssuerTokens]],
        *,
        forget: Callable[[], None] = lambda: None,
        patience: float = PATIENCE,
    ) -> None:
        self._anonymous = anonymous
        self._tokens = tokens
        self._make = make
        self._forget = forget
        self._patience = patience

    def read(self, files: Files) -> list[IssuerTokens]:
        """The issuers of the configuration in the only file; ValueError when it cannot be used."""
        [data] = files.values()
        config = configuration.read(data)
        if config.anonymous != self._anonymous:
            raise ValueError("the anonymous configuration changed: it needs a restart")
        return self._make(config)

    async def use(self, issuers: list[IssuerTokens]) -> None:
        """Have tokens judged by these issuers, once all their providers are found;
        TimeoutError when one is not."""
        if why := await self._find(issuers):
            raise TimeoutError(why)
        await self._tokens.replace(issuers, self._forget)

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
