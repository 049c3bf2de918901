"""Follows changes of --authorization-config; a file that cannot be used leaves the authorizers as they are."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from pilothouse.authz import configuration
from pilothouse.authz.authorizer import Member, UnionAuthorizer
from pilothouse.authz.configuration import POLL, Entry
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger

log = Logger(__name__)


class Reload(BackgroundTask):
    """Looks at the file every `poll` seconds; `data` is its content that is in force."""

    def __init__(
        self,
        path: str,
        data: bytes,
        union: UnionAuthorizer,
        make: Callable[[Sequence[Entry]], list[Member]],
        metrics: AuthorizationMetrics,
        *,
        poll: float = POLL,
    ) -> None:
        self._path = Path(path)
        self._seen: bytes | None = data
        self._union = union
        self._make = make
        self._metrics = metrics
        self._poll = poll
        metrics.configured(data)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._poll)
            try:
                await self.look()
            except Exception:
                log.exception("The authorization configuration cannot be followed", path=str(self._path))

    async def look(self) -> None:
        """Read the file, and put what it says in force when it is new. What is wrong with a file is told once."""
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
            entries = await asyncio.to_thread(configuration.read, data)
            members = self._make(entries)
        except (ValueError, OSError) as err:
            self._kept(err)
            return
        self._union.replace(members)
        self._metrics.reloaded("success")
        self._metrics.configured(data)
        log.info("The authorization configuration was reloaded", authorizers=len(members))

    def _kept(self, err: Exception) -> None:
        self._metrics.reloaded("failure")
        log.error("The authorization configuration was not reloaded, the old one stays in force", err=err)
