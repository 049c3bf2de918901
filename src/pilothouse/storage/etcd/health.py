"""Checks with a quorum read at intervals whether etcd answers, for readyz and livez."""

import asyncio

from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.storage.etcd.backend import EtcdStorage
from pilothouse.storage.interface import StorageError

log = Logger(__name__)

PERIOD = 1.0
"""Seconds between two checks."""


class EtcdHealth(BackgroundTask):
    """Checks every PERIOD seconds whether etcd answers within `timeout` seconds."""

    def __init__(self, storage: EtcdStorage, timeout: float = 2.0) -> None:
        self._storage = storage
        self._timeout = timeout
        self._problem = ""

    def check(self) -> None:
        """Raise RuntimeError with the reason when etcd did not answer the last check."""
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
                if self._problem:
                    log.warning("etcd does not answer", err=self._problem)
                else:
                    log.info("etcd answers again")
            await asyncio.sleep(PERIOD)
