"""Keeps the pools of cluster IPs and node ports true to the stored services (upstream's repair controllers)."""

import asyncio
from typing import Any

from pilothouse.api.fields import Object
from pilothouse.registry.readers import Readers

INTERVAL = 180.0
"""Seconds between two looks; what nobody used at two of them is free again."""


class PoolRepair:
    """Takes what other servers gave out as soon as it is seen, and frees what writes that failed left behind."""

    def __init__(self, readers: Readers, services: Any) -> None:
        self.readers = readers
        self.services = services
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look now, then at every interval and at every new service."""
        self.repair()
        self.readers.subscribe("services", self._changed)
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._again)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def repair(self) -> None:
        """Compare the pools with the services."""
        stored = list(self.readers.list("services"))
        self.services.addresses.repair(stored)
        self.services.node_ports.repair(stored)

    def _changed(self, key: str, new: Object | None, old: Object | None) -> None:
        if new is not None:
            self.services.addresses.take([new])
            self.services.node_ports.take([new])

    def _again(self) -> None:
        self.repair()
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._again)
