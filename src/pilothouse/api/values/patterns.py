"""Regular expressions that do not block other threads on long texts.

Python's `re` takes linear time for the patterns used here, but holds the GIL: half a second for 3 MB. RE2 is
a hundred times faster if nothing is captured, so it matches long texts.
"""

import re
from collections.abc import Callable
from typing import Any

LONG = 1024
"""Characters above which RE2 is used."""


class Pattern:
    """A regular expression that must match the whole text."""

    __slots__ = ("_long", "_pattern", "_short")

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._short: Callable[[str], object] = self._first
        self._long: Any = None

    def fullmatch(self, text: str) -> bool:
        if len(text) <= LONG:
            return self._short(text) is not None
        if self._long is None:
            self._long = _compiled(self._pattern)
        try:
            return self._long.fullmatch(text) is not None
        except UnicodeEncodeError:  # half of a surrogate pair, which no pattern here matches
            return False

    def _first(self, text: str) -> object:
        """Compile the expression, which a start does not need, and match with it from then on."""
        self._short = re.compile(self._pattern).fullmatch
        return self._short(text)


def _compiled(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.never_capture = True
    return re2.compile(pattern, options)
