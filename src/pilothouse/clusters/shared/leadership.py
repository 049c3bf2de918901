"""Sees to it that one of several servers makes and removes logical clusters."""

import asyncio

from pilothouse import errors
from pilothouse.clusters.controller import ClusterController
from pilothouse.clusters.shared.directory import SharedDirectory
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.storage.interface import StorageError

log = Logger(__name__)

PERIOD = 1.0
"""Seconds between two attempts."""


class Leadership(BackgroundTask):
    """Tries to lead, and has the controller take over when that succeeds."""

    def __init__(
        self, directory: SharedDirectory, controller: ClusterController, period: float = PERIOD
    ) -> None:
        self._directory = directory
        self._controller = controller
        self._period = period

    async def _run(self) -> None:
        await self._controller.synced()
        while True:
            if not self._directory.leads:
                await self._try()
            await asyncio.sleep(self._period)

    async def _try(self) -> None:
        try:
            if await self._directory.lead():
                log.info("This server makes and removes logical clusters")
                await self._controller.take_over()
        except (StorageError, errors.StatusError) as error:
            self._directory.resign()
            log.warning("Logical clusters are not looked after, it is tried again", err=error)
        except Exception:
            self._directory.resign()
            log.exception("Logical clusters are not looked after, it is tried again")
