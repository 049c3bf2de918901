"""How many keys of a KMS plugin are kept, and which."""

from pilothouse.storage.encryption.kms.known import LARGEST, OVERHEAD, KnownKeys


def test_what_is_used_stays_and_the_rest_is_limited() -> None:
    told: list[int] = []
    known: KnownKeys[int] = KnownKeys(told.append)
    size = 2000
    known.add(b"used", -1)
    for at in range(4 * LARGEST // size):
        known.add(b"%d" % at + bytes(size), at)
        assert known.get(b"used") == -1
        assert known.get(b"%d" % at + bytes(size)) == at
        assert len(known) == told[-1] <= 2 * LARGEST // (size + OVERHEAD) + 2
    assert b"used" in known and b"0" + bytes(size) not in known and known.get(b"0" + bytes(size)) is None


def test_a_key_is_counted_once() -> None:
    known: KnownKeys[str] = KnownKeys(lambda count: None)
    for _ in range(2 * LARGEST // OVERHEAD):
        known.add(b"source", "key")
    assert len(known) == 1
