"""Connections take turns: what one does in a callback and all do in a turn of the loop is bounded,
in units of work."""

import asyncio

from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from server.fake_transport import run

from pilothouse.server._turns import Line, Taker

TURN, ROUND, FREE = 1_000_000, 2_000_000, 32_000


class Engine:
    """An engine that has `pieces` of `cost` units each to do, as a real one has frames."""

    def __init__(self, line: Line, pieces: int, cost: int) -> None:
        self.turn = Taker(line, self.work)
        self.left, self.cost = pieces, cost
        self.callbacks: list[int] = []

    def work(self) -> None:
        self.turn.begin()
        done = 0
        while self.left:
            self.left -= 1
            done += self.cost
            if not self.turn.spend(self.cost):
                if self.left:
                    self.turn.wait()
                break
        self.callbacks.append(done)
        self.turn.end()


@run
async def test_little_work_is_done_at_once_and_counts_as_nothing() -> None:
    line = Line(asyncio.get_running_loop())
    for _ in range(1000):
        engine = Engine(line, 3, 10_000)
        engine.work()
        engine.left = 3
        engine.work()
        assert engine.callbacks == [30_000, 30_000]
    assert line.used == line.deferred == 0


@run
async def test_much_work_goes_on_in_later_turns() -> None:
    line = Line(asyncio.get_running_loop())
    engine = Engine(line, 1000, 10_000)
    engine.work()
    assert engine.callbacks == [TURN] and engine.turn.waits
    await asyncio.sleep(0)
    assert engine.callbacks == [TURN, TURN]
    for _ in range(9):
        await asyncio.sleep(0)
    assert engine.left == 0 and not engine.turn.waits and not len(line)


@run
async def test_a_second_callback_in_a_turn_of_the_loop_gets_what_is_left() -> None:
    line = Line(asyncio.get_running_loop())
    engine = Engine(line, 60, 10_000)
    engine.work()
    engine.left = 1000
    engine.work()
    assert engine.callbacks == [600_000, 400_000]


@run
async def test_a_thousand_floods_together_take_no_more_than_a_few() -> None:
    line = Line(asyncio.get_running_loop())
    engines = [Engine(line, 1000, 1000) for _ in range(1000)]
    for engine in engines:
        engine.work()
    assert line.used < 1000 * (FREE + 1000) + ROUND
    late = None
    for turn in range(2000):
        await asyncio.sleep(0)
        assert line.used <= ROUND + TURN, "all of them, and the rest of the last one"
        if turn == 50:
            late = Engine(line, 30, 1000)
            late.work()
            assert late.left == 0, "who wants little is served at once"
        if turn == 100:
            lefts = [engine.left for engine in engines[3:]]  # the first ones had a whole turn each
            assert max(lefts) - min(lefts) < 70, "round robin"
        if not len(line):
            break
    assert late and all(engine.left == 0 for engine in engines)


@run
async def test_a_mistake_of_one_engine_leaves_nobody_waiting() -> None:
    loop = asyncio.get_running_loop()
    told: list[object] = []
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    line = Line(loop)

    def mistake() -> None:
        raise ZeroDivisionError

    wrong, good = Taker(line, mistake), Engine(line, 5, 1_000)
    wrong.wait()
    good.turn.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    assert good.left == 0 and len(line) == 0
    assert [type(error) for error in told] == [ZeroDivisionError]


@run
async def test_a_connection_that_has_ended_is_not_called() -> None:
    line = Line(asyncio.get_running_loop())
    engine = Engine(line, 1000, 10_000)
    engine.work()
    engine.turn.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(engine.callbacks) == 1 and not len(line)


@settings(max_examples=30 * SCALE, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 200_000)), min_size=1, max_size=30))
def test_no_callback_exceeds_its_turn_by_more_than_a_piece(work: list[tuple[int, int]]) -> None:
    async def one() -> None:
        line = Line(asyncio.get_running_loop())
        engines = [Engine(line, pieces, cost) for pieces, cost in work]
        for engine in engines:
            engine.work()
        while len(line):
            await asyncio.sleep(0)
        for engine in engines:
            assert engine.left == 0
            assert max(engine.callbacks) <= TURN + engine.cost
        assert line.most <= 2 * (ROUND + TURN) + len(engines) * FREE + sum(cost for _, cost in work)

    asyncio.run(one())
