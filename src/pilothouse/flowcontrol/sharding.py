"""Shuffle sharding: which queues of a level a flow may use (KEP-1040; apiserver util/shufflesharding).

Each flow has a small hand of queues out of many. Two flows rarely have the same hand, so one that fills all
queues of its own leaves most others at least one queue that is free.
"""

import hashlib


def hand_of(schema: str, distinguisher: str, size: int, queues: int) -> tuple[int, ...]:
    """The hand of a flow: `size` different queues out of `queues`; () where there are no queues."""
    if queues <= 0:
        return ()
    digest = hashlib.sha256(f"{schema}\0{distinguisher}".encode("utf-8", "surrogatepass")).digest()
    return deal(int.from_bytes(digest[:8], "little"), size, queues)


def deal(entropy: int, size: int, queues: int) -> tuple[int, ...]:
    """Draw `size` cards from a deck of `queues` by the digits of a number:
    of each the rank among what is left."""
    dealt: list[int] = []
    for drawn in range(min(size, queues)):
        entropy, card = divmod(entropy, queues - drawn)
        for earlier in sorted(dealt):
            card += card >= earlier
        dealt.append(card)
    return tuple(dealt)
