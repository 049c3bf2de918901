"""`pilothouse doctor`: looks at the host and at the installation of a server, whether it runs or not."""

from collections.abc import Sequence

from pilothouse import options
from pilothouse.commands.checkup import CHECKS, Level
from pilothouse.flags import Flag, FlagError

FLAGS: tuple[Flag, ...] = ()
SERVER_FLAGS = (
    "data-dir",
    "cert-dir",
    "bind-address",
    "secure-port",
    "etcd-servers",
    "etcd-cafile",
    "etcd-certfile",
    "etcd-keyfile",
)
USAGE = """Look for what keeps a server from starting, or will: certificates, the clock, the disk, etcd, the port, limits.

Usage:
  pilothouse doctor [flags of the server]

It takes all flags of `pilothouse serve`; those that matter are below. Nothing is changed. The exit status is 1 when something
is wrong, 0 when there are warnings only.
"""


class Unwell(ValueError):
    """Something is wrong; the findings have been printed."""


def run(arguments: Sequence[str]) -> None:
    """Print what was found; raises FlagError, ConfigError, and Unwell when there are errors."""
    config, _, rest = options.parse_command(arguments, FLAGS)
    if rest:
        raise FlagError(f'"pilothouse doctor" does not take any arguments, got {list(rest)}')
    wrong = 0
    for check in CHECKS:
        for finding in check(config):
            wrong += finding.level is Level.ERROR
            print(f"{finding.level.value:8} {check.__name__:13} {finding.text}")
    if wrong:
        raise Unwell(f"{wrong} of these {'is an error' if wrong == 1 else 'are errors'}")
