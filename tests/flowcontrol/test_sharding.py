"""Dealing queues to flows."""

import hashlib
import random
from collections import Counter

import pytest

from pilothouse.flowcontrol.sharding import deal, hand_of


def dealt_as_the_kep_says(entropy: int, size: int, deck: int) -> list[int]:
    """KEP-1040's way: ranks by division,
    then each rank becomes a card by stepping over the ranks before it."""
    ranks, cards = [], []
    for i in range(size):
        entropy, rank = divmod(entropy, deck - i)
        ranks.append(rank)
    for i, card in enumerate(ranks):
        for j in range(i - 1, -1, -1):
            if card >= ranks[j]:
                card += 1
        cards.append(card)
    return cards


@pytest.mark.parametrize(("size", "deck"), [(1, 1), (2, 9), (4, 16), (6, 128), (8, 512), (7, 7)])
def test_hands_are_dealt_as_the_kep_says(size: int, deck: int) -> None:
    rng = random.Random(size)
    for _ in range(200):
        entropy = rng.getrandbits(64)
        hand = deal(entropy, size, deck)
        assert list(hand) == dealt_as_the_kep_says(entropy, size, deck)
        assert len(set(hand)) == size and all(0 <= card < deck for card in hand)


def test_the_hash_is_upstream_s() -> None:
    # the first eight bytes, the lowest first
    entropy = int.from_bytes(hashlib.sha256(b"a\0b").digest()[:8], "little")
    assert hand_of("a", "b", 4, 64) == deal(entropy, 4, 64)
    assert hand_of("a", "b", 4, 64) != hand_of("a", "c", 4, 64)
    assert hand_of("a", "b", 4, 0) == () == hand_of("a", "b", 0, -1)


def test_queues_are_dealt_evenly() -> None:
    counts = Counter(card for i in range(4000) for card in hand_of("s", str(i), 4, 16))
    assert max(counts.values()) < 1.15 * min(counts.values())
