"""Keeps that files were found good, so that they need not be read again while they stay as they are.

So it is with certificates: the library that reads them takes a sixth of a start.
"""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import orjson

from pilothouse.files import try_to_write

FORMAT = 1
"""Goes up when files are judged by other rules, so that all are judged anew."""


class Soundness:
    """A file that says which others were found good, and for how long.

    files: the others. needs: what they have to be good for, such as the names of a host.
    The file is as safe as the others: who writes it decides what is good.
    """

    def __init__(self, path: Path, files: Iterable[Path], needs: Iterable[str]) -> None:
        self._path = path
        self._files = tuple(files)
        self._needs = frozenset(needs)

    def holds(self, now: float) -> bool:
        """Whether the files are still those that were found good, at a time in Unix seconds."""
        try:
            kept = orjson.loads(self._path.read_bytes())
            in_time, enough = kept["since"] <= now < kept["until"], self._needs.issubset(kept["for"])
            return bool(in_time and enough and kept["digest"] == self._digest())
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def keep(self, since: float, until: float) -> None:
        """Keep that the files are good between two times in Unix seconds. OSError."""
        kept = {"since": since, "until": until, "for": sorted(self._needs), "digest": self._digest()}
        try_to_write(self._path, orjson.dumps(kept))

    def _digest(self) -> str:
        found = sha256(b"%d" % FORMAT)
        for path in self._files:
            found.update(sha256(path.name.encode()).digest())
            found.update(sha256(path.read_bytes()).digest())
        return found.hexdigest()
