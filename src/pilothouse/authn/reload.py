"""Follows changes of --authentication-config; a file that cannot be used leaves the authenticators as they are."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from pilothouse.authn import configuration
from pilothouse.authn.configuration import POLL, Anonymous, AuthenticationConfiguration
from pilothouse.authn.metrics import JWTMetrics
from pilothouse.authn.oidc import IssuerTokens, JWTTokens
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger

log = Logger(__name__)

PATIENCE = 60.0
"""Seconds within which all providers of a new configuration must be found."""


class Reload(BackgroundTask):
    """Looks at the file every `poll` seconds; `data` is its content that is in force, `anonymous` what it says of that.

    `make` validates a configuration and makes its issuers; `forget` is called when others are in force.
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
        self._path = Path(path)
        self._seen: bytes | None = data
        self._anonymous = anonymous
        self._tokens = tokens
        self._make = make
        self._metrics = metrics
        self._forget = forget
        self._poll = poll
        self._patience = patience
        metrics.configured(data)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._poll)
            try:
                await self.look()
            except Exception:
                log.exception("The authentication configuration cannot be followed", path=str(self._path))

    async def look(self) -> None:
        """Read the file, and put what it says in force when it is new.

        What is wrong with a file is told once; providers that are not found are looked for again the next time.
        """
        try:
            data = await asyncio.to_thread(self._path.read_bytes)
        except OSError as err:
            if self._seen is not None:
                self._seen = None
                self._kept(err)
            return
        if data == self._seen:
            return
        self._seen = data
        try:
            issuers = await asyncio.to_thread(self._read, data)
        except (ValueError, OSError) as err:
            self._kept(err)
            return
        if why := await self._find(issuers):
            self._seen = b""
            self._kept(TimeoutError(why))
            return
        await self._tokens.replace(issuers)
        self._forget()
        self._metrics.reloaded("success")
        self._metrics.configured(data)
        log.info("The authentication configuration was reloaded", issuers=len(issuers))

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

    def _kept(self, err: Exception) -> None:
        self._metrics.reloaded("failure")
        log.error("The authentication configuration was not reloaded, the old one stays in force", err=err)


async def _close(issuers: list[IssuerTokens]) -> None:
    for one in issuers:
        await one.close()
