"""The clocks of logical clusters: where tests may move that of the server, each cluster has its own."""

from pilothouse.api.values.clock import SYSTEM, ServerClock
from pilothouse.lifecycle import Opened


class Clocks:
    """Makes clocks by the UIDs of clusters. `whole` is that of the server.

    How far a clock was moved is remembered while its cluster is not in memory, as long as the server runs.
    """

    def __init__(self, whole: ServerClock) -> None:
        self._whole = whole
        self._open: dict[str, ServerClock] = {}
        self._ahead: dict[str, float] = {}
        """UID -> seconds between the real time and that of a cluster that is not in memory."""

    def open(self, uid: str, opened: Opened) -> ServerClock:
        """The clock of a cluster, which is closed with `opened`."""
        if self._whole is SYSTEM:
            return SYSTEM
        from pilothouse.simulate import clock

        made = self._open[uid] = clock.Clock()
        made.advance(self._ahead.pop(uid, 0.0))

        async def end() -> None:
            self._ahead[uid] = self.ahead(uid)
            del self._open[uid]
            await made.close()

        opened.on_close("the clock", end)
        return made

    def ahead(self, uid: str) -> float:
        """By how many seconds the clock of a cluster was moved."""
        known = self._open.get(uid)
        return self._ahead.get(uid, 0.0) if known is None else max(known.time() - SYSTEM.time(), 0.0)

    def copy(self, uid: str, source: str) -> None:
        """Begin where the clock of another cluster is."""
        self.begin(uid, self.ahead(source))

    def begin(self, uid: str, ahead: float) -> None:
        """Begin `ahead` seconds after the real time."""
        if ahead > 0:
            self._ahead[uid] = ahead

    def forget(self, uid: str) -> None:
        """The cluster is gone."""
        self._ahead.pop(uid, None)
