"""The memory budget of a server (--max-memory):
what a request will probably take is charged before it is served.

A request that does not fit waits, and is refused with 429 when it has waited too long; nothing of it has been
made by then. Requests of administrators and of the exempt level are charged, and never wait. All requests of
a logical cluster have one payer, and the payer may hold a part of the room only (MemoryShare). Small requests
are not charged: there are never more of them than seats. What is in use is what the system says of the
process, or what it was at rest plus what is charged, whichever is more.
When that nears the limit, caches shrink and the watches of slow clients end.
"""

import asyncio
from collections.abc import Callable, Sequence

from pilothouse import errors
from pilothouse.api.values.identity import RequestInfo
from pilothouse.flowcontrol.gate import refusal
from pilothouse.flowcontrol.width import Query, Widths
from pilothouse.lifecycle import BackgroundTask
from pilothouse.metrics.instruments import Counter, Gauge, Group
from pilothouse.process.record import record

PERIOD = 0.25
"""Seconds between two looks at the memory of the process."""
RELIEF = 1.0
"""Seconds between two reliefs, at least."""
HIGH = 0.9
"""The share of the limit above which memory is looked for."""
SMALL = 128 * 1024
"""Bytes of a list or a body up to which it is not charged."""
BUFFERS = 1 << 20
"""Bytes that a streamed answer may have in the pump, in TLS and in the transport, however long it is."""
DECODED = 16
"""Bytes of memory for a byte of a body: its text, the decoded object, and the copies that a write makes. 13
were measured for one long text, 17 for 30,000 short ones."""
REFERENCES = 64
"""Bytes of a list for one byte of references to its objects."""
MOST_WAITING = 256
"""Requests that may wait for memory; the next one is refused."""
PARTS = 4
"""One logical cluster may hold one in so many bytes of what requests may take."""
CHARGED = frozenset(("list", "watch", "deletecollection"))
"""Verbs that read many objects."""


@record(eq=False)
class _Waiter:
    """A request that waits for memory."""

    user: str
    need: int
    granted: asyncio.Future[None]
    parts: int


