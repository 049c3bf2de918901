import asyncio

from pilothouse.storage.feed import Expiry


def test_expiry_in_order_of_deadlines() -> None:
    async def main() -> None:
        now = 1000.0
        due: list[tuple[str, int]] = []
        expiry = Expiry(lambda key, mod: due.append((key, mod)), lambda: now)
        assert expiry.deadline(0) == 0
        expiry.load([(expiry.deadline(20), "b", 2), (expiry.deadline(10), "a", 1)])
        expiry.start(asyncio.get_running_loop())
        expiry.add(expiry.deadline(5), "c", 3)
        now = 1010.0
        expiry._arm()
        await asyncio.sleep(0.01)
        assert due == [("c", 3), ("a", 1)]
        expiry.close()
        now = 1030.0
        await asyncio.sleep(0.01)
        assert len(due) == 2

    asyncio.run(main())
