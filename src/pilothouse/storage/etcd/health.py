"""Whether etcd answers: a quorum read now and then, for readyz and livez."""

import asyncio
import logging

from pilothouse.lifecycle import BackgroundTask
from pilothouse.storage.etcd.backend import EtcdStorage
from pilothouse.storage.interface import StorageError

log = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between two looks."""


class EtcdHealth(BackgroundTask):
    """Looks every PERIOD seconds whether etcd answers within `timeout` seconds."""

    def __init__(self, storage: EtcdStorage, timeout: float = 2.0) -> None:
        self._storage = storage
        self._timeout = timeout
        self._problem = ""

    def check(self) -> None:
        """Raise RuntimeError with the reason when the last look found etcd silent."""
        if self._problem:
            raise RuntimeError(f"error getting data from etcd: {self._problem}")

    async def _run(self) -> None:
        while True:
            before = self._problem
            try:
                await self._storage.probe(self._timeout)
                self._problem = ""
            except StorageError as error:
                self._problem = str(error)
            if bool(before) != bool(self._problem):
                log.warning("etcd does not answer: %s", self._problem) if self._problem else log.info(
                    "etcd answers again"
                )
            await asyncio.sleep(PERIOD)
