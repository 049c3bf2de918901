"""Finds the names that may have been meant by one that nobody knows, as cobra does for commands."""

from collections.abc import Iterable

MOST = 3
"""Names that are suggested at most."""
LIKENESS = 0.7
"""How alike two names must be, from 0 to 1 (difflib)."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The known names that are like a name or begin with it, the most similar first."""
    from difflib import get_close_matches  # only who has mistyped something waits for it

    names = sorted(known)
    longer = [one for one in names if name and one.startswith(name)]
    return list(dict.fromkeys([*get_close_matches(name, names, MOST, LIKENESS), *longer]))[:MOST]
