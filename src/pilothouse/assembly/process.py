"""Runs the process of one server, from its start to the signal that stops it."""

import asyncio
import os
import pathlib
import signal
import time
from collections.abc import Callable

from pilothouse.assembly.server import Server
from pilothouse.configuration.config import Config
from pilothouse.files import said
from pilothouse.lifecycle import Opened
from pilothouse.logs import Logger
from pilothouse.process import stacks
from pilothouse.process.hangup import Hangup
from pilothouse.process.heap import Trim, relax_collector, share_arena
from pilothouse.process.notify import Notifier, Watchdog
from pilothouse.server.accept import raise_descriptor_limit
from pilothouse.workers.metrics import ENVIRONMENT

log = Logger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)
RELOAD = signal.SIGHUP
"""The signal that has the server look at its files at once, or ends it when its terminal is closed. A
supervisor blocks it until the process can handle it."""


def run(config: Config, kind: type[Server] = Server) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit status. `kind` is the class of the server."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(config, kind))


async def _run(config: Config, kind: type[Server]) -> int:
    """A first signal ends the server, while it starts as well; a second one kills the process.
    SIGHUP has it reload."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def end(number: signal.Signals) -> None:
        log.info("The server ends", signal=number.name)
        ended.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, end, number)

    def let_signals_kill() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    before, after = raise_descriptor_limit()
    if after > before:
        log.info("The limit of open files was raised", before=before, after=after)
    share_arena()
    stacks.deepen()
    path = os.environ.get(ENVIRONMENT, "")
    server, hangup = kind(config, worker=pathlib.Path(path) if path else None), Hangup()
    loop.add_signal_handler(RELOAD, lambda: ended.set() if hangup.gone() else server.reload())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (RELOAD,))
    return await serve(server, ended, let_signals_kill)


async def serve(
    server: Server,
    ended: asyncio.Event,
    closing: Callable[[], None] = lambda: None,
    notifier: Notifier | None = None,
) -> int:
    """Start a server and stop it once `ended` is set, in the middle of its start if need be.

    `closing` is called before it is stopped; the notifier tells the service manager. Returns 0, or 1 when the
    server could not be started.
    """
    notifier = notifier or Notifier()
    end = asyncio.create_task(ended.wait())
    starting = asyncio.create_task(server.start())
    try:
        await asyncio.wait((starting, end), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            closing()
            starting.cancel()
            await asyncio.wait((starting,))
        if starting.cancelled():
            return 0
        if error := starting.exception():
            log.error("The server cannot start", err=said(error))
            return 1
        relax_collector()
        async with Opened() as opened:
            opened.start(Trim())
            opened.start(Watchdog(notifier))
            notifier.say("READY=1", f"STATUS=Serving on port {server.listener.port}")
            await end
            closing()
            notifier.say("STOPPING=1")
        stopping = time.monotonic()
        await server.stop()
        log.info("The server ended", seconds=round(time.monotonic() - stopping, 3))
        return 0
    finally:
        end.cancel()
        starting.cancel()
