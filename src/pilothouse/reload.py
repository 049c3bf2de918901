"""Follows a configuration file while the server runs: a new one comes into force, one that cannot be used changes nothing."""

import asyncio
import time
from abc import abstractmethod
from pathlib import Path

from pilothouse.instruments import Counter, Gauge, digest
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger

log = Logger(__name__)


class ReloadMetrics:
    """The metrics of a configuration that is followed: its reloads, and which one is in force.

    kind: authentication or authorization. `server_id` is the name of this API server's lease. For a Group to be derived
    from. Upstream: apiserver pkg/server/options/{authentication,authorization}config/metrics.
    """

    def __init__(self, kind: str) -> None:
        self.server_id = ""
        self._in_force = ""
        prefix = f"apiserver_{kind}_config_controller_"
        self.reloads = Counter(
            f"{prefix}automatic_reloads_total",
            f"[BETA] Reloads of the {kind} configuration.",
            ("apiserver_id_hash", "status"),
        )
        self.last_reload = Gauge(
            f"{prefix}automatic_reload_last_timestamp_seconds",
            f"[BETA] Time of the last reload of the {kind} configuration.",
            ("apiserver_id_hash", "status"),
        )
        self.configuration = Gauge(
            f"{prefix}last_config_info",
            f"[ALPHA] The {kind} configuration that is in force, by its hash.",
            ("apiserver_id_hash", "hash"),
            lambda: {(digest(self.server_id), self._in_force): 1.0} if self._in_force else {},
        )

    def reloaded(self, status: str) -> None:
        """Count a reload: success or failure."""
        server = digest(self.server_id)
        self.reloads.inc(server, status)
        self.last_reload.set(time.time(), server, status)

    def configured(self, data: bytes) -> None:
        """Show which configuration is in force."""
        self._in_force = digest(data)


class FollowedFile(BackgroundTask):
    """Looks at the file of a configuration every `poll` seconds.

    kind: what the log calls it. data: its content that is in force.
    """

    def __init__(self, kind: str, path: str, data: bytes, metrics: ReloadMetrics, poll: float) -> None:
        self._kind = kind
        self._path = Path(path)
        self._seen: bytes | None = data
        self._metrics = metrics
        self._poll = poll
        metrics.configured(data)

    @abstractmethod
    async def _take(self, data: bytes) -> None:
        """Put another content in force as a whole; ValueError or OSError when it cannot be used, and then nothing."""

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._poll)
            try:
                await self.look()
            except Exception:
                log.exception("A configuration cannot be followed", kind=self._kind, path=str(self._path))

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
            await self._take(data)
        except (ValueError, OSError) as err:
            self._kept(err)
            return
        self._metrics.reloaded("success")
        self._metrics.configured(data)
        log.info("A configuration was reloaded", kind=self._kind)

    def _kept(self, err: Exception) -> None:
        self._metrics.reloaded("failure")
        log.error("A configuration was not reloaded, the old one stays in force", err=err, kind=self._kind)
