"""Gives the bytes of another server to a parser of HTTP,
no more in a turn than the parser can read in that time.

Chunks of one byte and answers without end make much work with few bytes. What a portion costs is counted by
its lines, which a head has for each header and a chunked body for each chunk.
"""

from collections import deque
from collections.abc import Callable

from pilothouse.server._turns import Line, Taker

INFORMATIONAL = 5
"""Answers of status 1xx before the final one, as in Go's client (net/http max1xxResponses)."""

PORTION, SMALL_PORTION = 16 * 1024, 1024
"""Bytes that are given at once, and those of them that have many lines."""

MANY = 64
"""Lines of a portion that are many."""

LINE_UNITS = 3_000
"""Units of a turn that a line costs:
what aiohttp takes for a chunk, and a seventh of what it takes for an answer."""

AHEAD = 256 * 1024
"""Bytes that may wait before the connection is not read any more."""


class Portions:
    """The bytes that one connection has brought.

    parse: takes bytes. ready: whether the parser takes more for now.
    stop: has the connection read no more, or read on.
    """

    def __init__(
        self,
        line: Line,
        parse: Callable[[bytes], None],
        ready: Callable[[], bool],
        stop: Callable[[bool], None],
    ) -> None:
        self._parse = parse
        self._ready = ready
        self._stop = stop
        self._stopped = False
        self._turn = Taker(line, self.go_on)
        self._chunks: deque[bytes] = deque()
        self._at = 0  # how far the first chunk has been read
        self.held = 0
        """Bytes that wait."""
        self.drained: Callable[[], None] | None = None
        """Called when nothing waits any more."""

    def put(self, data: bytes) -> None:
        """Give bytes to the parser, or keep them until its turn comes."""
        self._chunks.append(data)
        self.held += len(data)
        if not self._turn.waits:
            self.go_on()
        if self.held > AHEAD:
            self._stopped = True
            self._stop(self._stopped)

    def go_on(self) -> None:
        """Give the parser what it can read in a turn."""
        self._turn.begin()
        try:
            while self._chunks and self._ready():
                portion, units = self._next()
                self._parse(portion)
                if not self._turn.spend(units):
                    break
        finally:
            self._turn.end()
        if self._chunks:
            if self._ready():
                self._turn.wait()
            return
        if self._stopped:
            self._stopped = False
            self._stop(self._stopped)
        if self.drained is not None:
            self.drained()

    def wake(self) -> None:
        """The parser takes more again."""
        if self._chunks:
            self._turn.wait()

    def clear(self) -> None:
        """Drop the bytes that wait."""
        self._chunks.clear()
        self._at = self.held = 0

    def _next(self) -> tuple[bytes, int]:
        """A portion, and what it costs."""
        data, start = self._chunks[0], self._at
        end = min(start + PORTION, len(data))
        lines = data.count(b"\n", start, end)
        if lines > MANY and end - start > SMALL_PORTION:
            end = start + SMALL_PORTION
            lines = data.count(b"\n", start, end)
        self.held -= end - start
        self._at = end
        if end == len(data):
            self._chunks.popleft()
            self._at = 0
        return data[start:end], lines * LINE_UNITS + (end - start)
