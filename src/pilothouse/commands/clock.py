"""`pilothouse clock`: tells and moves the clock of a server for tests."""

from collections.abc import Sequence

from pilothouse.api.values.fields import Object
from pilothouse.commands import output
from pilothouse.commands.api import Api, ApiError, kubeconfig_of
from pilothouse.configuration import options
from pilothouse.configuration.flags import Flag, FlagError
from pilothouse.configuration.suggestions import nearest
from pilothouse.endpoints.documents.clock_page import PATH

SERVER_FLAGS = ("data-dir",)
FLAGS = (
    Flag("kubeconfig", "file", "", "command",
         "Credentials. Default: $KUBECONFIG, admin.kubeconfig in --data-dir, "
         "~/.kube/config."),
    output.FLAG,
)  # fmt: skip
USAGE = """Tell or move the clock of a server that was started with --test-api or --simulate.

Usage:
  pilothouse clock                    Tell the time.
  pilothouse clock advance DURATION   Let time pass, such as 2h30m: leases, tokens and events expire, cron jobs run, and what waits goes on.
  pilothouse clock freeze             Let the time stand still; it moves by `advance` alone.
  pilothouse clock thaw               Let it go on again.

It answers once the controllers of the server have done what became due.
"""  # noqa: E501
SECONDS = 600.0
"""How long the server may take to let time pass."""
_FROZEN = {"freeze": True, "thaw": False}


def run(arguments: Sequence[str]) -> None:
    """Tell or move the clock; raises FlagError, ConfigError, OSError, ValueError, ApiError."""
    config, values, rest = options.parse_command(arguments, FLAGS)
    form = output.chosen(values["output"])
    body = _asked(rest)
    api = Api(kubeconfig_of(config.data, values["kubeconfig"]))
    try:
        told = api.call("GET" if body is None else "POST", PATH, body, seconds=SECONDS)
    except ApiError as error:
        if error.status != 404:
            raise
        raise ApiError(
            f"{api.config.server} has no clock that moves: start it with --test-api or --simulate"
        ) from None
    output.tell(told, form, [f"{told['time']}{' (frozen)' if told['frozen'] else ''}"])


def _asked(words: Sequence[str]) -> Object | None:
    match words:
        case []:
            return None
        case ["advance", seconds]:
            return {"advance": seconds}
        case ["freeze" | "thaw" as word]:
            return {"freeze": _FROZEN[word]}
        case ["advance" | "freeze" | "thaw" as word, *_]:
            takes = "one duration, such as 2h" if word == "advance" else "no arguments"
            raise FlagError(f'"pilothouse clock {word}" takes {takes}')
    known = ("advance", *_FROZEN)
    raise FlagError(f'unknown command "{words[0]}" for "pilothouse clock"', nearest(words[0], known))
