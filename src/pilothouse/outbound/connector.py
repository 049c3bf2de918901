"""The connections of aiohttp's client as this server has them: opened by its dialer, and read in turns."""

import asyncio
import ssl
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from pilothouse.outbound.dialer import Dialer
from pilothouse.outbound.portions import INFORMATIONAL, Portions
from pilothouse.server._turns import Line

BUFFER = 32 * 1024
"""The size from which aiohttp derives how much of a body it keeps for a slow reader:
in bytes, and in chunks (a sixteenth)."""


class Connector(aiohttp.BaseConnector):
    """Keeps the connections that `dialer` opens for requests."""

    def __init__(self, dialer: Dialer, line: Line) -> None:
        super().__init__(limit=0)
        self._dialer = dialer
        self._line = line

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: object,
        timeout: aiohttp.ClientTimeout,
    ) -> ResponseHandler:
        context = req.ssl if isinstance(req.ssl, ssl.SSLContext) else None
        host, port = req.url.raw_host, req.url.port
        assert host is not None and port is not None
        _, protocol = await self._dialer.connect(
            lambda: AnswerReader(self._line), host, port, context, req.server_hostname or ""
        )
        return protocol


class AnswerReader(ResponseHandler):
    """Reads the answers of one connection."""

    def __init__(self, line: Line) -> None:
        super().__init__(asyncio.get_running_loop())
        self._portions = Portions(line, super().data_received, self._takes_more, self._stop)
        self._portions.drained = self._drained
        self._informational = 0
        self._stopped = False
        self._end: tuple[BaseException | None] | None = None  # connection_lost came before all was read

    def _takes_more(self) -> bool:
        return not self._reading_paused

    # --- asyncio's protocol

    def data_received(self, data: bytes) -> None:
        """Read data, or what the parser has kept when there is none."""
        if not data:
            super().data_received(data)
            self._portions.wake()
            return
        self._portions.put(data)

    def _stop(self, stopped: bool) -> None:
        self._stopped = stopped
        self._regulate()

    def resume_reading(self, *args: bool, **named: bool) -> None:
        """A reader of the body takes more. aiohttp says so for each chunk that is read, paused or not."""
        if self._reading_paused:
            super().resume_reading(*args, **named)
            self._regulate()

    def _regulate(self) -> None:
        """Read the connection, or do not."""
        if self.transport is None or self.transport.is_closing():
            return
        if self._stopped or self._reading_paused:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection has ended; the parser learns it after what has come before."""
        if self._portions.held and self.transport is not None:
            self._end = (exc,)
        else:
            super().connection_lost(exc)

    def _drained(self) -> None:
        if self._end is not None:
            (exc,), self._end = self._end, None
            super().connection_lost(exc)

    # --- aiohttp's protocol

    @property
    def should_close(self) -> bool:
        """Whether no other request may use the connection: what waits belongs to none that was sent."""
        return super().should_close or self._portions.held > 0

    def feed_data(self, data: Any, size: int = 0) -> None:
        """An answer has begun."""
        if self._exception is not None:
            return
        if 100 <= data[0].code < 200 and data[0].code != 101:
            self._informational += 1
            if self._informational > INFORMATIONAL:
                self._portions.clear()
                self.set_exception(
                    aiohttp.ClientConnectionError("net/http: too many 1xx informational responses")
                )
                if self.transport is not None:
                    self.transport.abort()
                return
        else:
            self._informational = 0
        super().feed_data(data, size)

    def close(self) -> None:
        """The connection is not needed any more."""
        self._forget()
        super().close()

    def abort(self) -> None:
        """Close at once."""
        self._forget()
        super().abort()

    def _forget(self) -> None:
        self._portions.clear()
        if self._end is not None:
            (exc,), self._end = self._end, None
            super().connection_lost(exc)
