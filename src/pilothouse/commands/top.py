"""`pilothouse top`: a live table in the terminal of what a server does."""

import sys
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from types import ModuleType

from pilothouse.api.values.fields import Object
from pilothouse.commands import output
from pilothouse.commands.api import Api, ApiError, kubeconfig_of
from pilothouse.commands.journals import Journals
from pilothouse.commands.readings import ClusterReadings, sheet
from pilothouse.configuration import options
from pilothouse.configuration.flags import Flag, FlagError

SERVER_FLAGS = ("data-dir",)
FLAGS = (
    Flag("kubeconfig", "file", "", "command",
         "Credentials. Default: $KUBECONFIG, admin.kubeconfig in --data-dir, "
         "~/.kube/config."),
    Flag("interval", "duration", 2.0, "command", "Time between two readings."),
    Flag("rows", "int", 12, "command", "Rows of the table of requests."),
    Flag("once", "bool", False, "command",
         "Print once, from two readings, and end. Without a terminal it is always so, "
         "and with -o json and yaml."),
    output.FLAG,
)  # fmt: skip
USAGE = """Show what the servers of a cluster do: requests by resource and verb, watches, memory, store, queues, slow and refused requests.

Usage:
  pilothouse top [flags]

The rates and latencies are those between two readings of /metrics of each server, which are found by the addresses that
they have announced, and behind a load balancer. Keys: s sorts the requests by rate, P50 or P99; w shows each server; + and - show
more or fewer rows; Space pauses; q or Ctrl-C ends it.
"""  # noqa: E501

LAST = 5
"""How many slow and refused requests are shown."""


def run(arguments: Sequence[str]) -> None:
    """Show it until Ctrl-C, or once; raises FlagError, ConfigError, OSError, ValueError, ApiError."""
    config, values, rest = options.parse_command(arguments, FLAGS)
    if rest:
        raise FlagError(f'"pilothouse top" does not take any arguments, got {list(rest)}')
    if values["interval"] <= 0 or values["rows"] < 1:
        raise FlagError("--interval and --rows must be positive")
    form = output.chosen(values["output"])
    screen = None if form in output.DOCUMENTS else _load_screen()
    api = Api(kubeconfig_of(config.data, values["kubeconfig"]))
    cluster, journals = ClusterReadings(api), Journals(api)
    interval = values["interval"]
    try:
        sheets = _sheets(cluster, journals)
        if screen is None:
            print(output.document(_read_once(sheets, interval), form))
            return
        view = screen.TopView(values["rows"], wide=form == output.WIDE)
        if values["once"] or not sys.stdout.isatty():
            screen.show_once(api, _read_once(sheets, interval), view)
        else:
            screen.show_live(api, sheets, view, interval)
    except KeyboardInterrupt:
        return
    finally:
        cluster.close()
        journals.close()


def _read_once(sheets: Iterator[Object], interval: float) -> Object:
    """The sheet of two readings."""
    next(sheets)
    time.sleep(interval)
    return next(sheets)


def _load_screen() -> ModuleType:
    """The tables of the terminal, for which the extra `cli` is needed: a plain install has none, and prints
    the documents of -o json and yaml."""
    return import_module("pilothouse.commands.top_screen")


def _sheets(cluster: ClusterReadings, journals: Journals) -> Iterator[Object]:
    """A sheet for each reading, of what has happened since the one before; an empty one for the first."""
    before = cluster.read()
    yield {}
    while True:
        now = cluster.read()
        yield sheet(before, now) | {
            "slowest": _latest(journals, {"slowest": "true"}),
            "refused": _latest(journals, {"refused": "true"}),
            "notes": cluster.notes,
        }
        before = now


def _latest(journals: Journals, filters: dict[str, str]) -> Object:
    """Some of the latest requests; the reason when they may not be seen."""
    try:
        return journals.listed({**filters, "limit": str(LAST)})
    except ApiError as error:
        return {"error": str(error)}
