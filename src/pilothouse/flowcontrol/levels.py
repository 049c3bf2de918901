"""The priority levels of a server:
their seats, which they lend to each other, and their queues (KEP-1040)."""

import asyncio
from collections.abc import Callable, Iterable
from math import ceil, floor
from typing import Any

from pilothouse.api.values.fields import Object
from pilothouse.api.values.mandatory_flows import MANDATORY_LEVELS
from pilothouse.flowcontrol._seats import Kinds, Level, Series
from pilothouse.flowcontrol.borrowing import Demand, Need, allocate
from pilothouse.flowcontrol.retry import RetryAfter
from pilothouse.logs import Logger
from pilothouse.registry.readers import Readers

log = Logger(__name__)

EXEMPT = "exempt"
"""The level whose requests never wait."""
LEVELS = "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io"
WIDEST_PART = 0.15
"""The part of a level's nominal seats that one request may take at the most."""
SHARES = 30
"""The nominal shares of a limited level that does not say."""

Later = Callable[[float, Callable[[], None]], object]


def on_loop(seconds: float, call: Callable[[], None]) -> object:
    """Call back after some seconds."""
    return asyncio.get_running_loop().call_later(seconds, call)


class State:
    """One priority level.

    seats: what is in use, and who waits. nominal, lower, upper: the seats that its configuration gives it,
    those that nobody may borrow, and those that it has with all it may borrow.
    widest: the most seats for one request.
    uid: of the object, "" while there is none. leaving: the object is gone, and its last requests are served.
    """

    def __init__(self, seats: Level) -> None:
        self.seats = seats
        self.uid = ""
        self.spec: Object = {}
        self.leaving = False
        self.nominal = self.lower = self.upper = 0
        self.widest = 1
        self.target = 0.0
        self.demand = Demand()
        self.retry = RetryAfter()
        self.series: dict[str, Series] = {}
        """The counts, by flow schema."""

    @property
    def exempt(self) -> bool:
        """Whether its requests never wait."""
        return bool(self.spec["type"] == "Exempt")

    @property
    def limits(self) -> Object:
        """The member of the spec that has shares and percentages."""
        found: Object = self.spec.get("exempt" if self.exempt else "limited") or {}
        return found

    @property
    def queuing(self) -> Object:
        """The queues of the spec, {} where there are none."""
        found: Object = (self.limits.get("limitResponse") or {}).get("queuing") or {}
        return found

    @property
    def shares(self) -> int:
        """The level's shares of the server's seats, in relation to the shares of other levels."""
        found: int | None = self.limits.get("nominalConcurrencyShares")
        return found if found is not None else 0 if self.exempt else SHARES

    def series_of(self, schema: str) -> Series:
        """The counts of the requests of one flow schema."""
        found = self.series.get(schema)
        if found is None:
            found = self.series[schema] = Series()
        return found

    def forget(self, schemas: Iterable[str]) -> None:
        """Drop the counts of flow schemas that are not among `schemas` and have no requests."""
        kept = set(schemas)
        self.series = {n: one for n, one in self.series.items() if n in kept or not one.idle}

    def arrange(self, total: int, part: float) -> None:
        """Set the seats: `part` of `total`; the queues as the spec says."""
        limits, queuing = self.limits, self.queuing
        self.nominal = nominal = ceil(total * part)
        self.lower = nominal - _rounded(nominal * (limits.get("lendablePercent") or 0) / 100)
        borrowing = limits.get("borrowingLimitPercent")
        self.upper = nominal + (total if borrowing is None else _rounded(nominal * borrowing / 100))
        queues, hand = queuing.get("queues", 0), queuing.get("handSize", 0)
        widest = ceil(nominal * WIDEST_PART)
        self.widest = max(1, min(widest, nominal // hand) if hand else widest)
        self.seats.configure(-1 if self.exempt else queues, hand, queuing.get("queueLengthLimit", 0))

    def floor(self) -> int:
        """The seats of its own that a level does not lend now: the most that it wanted in the last period."""
        if self.exempt:
            return max(self.lower, self.demand.highest)
        return max(self.lower, min(self.nominal, self.demand.highest))


class Levels:
    """All priority levels of a server. Those that must exist do so even without an object."""

    def __init__(
        self,
        readers: Readers,
        total: int,
        *,
        later: Later = on_loop,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`total` seats are divided between the levels. `clock` gives seconds, None: the monotonic clock."""
        self.total = total
        self.kinds = Kinds(clock)
        self.fair = 0.0
        """The multiple of its need that a level gets."""
        self._later, self._clock = later, clock
        self._states: dict[str, State] = {}
        self._changed = True
        levels = readers.follow(LEVELS, self._level_changed)
        self._objects = {obj["metadata"]["name"]: obj for obj in levels}

    @property
    def states(self) -> dict[str, State]:
        """The levels that are in force, and those that still have requests, by name."""
        if self._changed:
            self._changed = False
            self._digest()
        return self._states

    def find(self, name: str) -> State | None:
        """The level that requests may go to, None if there is none of this name or its spec is broken."""
        found = self.states.get(name)
        return None if found is None or found.leaving else found

    def tick(self) -> None:
        """Apply changes, and drop levels that are gone and have served their last requests."""
        states = self.states
        if any(state.leaving and state.seats.idle for state in states.values()):
            self._digest()

    def _level_changed(self, key: str, new: Object | None, old: Object | None) -> None:
        name = (new or old or {})["metadata"]["name"]
        if new is None:
            self._objects.pop(name, None)
        else:
            self._objects[name] = new
        if new is None or old is None or new.get("spec") != old.get("spec"):
            self._changed = True

    def _digest(self) -> None:
        """Bring the levels in line with the objects."""
        wanted = {
            n: (o["spec"], o["metadata"].get("uid", "")) for n, o in self._objects.items() if _sound(n, o)
        }
        for name, spec in MANDATORY_LEVELS.items():
            wanted.setdefault(name, (spec, ""))
        states: dict[str, State] = {}
        for name, (spec, uid) in wanted.items():
            state = self._states.get(name) or State(Level(name, self.kinds, self._later, self._clock))
            state.spec, state.uid, state.leaving = spec, uid, False
            states[name] = state
        for name, state in self._states.items():
            if name not in states and not state.seats.idle:
                state.leaving = True
                states[name] = state
        self._states = states
        shares = sum(state.shares for state in states.values()) or 1
        for state in states.values():
            state.arrange(self.total, state.shares / shares)
        places = sum(
            s.queuing.get("queues", 0) * s.queuing.get("queueLengthLimit", 0) for s in states.values()
        )
        self.kinds.relate(places, sum(state.nominal for state in states.values()))
        self.adjust()

    def adjust(self) -> None:
        """Divide the seats anew, by what the levels have wanted since the last time."""
        states = self.states.values()
        for state in states:
            state.demand.update(*state.seats.demand())
            state.target = max(state.floor(), state.demand.smoothed)
        limited = [state for state in states if not state.exempt]
        total = sum(state.nominal for state in states)
        left = total - sum(state.floor() for state in states if state.exempt)
        for state, seats in zip(limited, self._divided(limited, total, left), strict=True):
            self._resize(state, seats)
        for state in states:
            if state.exempt:
                self._resize(state, state.floor())

    def _divided(self, limited: list[State], total: int, left: int) -> list[int]:
        """The seats of the levels that are not exempt: of `total`, of which exempt ones leave `left`."""
        floors, lowest = [s.floor() for s in limited], [s.lower for s in limited]
        self.fair = 0.0
        if left <= sum(lowest):
            return lowest
        if left <= sum(floors):
            part = (left - sum(lowest)) / (sum(floors) - sum(lowest))
            return [low + _rounded((high - low) * part) for low, high in zip(lowest, floors, strict=True)]
        try:
            needs = (Need(high, s.upper, s.target) for s, high in zip(limited, floors, strict=True))
            shares, self.fair = allocate(total, tuple(needs))
        except ValueError as err:
            log.error("The seats of the priority levels cannot be divided", err=err)
            return [state.seats.limit for state in limited]
        return [_rounded(share) for share in shares]

    def _resize(self, state: State, seats: int) -> None:
        """Set the seats of a level; the metrics of one without seats relate to a tenth of the server's."""
        state.seats.resize(seats, seats or max(1, _rounded(self.total / 10)))


def _rounded(value: float) -> int:
    """The nearest integer; halves go up, as in Go."""
    return floor(value + 0.5)


def _sound(name: str, obj: Object) -> bool:
    """Whether a spec is complete: only the level `exempt` is exempt,
    and queues are there just where they are used."""
    spec: Any = obj.get("spec") or {}
    exempt = spec.get("type") == "Exempt"
    if exempt != (name == EXEMPT) or (spec.get("type") == "Limited") != bool(spec.get("limited")):
        return False
    response = (spec.get("limited") or {}).get("limitResponse") or {}
    return exempt or (response.get("type") == "Reject") != bool(response.get("queuing"))
