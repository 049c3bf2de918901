"""Asks the other servers of a store who has made the changes that went through them.

Each server knows the authors of its own writes (endpoints/documents/history_authors.py answers). A change
waits a minute before it is moved to the history's file; within it, its author can still be learnt.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from pilothouse.history.author import LONGEST_ID, bytes_of
from pilothouse.history.foreign import ForeignChanges
from pilothouse.history.spool import LearntAuthor
from pilothouse.history.written import PATH
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.outbound.http import Unanswered

log = Logger(__name__)

SOON, PAUSE = 0.5, 2.0
"""Seconds after a change until its author is asked for, and between two rounds of questions."""
TRIES = 15
"""Rounds in which the author of one change is asked for."""
MOST_UNKNOWN = 20_000
"""Changes of which the author is asked for; the oldest are given up."""
MOST_PAGES = 40
"""Pages that one server is asked for in one round."""
AGAIN = 10.0
"""Seconds until a server that does not answer the question is asked again."""

Ask = Callable[[str, str], Awaitable[bytes]]
"""The answer of the server at an address to a GET of a path; raises Unanswered."""


class _Answer(NamedTuple):
    """One page of a server's authors. reached: the revision up to which there are no others."""

    authors: Sequence[LearntAuthor]
    reached: int


class Peers(BackgroundTask):
    """Learns the authors of changes that other servers made. addresses: tells where these are."""

    def __init__(
        self,
        foreign: ForeignChanges,
        addresses: Callable[[], Iterable[str]],
        ask: Ask,
        *,
        pause: float = PAUSE,
        tries: int = TRIES,
    ) -> None:
        self._foreign = foreign
        self._addresses = addresses
        self._ask = ask
        self._pause = pause
        self._tries = tries
        self._unknown: dict[tuple[int, str], int] = {}
        """The revisions and keys of changes without an author, and in how many rounds it was asked for."""
        self._silent: dict[str, float] = {}
        """The addresses of servers that do not answer, and until when they are left alone."""
        self._more = asyncio.Event()
        foreign.unknown = self.note

    def note(self, changes: Sequence[tuple[int, str]]) -> None:
        """Note changes, in the order of revisions, whose author is unknown."""
        self._unknown |= dict.fromkeys(changes, 0)
        while len(self._unknown) > MOST_UNKNOWN:
            del self._unknown[next(iter(self._unknown))]
        self._more.set()

    async def _run(self) -> None:
        self.note(await self._foreign.without_author())
        while True:
            await self._more.wait()
            self._more.clear()
            await asyncio.sleep(min(SOON, self._pause))
            await self._round()
            if self._unknown:
                self._more.set()
                await asyncio.sleep(self._pause)

    async def _round(self) -> None:
        """Ask each server once; forget the changes whose authors are known now, or will not be."""
        moved = self._foreign.moved
        self._unknown = {
            one: tries + 1 for one, tries in self._unknown.items() if tries < self._tries and one[0] > moved
        }
        if not self._unknown:
            return
        now = asyncio.get_running_loop().time()
        asked = [address for address in self._addresses() if self._silent.get(address, 0.0) <= now]
        first, last = min(self._unknown)[0], max(self._unknown)[0]
        for learnt in await asyncio.gather(*(self._learn(address, first - 1, last) for address in asked)):
            wanted = [one for one in learnt if (one.revision, one.key) in self._unknown]
            if wanted:
                await self._foreign.learn(wanted)
                for one in wanted:  # known only now, when the spool has them
                    self._unknown.pop((one.revision, one.key), None)

    async def _learn(self, address: str, after: int, upto: int) -> list[LearntAuthor]:
        """The authors that a server knows of the revisions between two."""
        found: list[LearntAuthor] = []
        try:
            for _ in range(MOST_PAGES):
                answer = _read(await self._ask(address, f"{PATH}?after={after}&upto={upto}"))
                found += answer.authors
                if answer.reached >= upto or answer.reached <= after:
                    break
                after = answer.reached
        except (Unanswered, ValueError, TypeError, KeyError) as error:
            self._silent[address] = asyncio.get_running_loop().time() + AGAIN
            log.warning("A server does not tell who has made its changes", address=address, err=error)
        else:
            self._silent.pop(address, None)
        return found


def _read(body: bytes) -> _Answer:
    """Raises ValueError, TypeError or KeyError for what is no answer."""
    answer: dict[str, Any] = orjson.loads(body)
    authors = []
    for revision, key, time_ms, audit_id, author in answer["authors"]:
        if not (isinstance(key, str) and isinstance(audit_id, str) and len(audit_id) <= LONGEST_ID):
            raise ValueError("not the author of a change")
        authors.append(LearntAuthor(int(revision), key, bytes_of(int(time_ms), audit_id, author)))
    return _Answer(authors, int(answer["reached"]))
