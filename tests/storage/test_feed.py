from virtual_time import VirtualLoop

from pilothouse.storage.feed import MAX_SLEEP, Expiry


async def test_expiry_in_order_of_deadlines(virtual: VirtualLoop) -> None:
    begun = virtual.time()
    due: list[tuple[str, int, float]] = []
    expiry = Expiry(lambda key, mod: due.append((key, mod, virtual.time() - begun)), virtual.time)
    assert expiry.deadline(0) == 0
    expiry.load([(expiry.deadline(20), "b", 2), (expiry.deadline(10), "a", 1)])
    expiry.start(virtual)
    expiry.add(expiry.deadline(5), "c", 3)
    await virtual.advance(12)
    assert due == [("c", 3, 5), ("a", 1, 10)]
    expiry.close()
    await virtual.advance(30)
    assert len(due) == 2


async def test_a_clock_that_was_set_is_noticed(virtual: VirtualLoop) -> None:
    ahead = 0.0
    due: list[str] = []
    expiry = Expiry(lambda key, mod: due.append(key), lambda: virtual.time() + ahead)
    expiry.start(virtual)
    expiry.add(expiry.deadline(100_000), "a", 1)
    await virtual.advance(1)
    assert not due
    ahead = 200_000.0
    await virtual.advance(MAX_SLEEP)
    assert due == ["a"]
    expiry.close()
