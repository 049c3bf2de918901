"""`pilothouse report`: what has happened on a server since a time."""

from collections.abc import Sequence
from urllib.parse import urlencode

from pilothouse.commands import output
from pilothouse.commands.api import Api, kubeconfig_of
from pilothouse.configuration import options
from pilothouse.configuration.flags import Flag, FlagError

PATH = "/debug/report"
SERVER_FLAGS = ("data-dir", "cert-dir")
USAGE = """Tell what has happened on a server: faults, hot loops, conflicts, refusals, watch gaps,
what is left over, and the requests of each client.

Usage:
  pilothouse report [--since 5m]
"""

FLAGS = (
    Flag("kubeconfig", "file", "", "command",
         "Credentials. Default: $KUBECONFIG, admin.kubeconfig in --data-dir, "
         "~/.kube/config."),
    output.FLAG,
    Flag("since", "string", "", "command",
         "Tell what is younger, such as 5m or 2026-01-31T12:00:00Z. Default: all that the server remembers."),
)  # fmt: skip


def run(arguments: Sequence[str]) -> None:
    """Run the command; raises FlagError, ConfigError, OSError, ValueError, ApiError."""
    config, values, rest = options.parse_command(arguments, FLAGS)
    if rest:
        raise FlagError('"pilothouse report" takes no arguments')
    form = output.chosen(values["output"])
    api = Api(kubeconfig_of(config.data, values["kubeconfig"]))
    path = f"{PATH}?{urlencode({'since': values['since']})}" if values["since"] else PATH
    if form in ("json", "yaml"):
        print(output.document(api.call("GET", path), form))
    else:
        print(api.text(path, accept="text/plain").rstrip() or "nothing has happened")
