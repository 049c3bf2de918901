"""The warnings of one answer: no more of them are kept than its headers carry (apiserver filters/warning)."""

import re
from collections.abc import Iterable, Iterator

TOTAL_LIMIT, ITEM_LIMIT = 4096, 256
"""Characters of all warnings together, and of each one once that is too much."""

_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f]")


class Warnings:
    """Texts in order, each once."""

    __slots__ = ("_given", "_shown", "_texts")

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._given = 0  # characters of all texts
        self._shown = 0  # the same when each is shortened

    @property
    def full(self) -> bool:
        """Whether nothing that comes now is sent."""
        return self._given > TOTAL_LIMIT and self._shown >= TOTAL_LIMIT

    def add(self, text: str) -> None:
        """Keep a text, unless it cannot be sent, is kept already, or comes after all that is sent."""
        if self.full or not text or text in self._texts or _CONTROL.search(text):
            return
        self._texts[text] = None
        self._given += len(text)
        self._shown += min(len(text), ITEM_LIMIT)

    def sendable(self) -> list[str]:
        """The texts of the headers: shortened when they are too long together."""
        if self._given <= TOTAL_LIMIT:
            return list(self._texts)
        return [text[:ITEM_LIMIT] for text in self._texts]

    def __iter__(self) -> Iterator[str]:
        """The texts that are kept."""
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def enough(texts: Iterable[str]) -> list[str]:
    """The first texts, each once, up to what an answer can carry: what comes after that is not even looked for."""
    kept = Warnings()
    for text in texts:
        kept.add(text)
        if kept.full:
            break
    return list(kept)
