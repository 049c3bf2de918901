"""Renews the certificates that a server has made for itself, while it runs."""

import asyncio
import os
from collections.abc import Callable

from pilothouse import pki
from pilothouse.configuration.config import Config
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger

log = Logger(__name__)

INTERVAL = 12 * 3600.0
"""Seconds between two looks; a certificate is renewed in the last thirty days of its life."""


class Renewal(BackgroundTask):
    """Renews, every `interval` seconds, the certificates that are about to expire, and calls `renewed`
    after that.

    `config` is the configuration as the flags give it. The listener sees a new serving certificate by itself.
    The CAs stay: what has been given out in their name goes by them.
    """

    def __init__(
        self, config: Config, files: pki.Files, renewed: Callable[[], None], interval: float = INTERVAL
    ) -> None:
        self._config = config
        self._paths = [path for path in (files.admin_cert, files.kubelet_cert, files.proxy_cert) if path]
        self._renewed = renewed
        self._interval = interval

    async def _run(self) -> None:
        seen = self._written()
        while True:
            await asyncio.sleep(self._interval)
            try:
                await asyncio.to_thread(pki.prepare, self._config, keep_authorities=True)
            except Exception as error:
                log.warning("Certificates were not renewed, it is tried again", err=error)
                continue
            if (now := self._written()) != seen:  # by this process, or by another one with the same directory
                seen = now
                log.info("Certificates were renewed")
                self._renewed()

    def _written(self) -> list[int]:
        return [os.stat(path).st_mtime_ns if os.path.exists(path) else 0 for path in self._paths]
