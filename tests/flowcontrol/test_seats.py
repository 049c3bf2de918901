"""Seats and queues of a priority level, against a plain model of upstream's fair queuing."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pilothouse.api.values.identity import RequestInfo
from pilothouse.flowcontrol._seats import Flow, Kinds, Level, Series, Ticket
from pilothouse.flowcontrol.sharding import hand_of

SERVICE = 0.003


class Clock:
    """Time that a test moves, with calls that are due later."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def __call__(self) -> float:
        return self.now

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.due.append((self.now + seconds, call))

    def move(self, seconds: float) -> None:
        self.move_to(self.now + seconds)

    def move_to(self, end: float) -> None:
        while ready := [row for row in self.due if row[0] <= end]:
            row = min(ready, key=lambda row: row[0])
            self.due.remove(row)
            self.now = row[0]
            row[1]()
        self.now = end


def level_of(
    clock: Clock, queues: int = 8, hand: int = 2, length: int = 5, limit: int = 4, name: str = "l"
) -> Level:
    level = Level(name, Kinds(clock), clock.later, clock)
    level.configure(queues, hand, length)
    level.resize(limit, limit or 1)
    return level


def flow_of(level: Level, user: str = "u", schema: str = "s") -> Flow:
    hand = hand_of(schema, user, level.hand_size, level.queues)
    return Flow(level, Series(), schema, user, hand)


# The model: upstream's queue set, with nothing kept that can be counted anew


@dataclass(eq=False)
class Asked:
    """A request of the model."""

    queue: int
    seats: int
    final: int
    extra: float
    arrival: float
    began: float = 0.0

    @property
    def width(self) -> int:
        return max(self.seats, self.final)

    @property
    def work(self) -> float:
        return self.seats * SERVICE + self.final * self.extra


@dataclass
class Model:
    """apiserver fairqueuing/queueset, as its doc.go tells it,
    with seats that are kept for narrow requests."""

    queues: int
    length: int
    limit: int
    meter: float = 0.0
    robin: int = 0
    enqueued: int = 0
    starts: dict[int, float] = field(default_factory=dict)
    waiting: list[Asked] = field(default_factory=list)
    running: list[Asked] = field(default_factory=list)
    lingering: list[Asked] = field(default_factory=list)

    def used(self) -> int:
        return sum(one.width for one in self.running + self.lingering)

    def active(self) -> set[int]:
        return {one.queue for one in self.waiting + self.running}

    def pass_time(self, seconds: float) -> None:
        wanted = self.used() + sum(one.width for one in self.waiting)
        if self.active():
            self.meter += seconds * min(wanted, self.limit) / len(self.active())

    def line(self, queue: int) -> list[Asked]:
        return [one for one in self.waiting if one.queue == queue]

    def arrive(self, hand: tuple[int, ...], seats: int, final: int, extra: float) -> Asked | None:
        turned = [hand[(self.enqueued + i) % len(hand)] for i in range(len(hand))]
        self.enqueued += 1
        queue = min(turned, key=lambda q: sum(round(one.work * 1e8) for one in self.line(q)))
        if self.used() >= self.limit and len(self.line(queue)) >= self.length:
            return None
        if queue not in self.active():
            self.starts[queue] = self.meter
        asked = Asked(queue, seats, final, extra, self.meter)
        self.waiting.append(asked)
        self.bound(queue)
        self.dispatch()
        return asked

    def dispatch(self) -> None:
        while self.waiting and self.used() < self.limit:
            order = [(self.robin + 1 + i) % self.queues for i in range(self.queues)]
            heads = [self.line(q)[0] for q in order if self.line(q)]
            first = min(heads, key=self.finish)
            narrow = [one for one in heads if one.width == 1]
            kept, taken = self.limit // 8, sum(1 for one in self.running if one.width == 1)
            left = self.limit - self.used()
            if first.width > 1 and first.width + kept > self.limit:
                if self.running:
                    return
            elif first.width > 1 and first.width > left - max(kept - taken, 0):
                if not narrow or taken >= kept:
                    return
                first = min(narrow, key=self.finish)
            if first.final > self.limit:
                first.extra, first.final = first.final * first.extra / self.limit, self.limit
            self.robin = first.queue
            self.waiting.remove(first)
            self.running.append(first)
            first.began = NOW[0]
            self.starts[first.queue] += first.work
            self.bound(first.queue)

    def finish(self, one: Asked) -> float:
        return self.starts[one.queue] + one.work

    def bound(self, queue: int) -> None:
        if self.line(queue):
            self.starts[queue] = max(self.starts[queue], self.line(queue)[0].arrival)

    def end(self, one: Asked) -> None:
        self.running.remove(one)
        self.starts[one.queue] -= one.seats * (SERVICE - (NOW[0] - one.began))
        self.bound(one.queue)
        if one.extra and one.final:
            self.lingering.append(one)
        self.dispatch()

    def leave(self, one: Asked) -> None:
        self.waiting.remove(one)
        self.bound(one.queue)
        self.dispatch()


