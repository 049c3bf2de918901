"""Turns a command line into a validated configuration."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pilothouse.configuration import flags
from pilothouse.configuration.checks import check
from pilothouse.configuration.config import Config, all_flags, configuration
from pilothouse.configuration.flags import Flag, FlagError


class ConfigError(ValueError):
    """A configuration that cannot work; `problems` has a sentence for each cause."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def help_text(program: str, width: int = 0) -> str:
    """The output of --help."""
    return (
        "Pilothouse serves the Kubernetes API: it validates and keeps the objects of a cluster, and tells "
        f"those who watch them.\n\nUsage:\n  {program} [flags]\n{flags.usage(all_flags(), width)}"
    )


def command_help(usage: str, own: Sequence[Flag], of_server: Sequence[str], width: int = 0) -> str:
    """The output of --help of a command:
    its own flags, and those of the server's that mean something to it."""
    known = {flag.name: flag for flag in all_flags()}
    return f"{usage}{flags.usage((*own, *(known[name] for name in of_server)), width)}"


def asks_for(arguments: Sequence[str]) -> str:
    """`help` or `version` when the command line asks for that instead of a server; raises FlagError."""
    values, _ = flags.parse(arguments, all_flags())
    return "help" if values.get("help") else "version" if values.get("version") in ("true", "raw") else ""


OURS = MappingProxyType({"enable-bootstrap-token-auth": True, "console": True})
"""Flags whose defaults `pilothouse serve` has of its own; those of `kube-apiserver` are upstream's."""


STORE_FLAGS = ("etcd-servers", "data-dir", "storage-backend")
"""Flags that say where objects are kept."""
NO_STORE = (
    "--etcd-servers must be specified; to keep objects without etcd, give --data-dir=DIRECTORY or"
    " --storage-backend=sqlite"
)


def parse(
    arguments: Sequence[str], program: str = "kube-apiserver", *, ours: bool = False, upstream: bool = False
) -> Config:
    """Read and check a command line. Raises FlagError for its form, ConfigError for its sense.

    `ours` selects the defaults of `pilothouse serve`. With `upstream` a flag must say where objects are kept,
    as kube-apiserver demands: without its --etcd-servers a control plane would serve an empty cluster.
    """
    values, rest = flags.parse(arguments, all_flags())
    rest = [argument for argument in rest if argument]
    if rest:
        raise FlagError(f'"{program}" does not take any arguments, got [{" ".join(map(_quote, rest))}]')
    config, problems = _checked(values, OURS if ours else {})
    if upstream and not any(values.get(name) for name in STORE_FLAGS):
        problems.insert(0, NO_STORE)
    if problems:
        raise ConfigError(problems)
    return config


def parse_command(
    arguments: Sequence[str], extra: Sequence[Flag]
) -> tuple[Config, dict[str, Any], Sequence[str]]:
    """Read the command line of a command with flags of its own beside the server's:
    also their values, and arguments.

    Raises FlagError and ConfigError as parse() does.
    """
    values, rest = flags.parse(arguments, (*all_flags(), *extra))
    own = {flag.name: values.pop(flag.name, flag.default) for flag in extra}
    config, problems = _checked(values, {})
    if problems:
        raise ConfigError(problems)
    return config, own, rest


def read_flags(
    arguments: Sequence[str], extra: Sequence[Flag] = ()
) -> tuple[Config, list[str], dict[str, Any], Sequence[str]]:
    """Read a server's command line with flags beside the server's: the configuration, what is wrong with it,
    the values of the other flags, and arguments. Raises FlagError."""
    values, rest = flags.parse(arguments, (*all_flags(), *extra))
    own = {flag.name: values.pop(flag.name, flag.default) for flag in extra}
    return *_checked(values, OURS), own, rest


def _checked(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[Config, list[str]]:
    config = configuration(Config, {**defaults, **values}, frozenset(values))
    return config, list(check(config))


def _quote(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'
