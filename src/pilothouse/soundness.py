"""Keeps that files were found good, so that they need not be read again while they stay as they are.

Certificates, for example: the library that reads them takes a sixth of a start.
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

    files: the others. about: what else they were judged by. Whoever may write the file has to be one who may
    write the others.
    """

    def __init__(self, path: Path, files: Iterable[Path], about: Iterable[str]) -> None:
        self._path = path
        self._files = tuple(files)
        self._about = tuple(about)

    def holds(self, now: float) -> bool:
        """Whether the files are still those that were found good, at a time in Unix seconds."""
        try:
            kept = orjson.loads(self._path.read_bytes())
            return bool(kept["since"] <= now < kept["until"] and kept["digest"] == self._digest())
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def keep(self, since: float, until: float) -> None:
        """Keep that the files are good between two times in Unix seconds. OSError."""
        kept = {"since": since, "until": until, "digest": self._digest()}
        try_to_write(self._path, orjson.dumps(kept))

    def _digest(self) -> str:
        found = sha256(orjson.dumps([FORMAT, *self._about]))
        for path in self._files:
            found.update(sha256(path.name.encode()).digest())
            found.update(sha256(path.read_bytes()).digest())
        return found.hexdigest()