class MemoryBudget(BackgroundTask, Group):
    """The budget, and the group of its metrics.

    `resident` tells the bytes of the process; `relievers` are called, in order, when memory is short;
    `give_back` returns freed memory to the system, on a thread.
    """

    def __init__(
        self,
        limit: int,
        widths: Widths,
        resident: Callable[[], int],
        relievers: Sequence[Callable[[], object]] = (),
        give_back: Callable[[], object] = lambda: None,
    ) -> None:
        self.limit = limit
        self.charged = 0
        self._widths = widths
        self._ask, self._give_back = resident, give_back
        self.relievers = [*relievers]
        self._resident = self._idle = self._least = resident()
        """The memory of the process: at the last look, when nothing was charged, and the least."""
        self._new = 0
        """Bytes charged since the last look."""
        self._relieved = float("-inf")
        self._waiting: list[_Waiter] = []
        self._held: dict[str, int] = {}
        self._limit = Gauge("pilothouse_memory_limit_bytes", "[ALPHA] The memory budget of this process.")
        self._limit.set(limit)
        self._used = Gauge(
            "pilothouse_memory_used_bytes",
            "[ALPHA] Bytes of the memory budget that are in use, or will be.",
            (),
            lambda: {(): self.used},
        )
        self._charged = Gauge(
            "pilothouse_memory_charged_bytes",
            "[ALPHA] Bytes that requests under way will probably take.",
            (),
            lambda: {(): self.charged},
        )
        self._in_line = Gauge(
            "pilothouse_memory_waiting_requests",
            "[ALPHA] Requests that wait for memory.",
            (),
            lambda: {(): len(self._waiting)},
        )
        self.refused = Counter(
            "pilothouse_memory_refused_requests_total",
            "[ALPHA] Requests that were refused for want of memory, by reason: too-large, time-out,"
            " queue-full.",
            ("reason",),
        )
        self.reliefs = Counter(
            "pilothouse_memory_reliefs_total",
            "[ALPHA] How often caches have shrunk and watches of slow clients have ended, to free memory.",
        )

    @property
    def used(self) -> int:
        """Bytes in use, or soon in use by requests that have been admitted."""
        return max(self._idle + self.charged, self._resident + self._new)

    def need(self, info: RequestInfo, query: Query, body: int) -> int:
        """The bytes that a request with a body of `body` bytes will probably take; 0 for a small one."""
        return _need(self._widths, info, query, body)

    async def enter(self, user: str, need: int, seconds: float, *, exempt: bool, parts: int = 0) -> None:
        """Charge a request, as soon as there is room; TooManyRequests after `seconds`.
        `leave` gives the bytes back. parts: the user may hold one in so many bytes of the room, 0 for all;
        one request is let in whatever its size."""
        loop = asyncio.get_running_loop()
        waiter = _Waiter(user, need, loop.create_future(), parts)
        if exempt or (not self._waiting and self._may(waiter) and self.used + need <= self.limit):
            self._charge(user, need)
            return
        if self._least + need > self.limit:
            raise self._refusal("too-large", waiter)
        if self._is_full(waiter):
            raise self._refusal("queue-full", waiter)
        self._waiting.append(waiter)
        self._admit()
        timer = loop.call_later(seconds, self._give_up, waiter)
        try:
            await waiter.granted
        except BaseException:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif not waiter.granted.cancelled() and waiter.granted.exception() is None:
                self.leave(user, need)
            raise
        finally:
            timer.cancel()

    def leave(self, user: str, need: int) -> None:
        """Give back what a request was charged."""
        self.charged -= need
        left = self._held[user] - need
        if left:
            self._held[user] = left
        else:
            del self._held[user]
        self._admit()

    def _charge(self, user: str, need: int) -> None:
        self.charged += need
        self._new += need
        self._held[user] = self._held.get(user, 0) + need

    def _admit(self) -> None:
        """Let those who wait go on while there is room:
        the next one is always a request of the user who holds least."""
        while able := self._able():
            first = min(able, key=lambda waiter: self._held.get(waiter.user, 0))
            if self.used + first.need > self.limit:
                return
            self._waiting.remove(first)
            if not first.granted.done():
                self._charge(first.user, first.need)
                first.granted.set_result(None)

    def _give_up(self, waiter: _Waiter) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
            waiter.granted.set_exception(self._refusal("time-out", waiter))

    def _able(self) -> list[_Waiter]:
        """The requests that wait for nothing but room: others wait for those of their own cluster."""
        return [waiter for waiter in self._waiting if self._may(waiter)]

    def _may(self, waiter: _Waiter) -> bool:
        """Whether the user of a request may hold what it needs."""
        held = self._held.get(waiter.user, 0)
        return not (waiter.parts and held) or held + waiter.need <= (self.limit - self._idle) // waiter.parts

    def _is_full(self, waiter: _Waiter) -> bool:
        alike = [one for one in self._waiting if one.parts == waiter.parts]
        mine = sum(one.user == waiter.user for one in alike)
        most = MOST_WAITING // (waiter.parts or 1)
        return mine >= most or len(alike) >= MOST_WAITING

    def _refusal(self, reason: str, waiter: _Waiter) -> errors.TooManyRequests:
        self.refused.inc(reason)
        text = f"the request needs about {waiter.need} bytes of memory, and "
        if waiter.parts:  # what others use is nothing that a cluster may know
            text += f"the cluster's requests hold {self._held.get(waiter.user, 0)}"
        else:
            text += f"{self.used} of {self.limit} are in use"
        return refusal(1, [{"reason": "Memory", "message": text}])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            await self.look()

    async def look(self) -> None:
        """See how much the process takes, free memory when it is short, and let go on who fits now."""
        self._sample()
        now = asyncio.get_running_loop().time()
        if (self._able() or self.used > HIGH * self.limit) and now - self._relieved >= RELIEF:
            self._relieved = now
            self.reliefs.inc()
            for relieve in self.relievers:
                relieve()
            await asyncio.to_thread(self._give_back)
            self._sample()
        self._admit()

    def _sample(self) -> None:
        self._resident, self._new = self._ask(), 0
        self._least = min(self._least, self._resident)
        if not self.charged:
            self._idle = self._resident


class MemoryShare:
    """The part of one logical cluster in the budget of a server. All of its requests have one payer, and
    those of its administrators wait like others: who they are is the tenant's word."""

    def __init__(self, whole: MemoryBudget, widths: Widths, payer: str) -> None:
        self._whole, self._widths, self._payer = whole, widths, payer

    def need(self, info: RequestInfo, query: Query, body: int) -> int:
        """The bytes that a request will probably take, as MemoryBudget tells them."""
        return _need(self._widths, info, query, body)

    async def enter(self, user: str, need: int, seconds: float, *, exempt: bool) -> None:
        """Charge the cluster, as soon as there is room; TooManyRequests after `seconds`."""
        await self._whole.enter(self._payer, need, seconds, exempt=False, parts=PARTS)

    def leave(self, user: str, need: int) -> None:
        """Give back what a request was charged."""
        self._whole.leave(self._payer, need)


def _need(widths: Widths, info: RequestInfo, query: Query, body: int) -> int:
    need = DECODED * body if body > SMALL else 0
    if info.verb in CHARGED and (listed := int(widths.expected(info, query))) > SMALL:
        need += min(listed, BUFFERS) + listed // REFERENCES
    return need
