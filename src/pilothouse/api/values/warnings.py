"""Collects the warnings of one answer, up to the size that its headers carry (apiserver filters/warning)."""

from collections.abc import Iterable, Iterator

from pilothouse.caches import memo
from pilothouse.process.patterns import pattern

TOTAL_LIMIT, ITEM_LIMIT = 4096, 256
"""Characters of all warnings together; if they are exceeded, each warning is cut to the second number."""

_CONTROL = pattern("[\\x00-\\x1f\\x7f-\\x9f]")


class Warnings:
    """Distinct texts in the order in which they were added."""

    __slots__ = ("_given", "_shown", "_texts")

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._given = 0  # characters of all texts
        self._shown = 0  # the same, each cut to ITEM_LIMIT

    @property
    def full(self) -> bool:
        """Whether any further warning would be left out."""
        return self._given > TOTAL_LIMIT and self._shown >= TOTAL_LIMIT

    def add(self, text: str) -> None:
        """Keep a text, unless it contains control characters, is a repetition, or exceeds the limits."""
        if self._given > TOTAL_LIMIT and self._shown >= TOTAL_LIMIT:
            return
        if not text or text in self._texts or not _is_sendable(text):
            return
        self._texts[text] = None
        size = len(text)
        self._given += size
        self._shown += size if size < ITEM_LIMIT else ITEM_LIMIT

    def sendable(self) -> list[str]:
        """The texts for the headers, cut if they are too long together."""
        if self._given <= TOTAL_LIMIT:
            return list(self._texts)
        return [text[:ITEM_LIMIT] for text in self._texts]

    def __iter__(self) -> Iterator[str]:
        """The kept texts."""
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def enough(texts: Iterable[str]) -> list[str]:
    """The first distinct texts that an answer can carry; the iteration stops there."""
    kept = Warnings()
    for text in texts:
        kept.add(text)
        if kept._given > TOTAL_LIMIT and kept.full:  # PERF: a property takes a call
            break
    return list(kept._texts)


@memo("warnings", longest=2 * ITEM_LIMIT, most=256)
def _is_sendable(text: str) -> bool:
    """Whether a text has no control characters. PERF: pods of one template get the same warnings."""
    return text.isprintable() or _CONTROL.search(text) is None
