"""The tables of `pilothouse top` in a terminal. Needs rich (extra `cli`)."""

import sys
import time
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pilothouse.api.values.fields import Object
from pilothouse.commands import output, why_text
from pilothouse.commands.api import Api
from pilothouse.commands.typed import keys
from pilothouse.history.policy import BEHIND
from pilothouse.process.record import record

ORDERS = {"perSecond": "REQUESTS/S", "p50Seconds": "P50", "p99Seconds": "P99"}
"""By what requests are sorted, the largest first: the member and its column."""
COLOURS = {output.RED: "red", output.YELLOW: "yellow"}


@record
class TopView:
    """The rows, order and tables of a sheet that are shown; keys change them."""

    rows: int
    wide: bool = False
    order: str = "perSecond"
    paused: bool = False

    def press(self, key: str) -> bool:
        """Take a key; whether it is one that ends the command."""
        if key == "s":
            orders = list(ORDERS)
            self.order = orders[(orders.index(self.order) + 1) % len(orders)]
        elif key in ("+", "-"):
            self.rows = max(1, self.rows + (1 if key == "+" else -1))
        elif key == "w":
            self.wide = not self.wide
        elif key == " ":
            self.paused = not self.paused
        return key == "q"


def show_live(api: Api, sheets: Iterator[Object], view: TopView, interval: float) -> None:
    """Show one sheet after the other until a key ends it. A key counts at once."""
    with (
        keys() as wait,
        Live(Text("reading ..."), console=_console(), screen=True, auto_refresh=False) as live,
    ):
        found = next(sheets)
        due = time.monotonic() + interval
        while True:
            key = wait(max(0.0, due - time.monotonic()))
            if view.press(key):
                return
            if not key and not view.paused:
                found = next(sheets)
            if not key:
                due = time.monotonic() + interval
            if "seconds" in found:
                live.update(Group(*_screen(api, found, view)), refresh=True)


def show_once(api: Api, found: Object, view: TopView) -> None:
    """Print one sheet; 120 columns wide where there is no terminal."""
    console = _console(width=None if sys.stdout.isatty() else 120)
    console.print(Group(*_screen(api, found, view)))


def _console(width: int | None = None) -> Console:
    """A console that shows texts as they are: the brackets of a path would be markup to Rich."""
    return Console(width=width, markup=False, emoji=False)


def _screen(api: Api, found: Object, view: TopView) -> Iterator[RenderableType]:
    count = len(found["servers"])
    servers = f", {count} servers" if count != 1 else ""
    yield Text(
        f"{api.config.server}{servers}, the last {found['seconds']:.1f} s{', paused' if view.paused else ''}",
        style="bold",
    )
    for note in found["notes"]:
        yield Text(note, style="yellow")
    for line in _summary(found):
        yield Text(line)
    if view.wide:
        yield _servers(found["servers"])
    yield _requests(found["resources"], view.order, view.rows)
    yield _levels(found["levels"])
    yield _listed("slowest requests", found["slowest"])
    yield _listed("last refusals", found["refused"])


def _summary(found: Object) -> Iterator[str]:
    requests, watches, process, store = (found[name] for name in ("requests", "watches", "process", "store"))
    yield (
        f"requests {requests['perSecond']:.1f}/s, refused {requests['refusedPerSecond']:.1f}/s, "
        f"failed {requests['failedPerSecond']:.1f}/s, in flight {requests['inFlight']:.0f}"
    )
    yield f"watches {watches['open']:.0f}, events {watches['eventsPerSecond']:.1f}/s"
    yield f"memory {_mebibytes(process['memoryBytes'])}, processor {process['processorSecondsPerSecond']:.0%}"
    yield (
        f"store {_mebibytes(store['bytes'])}, objects {store['objects']:.0f}, operations "
        f"{store['operationsPerSecond']:.1f}/s{', IT IS FULL' if store['full'] else ''}"
    )
    if found["history"]["lagSeconds"] > BEHIND:
        late = f"{found['history']['lagSeconds']:.0f} s"
        yield f"history IS BEHIND by {late}, it leaves out changes of a status"


def _servers(servers: list[Object]) -> Table:
    table = _table("SERVER STARTED", "", "REQUESTS/S", "MEMORY", "PROCESSOR")
    for one in servers:
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one["started"]))
        numbers = f"{one['requestsPerSecond']:.1f}", _mebibytes(one["memoryBytes"])
        _add(table, started, "", *numbers, f"{one['processorSecondsPerSecond']:.0%}")
    return table


def _requests(resources: list[Object], order: str = "perSecond", rows: int | None = None) -> Table:
    """The largest by an order, which is marked at its column."""
    shown = sorted(resources, key=lambda one: -(one[order] or 0))[:rows]
    table = _table("RESOURCE", "VERB", *(f"{title}{'*' * (name == order)}" for name, title in ORDERS.items()))
    for one in shown:
        times = (_seconds(one[name]) for name in ("p50Seconds", "p99Seconds"))
        _add(table, one["resource"], one["verb"], f"{one['perSecond']:.1f}", *times)
    return table


def _levels(levels: list[Object]) -> Table:
    table = _table("LEVEL", "", "SEATS", "EXECUTING", "WAITING", "REJECTED/S")
    for one in levels:
        numbers = (f"{one[name]:.0f}" for name in ("seats", "executing", "waiting"))
        _add(table, one["name"], "", *numbers, f"{one['rejectedPerSecond']:.1f}")
    return table


def _listed(title: str, found: Object) -> RenderableType:
    if "error" in found:
        return Text(f"{title}: {found['error']}", style="dim")
    table = _table(title.upper(), "CODE", "TIME", "USER", "AUDIT-ID")
    for one in found["requests"]:
        told = str(one["code"]), why_text.seconds(one["seconds"]), one["user"], one["auditID"]
        style = COLOURS.get(output.colour_of(one["code"]))
        _add(table, f"{one['verb']} {one['path']}", *told, style=style)
    return table


def _table(*columns: str) -> Table:
    table = Table(*columns[:2], box=None, pad_edge=False, header_style="bold")
    for name in columns[2:]:
        table.add_column(name, justify="right")
    return table


def _add(table: Table, *cells: str, style: str | None = None) -> None:
    table.add_row(*map(output.printable, cells), style=style)


def _seconds(value: float | None) -> str:
    return "-" if value is None else why_text.seconds(value)


def _mebibytes(size: float) -> str:
    return f"{size / (1 << 20):.1f} MiB"