NOW = [0.0]
"""The time of the model."""


@pytest.mark.parametrize("seed", range(60))
def test_the_same_requests_have_seats_as_in_the_model(seed: int) -> None:
    rng = random.Random(seed)
    clock = Clock()
    queues, hand, length, limit = rng.choice(
        [(8, 2, 3, 5), (16, 4, 5, 10), (1, 1, 10, 2), (4, 4, 2, 7), (8, 2, 5, 24)]
    )
    level, model = level_of(clock, queues, hand, length, limit), Model(queues, length, limit)
    flows = [flow_of(level, f"user-{i}") for i in range(6)]
    live: list[tuple[Ticket, Asked]] = []

    def move(seconds: float) -> None:
        """Let time pass in both, up to each moment at which seats that were kept become free."""
        end = clock.now + seconds
        while True:
            due = min([at for at, _ in clock.due if at <= end], default=end)
            model.pass_time(due - clock.now)
            clock.move_to(due)
            NOW[0] = clock.now
            kept = [asked for ticket, asked in live if asked in model.lingering and not ticket.lingering]
            for asked in kept:
                model.lingering.remove(asked)
            if kept:
                model.dispatch()
            if due == end:
                return

    for _ in range(400):
        NOW[0] = clock.now
        what = rng.random()
        running = [pair for pair in live if pair[0].running]
        waiting = [pair for pair in live if pair[0].waiting]
        if what < 0.5:
            flow = rng.choice(flows)
            seats = rng.choice([1, 1, 1, 2, 3, limit // 3 + 1, limit + 1])
            final, extra = rng.choice([(0, 0.0), (0, 0.0), (2, rng.uniform(1 / 256, 1 / 64))])
            ticket = flow.enter(None, None, seats, final, extra)
            asked = model.arrive(flow.hand, seats, final, extra)
            assert ticket.refused == (asked is None)
            if asked is not None:
                live.append((ticket, asked))
        elif what < 0.75 and running:
            ticket, asked = rng.choice(running)
            ticket.release()
            model.end(asked)
        elif what < 0.8 and waiting:
            ticket, asked = rng.choice(waiting)
            rng.choice([ticket.release, ticket.time_out])()
            model.leave(asked)
        else:
            move(rng.choice([1, 3, 20]) / 1024)
        assert [t.running for t, _ in live] == [asked in model.running for _, asked in live]
        assert [t.waiting for t, _ in live] == [asked in model.waiting for _, asked in live]
        assert level.seats_in_use == model.used()
        level.demand()  # moves the meter up to now
        assert level.meter == pytest.approx(model.meter)
        live = [(t, a) for t, a in live if t.running or t.waiting or a in model.lingering]
    for ticket, _ in live:
        ticket.release()
    clock.move(10)
    assert level.idle and level.seats_in_use == 0 and level.queues_in_use() == {}


# Fairness


def delivered(level: Level, clock: Clock, clients: dict[str, int], width: dict[str, int]) -> dict[str, float]:
    """Seat-seconds of each user in 20 s, whose clients ask again as soon as they are answered after 50 to 150
    ms, and with the name `user waits` the mean of the user's waits in seconds."""
    rng = random.Random(1)
    got = dict.fromkeys(clients, 0.0)
    waits: dict[str, list[float]] = {user: [] for user in clients}
    ends: dict[Ticket, float] = {}
    flows = {user: flow_of(level, user) for user in clients}
    live: list[tuple[str, Ticket]] = []
    for _ in range(2000):
        for user, count in clients.items():
            mine = sum(1 for one, _ in live if one == user)
            for _ in range(count - mine):
                ticket = flows[user].enter(None, None, width.get(user, 1))
                if not ticket.refused:
                    live.append((user, ticket))
        clock.move(0.01)
        for user, ticket in live:
            if ticket.running:
                got[user] += 0.01 * ticket.seats
                if ends.setdefault(ticket, ticket.started + rng.uniform(0.05, 0.15)) <= clock.now:
                    waits[user].append(ticket.waited)
                    ticket.release()
        live = [(user, ticket) for user, ticket in live if ticket.running or ticket.waiting]
    return got | {f"{user} waits": sum(times) / len(times) for user, times in waits.items()}


def test_a_flood_does_not_take_what_another_needs() -> None:
    clock = Clock()
    level = level_of(clock, queues=64, hand=6, length=50, limit=10)
    got = delivered(level, clock, {"flood": 150, "modest": 3}, {})
    assert got["modest waits"] < 0.05 and got["flood waits"] > 1
    assert got["modest"] / 20 > 2 and got["flood"] / 20 < 8


def test_wide_requests_count_as_what_they_are() -> None:
    clock = Clock()
    level = level_of(clock, queues=64, hand=1, length=50, limit=12)
    users = ["narrow", "wide"]
    assert len({hand_of("s", user, 1, 64) for user in users}) == 2
    got = delivered(level, clock, {"narrow": 40, "wide": 40}, {"wide": 4})
    assert 0.7 < got["wide"] / got["narrow"] < 1.4


# Refusals, waiting and leaving


def test_without_queues_what_finds_no_seats_is_refused() -> None:
    clock = Clock()
    level = level_of(clock, queues=0, limit=2)
    flow = flow_of(level)
    first, second, third = (flow.enter(None, None) for _ in range(3))
    assert (first.running, second.running, third.refused, third.reason) == (
        True,
        True,
        True,
        "concurrency-limit",
    )
    first.release()
    first.release()  # once is enough
    assert flow.enter(None, None).running
    assert (level.executing, level.rejected, flow.series.concurrency_limit) == (2, 1, 1)


def test_without_queues_and_seats_everything_is_refused() -> None:
    level = level_of(Clock(), queues=0, limit=0)
    assert flow_of(level).enter(None, None).reason == "concurrency-limit"
    assert level.executing == 0


def test_narrow_requests_do_not_wait_for_wide_ones_of_another() -> None:
    """One seat in eight is for requests that need one:
    wide ones may not take it, and do not wait longer for that."""
    clock = Clock()
    level = level_of(clock, queues=8, hand=1, length=50, limit=16)
    wide, narrow = Flow(level, Series(), "s", "w", (0,)), Flow(level, Series(), "s", "n", (1,))
    served = [wide.enter(None, None, 5) for _ in range(3)]
    assert [t.running for t in served] == [True, True, False] and level.kept == 2
    clock.move(1)  # by virtual time, the wide one is the next
    small = [narrow.enter(None, None) for _ in range(5)]
    assert [t.running for t in small] == [True, True, False, False, False]
    served[0].release()
    assert served[2].running and [t.running for t in small].count(True) == 5
    for ticket in (*served, *small):
        ticket.release()
    assert level.idle and level.narrow == 0


def test_what_is_too_wide_is_not_overtaken() -> None:
    clock = Clock()
    level = level_of(clock, queues=8, hand=1, length=50, limit=16)
    wide, narrow = Flow(level, Series(), "s", "w", (0,)), Flow(level, Series(), "s", "n", (1,))
    first, whole = narrow.enter(None, None), wide.enter(None, None, 15)
    clock.move(1)
    last = narrow.enter(None, None)
    assert whole.waiting and last.waiting
    first.release()
    assert whole.running and last.running


def test_a_level_with_queues_and_no_seats_holds_its_requests() -> None:
    clock = Clock()
    level = level_of(clock, limit=0, length=1, hand=1)
    flow = flow_of(level)
    held, refused = flow.enter(None, None), flow.enter(None, None)
    assert held.waiting and refused.reason == "queue-full"
    level.resize(1, 1)
    assert held.running


def test_wider_than_the_level_means_alone() -> None:
    level = level_of(Clock(), queues=0, limit=2)
    flow = flow_of(level)
    wide = flow.enter(None, None, 5)
    assert wide.running and flow.enter(None, None).refused
    wide.release()
    narrow = flow.enter(None, None)
    assert flow.enter(None, None, 5).refused
    narrow.release()


def test_exempt_never_waits_and_is_counted() -> None:
    level = level_of(Clock(), queues=-1, limit=0)
    flow = flow_of(level)
    tickets = [flow.enter(None, None, 100) for _ in range(3)]
    assert all(ticket.running for ticket in tickets)
    assert (level.seats_in_use, level.demand()[3]) == (300, 300)


def test_full_queues_refuse() -> None:
    level = level_of(Clock(), queues=4, hand=2, length=3, limit=1)
    flow = flow_of(level)
    tickets = [flow.enter(None, None) for _ in range(9)]
    assert [t.running for t in tickets].count(True) == 1
    assert [t.waiting for t in tickets].count(True) == 6
    assert [t.reason for t in tickets if t.refused] == ["queue-full"] * 2
    assert flow_of(level, "somebody else").enter(None, None).waiting or len(set(flow.hand)) == 2


def test_long_bodies_do_not_fill_the_memory() -> None:
    """At most 4 MB of one queue wait, and 64 MB of all levels;
    a body that is alone in its queue may be longer."""
    mb, kinds, clock = 1 << 20, Kinds(), Clock()
    levels = [Level(str(i), kinds, clock.later, clock) for i in range(2)]
    for level in levels:
        level.configure(64, 1, 50)
        level.resize(1, 1)
    flow = Flow(levels[0], Series(), "s", "", (0,))
    served = flow.enter(None, None, size=5 * mb)
    assert served.running and kinds.waiting_bytes == 0
    waiting = [flow.enter(None, None, size=mb) for _ in range(4)]
    heavy, light = flow.enter(None, None, size=1), flow.enter(None, None)
    assert all(ticket.waiting for ticket in waiting) and light.waiting
    assert heavy.heavy and heavy.reason == "queue-full"
    long = Flow(levels[0], Series(), "s", "", (1,)).enter(None, None, size=10 * mb)
    assert long.waiting and kinds.waiting_bytes == 14 * mb
    others = [Flow(levels[1], Series(), "s", "", (i,)).enter(None, None, size=10 * mb) for i in range(8)]
    assert [ticket.heavy for ticket in others] == [False] * 6 + [True] * 2  # the first one is served
    for ticket in (served, *waiting, light, long, *others):
        ticket.release()
    assert kinds.waiting_bytes == 0 and all(level.idle and not level.queues_in_use() for level in levels)


def test_who_leaves_gives_up_the_place() -> None:
    level = level_of(Clock(), limit=2)
    flow = flow_of(level)
    first, second = flow.enter(None, None), flow.enter(None, None)
    wide, last = flow.enter(None, None, 2), flow.enter(None, None)
    first.release()
    assert wide.waiting and last.waiting  # nobody overtakes a wide request
    assert flow.series.crowded >= 1
    wide.release()
    assert last.running and wide.reason == "cancelled"
    second.release()
    last.release()
    assert level.idle and level.cancelled == 1


def test_a_wait_is_told() -> None:
    clock = Clock()
    level = level_of(clock, limit=1)
    flow = flow_of(level)
    first, second = flow.enter(None, None), flow.enter(None, None)
    clock.move(0.25)
    assert second.waited == pytest.approx(0.25) and second.queue_index in flow.hand
    first.release()
    assert second.running and second.waited == pytest.approx(0.25)
    third = flow.enter(None, None)
    clock.move(1)
    third.time_out()
    third.time_out()
    assert third.reason == "time-out" and third.waited == pytest.approx(1.0)
    assert (level.timed_out, flow.series.timed_out, flow.series.vain.count) == (1, 1, 1)
    assert flow.series.waits.count == 2


def test_final_seats_are_kept_for_a_while() -> None:
    clock = Clock()
    level = level_of(clock, limit=4)
    flow = flow_of(level)
    write = flow.enter(None, None, 1, 3, 0.05, True)
    assert level.seats_in_use == 3
    write.release()
    assert (level.executing, level.seats_in_use) == (0, 3)
    waits = flow.enter(None, None, 2)
    assert waits.waiting
    clock.move(0.04)
    assert waits.waiting
    clock.move(0.02)
    assert waits.running and level.seats_in_use == 2
    waits.release()
    assert level.queues_in_use() == {}


def test_final_seats_beyond_the_limit_are_kept_longer() -> None:
    clock = Clock()
    level = level_of(clock, limit=2)
    write = flow_of(level).enter(None, None, 1, 8, 0.01, True)
    assert write.final_seats == 2 and write.extra == pytest.approx(0.04)


def test_the_seats_of_a_slow_client_go_to_others() -> None:
    clock = Clock()
    level = level_of(clock, limit=1)
    flow = flow_of(level)
    busy, waits = flow.enter(None, None), flow.enter(None, None)
    for _ in range(4):
        level.let_go(10)
        clock.move(5)
    assert busy.running  # it has no answer yet, so it is not its client that is slow
    busy.answered = True
    for _ in range(2):
        level.let_go(10)
        clock.move(5)
    assert busy.running
    level.let_go(10)
    assert not busy.running and waits.running and flow.series.let_go == 1
    busy.release()
    assert level.executing == 1


# Changes under load


def test_more_seats_let_more_in() -> None:
    level = level_of(Clock(), limit=1)
    flow = flow_of(level)
    tickets = [flow.enter(None, None) for _ in range(5)]
    level.resize(3, 3)
    assert [t.running for t in tickets].count(True) == 3
    level.resize(1, 1)
    assert level.seats_in_use == 3
    for ticket in tickets:
        ticket.release()
    assert level.idle


def test_queues_that_are_too_many_drain() -> None:
    level = level_of(Clock(), queues=16, hand=4, length=10, limit=1)
    tickets = [flow_of(level, str(i)).enter(None, None) for i in range(12)]
    level.configure(2, 1, 10)
    assert max(level.queues_in_use()) > 1
    for _ in range(12):
        next(t for t in tickets if t.running).release()
    assert level.idle and level.queues_in_use() == {} and level.dispatched == 12


@pytest.mark.parametrize("queues", [0, -1])
def test_queues_that_are_switched_off_drain(queues: int) -> None:
    level = level_of(Clock(), limit=1)
    flow = flow_of(level)
    first, second = flow.enter(None, None), flow.enter(None, None)
    level.configure(queues)
    assert flow.enter(None, None).refused == (queues == 0)
    first.release()
    level.configure(8, 2, 5)
    second.release()
    assert level.waiting == 0


# Times


def test_what_is_measured() -> None:
    clock = Clock()
    level = level_of(clock, limit=4)
    flow = flow_of(level)
    two = flow.enter(None, RequestInfo("/", "watch"), 2)
    clock.move(3)
    two.release()
    clock.move(1)
    demand, seats, executing, waiting = level.timings()
    assert demand.sum == pytest.approx(0.5 * 3e9) and demand.count == pytest.approx(4e9)
    assert seats.buckets()[5] == pytest.approx(3e9, rel=1e-6)
    assert executing.sum == pytest.approx(0.25 * 3e9) and waiting.sum == 0
    seconds, average, deviation, highest = level.demand()
    assert seconds == pytest.approx(4) and average == pytest.approx(1.5) and highest == 2
    assert deviation == pytest.approx(0.75**0.5)
    assert level.demand() == (0, 0, 0, 0)
    assert (flow.series.watches.count, flow.series.regular.count) == (1, 0)
    assert flow.series.watches.sum == pytest.approx(3)
