from asyncio import Future
from collections.abc import Callable

from pilothouse.api.values.identity import RequestInfo, User
from pilothouse.metrics._instruments import Distribution

BUCKETS: dict[str, tuple[float, ...]]

class Timing:
    distribution: Distribution
    def __init__(self, bounds: tuple[float, ...], at: float) -> None: ...

class Kinds:
    waiting_bytes: int
    def __init__(self, clock: Callable[[], float] | None = None) -> None: ...
    def relate(self, waiting: int, executing: int) -> None: ...
    def timings(self) -> dict[tuple[str, ...], Distribution]: ...

class Series:
    dispatched: int
    executing: int
    executing_seats: int
    waiting: int
    waiting_seats: int
    queue_full: int
    concurrency_limit: int
    timed_out: int
    cancelled: int
    crowded: int
    let_go: int
    waits: Distribution
    vain: Distribution
    regular: Distribution
    watches: Distribution
    lengths: Distribution
    watchers: Distribution
    estimates: Distribution
    @property
    def idle(self) -> bool: ...

class Line: ...

class Queue:
    index: int
    executing: int
    seats_in_use: int
    initial_seats: int
    max_seats: int
    size: int
    next_dispatch: float
    def __init__(self, index: int) -> None: ...
    @property
    def work(self) -> float: ...
    @property
    def waiting(self) -> int: ...
    def tickets(self) -> list[Ticket]: ...

class Flow:
    level: Level
    series: Series
    schema: str
    distinguisher: str
    hand: tuple[int, ...]
    uids: tuple[str, str] | None
    def __init__(
        self,
        level: Level,
        series: Series,
        schema: str,
        distinguisher: str = "",
        hand: tuple[int, ...] = (),
        uids: tuple[str, str] | None = None,
    ) -> None: ...
    def enter(
        self,
        user: User | None,
        info: RequestInfo | None,
        seats: int = 1,
        final_seats: int = 0,
        extra: float = 0.0,
        mutating: bool = False,
        size: int = 0,
    ) -> Ticket: ...
    def at_once(self, user: User | None, info: RequestInfo | None) -> Ticket | None: ...

class Ticket:
    flow: Flow
    user: User | None
    info: RequestInfo | None
    seats: int
    final_seats: int
    extra: float
    arrived: float
    started: float
    reason: str
    heavy: bool
    size: int
    answered: bool
    mutating: bool
    waiter: Future[None] | None
    @property
    def running(self) -> bool: ...
    @property
    def waiting(self) -> bool: ...
    @property
    def lingering(self) -> bool: ...
    @property
    def refused(self) -> bool: ...
    @property
    def schema(self) -> str: ...
    @property
    def level(self) -> str: ...
    @property
    def queue_index(self) -> int: ...
    @property
    def waited(self) -> float: ...
    def release(self) -> None: ...
    def time_out(self) -> None: ...
    def linger(self) -> None: ...

class Level:
    name: str
    queues: int
    hand_size: int
    length_limit: int
    limit: int
    waiting: int
    waiting_seats: int
    executing: int
    seats_in_use: int
    kept: int
    narrow: int
    dispatched: int
    rejected: int
    timed_out: int
    cancelled: int
    meter: float
    dispatch_meter: float
    latest_start: float
    next_min: float
    next_max: float
    discounted_min: float
    discounted_max: float
    def __init__(
        self,
        name: str,
        kinds: Kinds,
        later: Callable[[float, Callable[[], None]], object],
        clock: Callable[[], float] | None = None,
    ) -> None: ...
    def configure(self, queues: int, hand_size: int = 0, length_limit: int = 0) -> None: ...
    def resize(self, limit: int, usual: int) -> None: ...
    @property
    def idle(self) -> bool: ...
    @property
    def used(self) -> bool: ...
    def queues_in_use(self) -> dict[int, Queue]: ...
    def served_tickets(self) -> list[Ticket]: ...
    def timings(self) -> tuple[Distribution, Distribution, Distribution, Distribution]: ...
    def demand(self) -> tuple[float, float, float, int]: ...
    def let_go(self, seconds: float) -> None: ...
