"""`pilothouse doctor`: looks at the host,
the installation and the stored objects of a server, whether it runs or not."""

import sqlite3
from collections.abc import Iterator, Sequence

from pilothouse.commands import output
from pilothouse.commands.checkup import CHECKS, Check
from pilothouse.commands.findings import Finding, Level, error
from pilothouse.configuration import options
from pilothouse.configuration.config import Config
from pilothouse.configuration.flags import Flag, FlagError
from pilothouse.storage.interface import StorageError

FLAGS = (
    output.FLAG,
    Flag(
        "store", "bool", False, "command", "Look at every stored object instead: whether clients can read it."
    ),
    Flag(
        "repair",
        "bool",
        False,
        "command",
        "With --store: write objects back of which it is known what they should be. No server may use an"
        " embedded store.",
    ),
    Flag(
        "remove",
        "bool",
        False,
        "command",
        "With --store: delete objects that clients cannot read and that cannot be repaired; not those that"
        " are encrypted.",
    ),
)
SERVER_FLAGS = (
    "data-dir",
    "cert-dir",
    "bind-address",
    "secure-port",
    "etcd-servers",
    "etcd-cafile",
    "etcd-certfile",
    "etcd-keyfile",
    "encryption-provider-config",
)
USAGE = """Look for what keeps a server from starting, or will: certificates, the clock, the disk, etcd, the port, limits.

Usage:
  pilothouse doctor [-o json|yaml] [flags of the server]
  pilothouse doctor --store [--repair] [--remove] [flags of the server]

It takes all flags of `pilothouse serve`; those that matter are below. Nothing is changed without --repair or --remove. What cannot
be looked at is an error, and the other checks go on. The exit status is 0 when nothing is wrong or there are warnings only, 1 when
something is wrong, 2 when the flags cannot be read.
"""  # noqa: E501


class Unwell(ValueError):
    """Something is wrong; the findings have been printed."""


def run(arguments: Sequence[str]) -> None:
    """Print what was found; raises FlagError, ConfigError, and Unwell when there are errors."""
    config, own, rest = options.parse_command(arguments, FLAGS)
    if rest:
        raise FlagError(f'"pilothouse doctor" does not take any arguments, got {list(rest)}')
    if (own["repair"] or own["remove"]) and not own["store"]:
        raise FlagError("--repair and --remove need --store")
    form = output.chosen(own["output"])
    looked = _stored(config, own["repair"], own["remove"]) if own["store"] else _host(config)
    found = []
    for name, finding in looked:
        found.append({"level": finding.level.value, "check": name, "message": finding.text})
        if form not in output.DOCUMENTS:  # line by line, for some checks take long
            print(f"{finding.level.value:8} {name:13} {finding.text}")
    if form in output.DOCUMENTS:
        print(output.document({"items": found}, form))
    wrong = sum(one["level"] == Level.ERROR.value for one in found)
    if wrong:
        raise Unwell(f"{wrong} of these {'is an error' if wrong == 1 else 'are errors'}")


def _host(config: Config, checks: Sequence[Check] = CHECKS) -> Iterator[tuple[str, Finding]]:
    for check in checks:
        try:
            for finding in check(config):
                yield check.__name__, finding
        except Exception as problem:  # whatever it is, the other checks are worth their answers
            yield check.__name__, error(f"this could not be looked at: {type(problem).__name__}: {problem}")


def _stored(config: Config, repair: bool, remove: bool) -> Iterator[tuple[str, Finding]]:
    from pilothouse.commands import (
        stored_objects,  # what it imports takes a while, and the host needs none of it
    )

    try:
        for finding in stored_objects.look(config, fix=repair, remove=remove):
            yield "store", finding
    except (StorageError, sqlite3.Error, OSError, ValueError) as problem:
        yield "store", error(str(problem))
