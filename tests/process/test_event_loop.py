import asyncio

from metric_samples import samples
from virtual_time import VirtualLoop

from pilothouse.process.event_loop import INTERVAL, LoopLag

NAME = "pilothouse_event_loop_lag_seconds"


def test_what_holds_the_loop_is_seen() -> None:
    loop = VirtualLoop()

    async def main() -> None:
        lag = LoopLag()
        await lag.close()
        lag.start()
        await loop.advance(INTERVAL * 3.5)
        found = samples(lag)
        assert found[f'{NAME}_bucket{{le="0.0005"}}'] == found[f"{NAME}_count"] == "3"
        loop._now += 0.5  # a callback has held the loop
        await loop.advance(INTERVAL)
        await lag.close()
        await loop.advance(1)
        found = samples(lag)
        assert found[f'{NAME}_bucket{{le="0.25"}}'] == "4" and found[f"{NAME}_count"] == "5"
        assert float(found[f"{NAME}_sum"]) > 0.2

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
