"""Labels the secrets of legacy tokens with the day of their last use,
by which unused ones are found and removed (KEP-2799)."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.logs import Logger
from pilothouse.registry.client import Client

log = Logger(__name__)

LABEL = "kubernetes.io/legacy-token-last-used"


class LastUsed:
    """Called with a secret whose token was used; it is written beside the request, once a day.

    `clock` gives Unix seconds.
    """

    def __init__(self, client: Client, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock
        self._writing: dict[str, asyncio.Task[None]] = {}

    def __call__(self, secret: Object) -> None:
        """Begin to write, unless the label is of today or of tomorrow, or is being written."""
        metadata, now = secret["metadata"], datetime.fromtimestamp(self._clock(), UTC)
        today, tomorrow = (f"{now + timedelta(days=days):%Y-%m-%d}" for days in (0, 1))
        uid = metadata["uid"]
        if (metadata.get("labels") or {}).get(LABEL) in (today, tomorrow) or uid in self._writing:
            return
        task = asyncio.get_running_loop().create_task(
            self._write(metadata["namespace"], metadata["name"], uid, today), name=type(self).__name__
        )
        self._writing[uid] = task
        task.add_done_callback(lambda _: self._writing.pop(uid, None))

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._writing:
            await asyncio.wait(list(self._writing.values()))

    async def _write(self, namespace: str, name: str, uid: str, today: str) -> None:
        def edit(secret: Object) -> None:
            labels = dict(secret["metadata"].get("labels") or {})
            secret["metadata"]["labels"] = {**labels, LABEL: today}

        try:
            resource = self._client.resource("", "v1", "secrets")
            await self._client.change(resource, namespace, name, edit, uid=uid)
        except errors.StatusError as err:
            log.error("The last use of a legacy token was not written", secret=f"{namespace}/{name}", err=err)
