"""`pilothouse fork save | show`: the state of a server in a file from which others start."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pilothouse.api.values.clock import SYSTEM
from pilothouse.assembly.state_file import StateFile, keys_in, objects_in
from pilothouse.commands import output
from pilothouse.commands.api import Api, ApiError
from pilothouse.configuration import options
from pilothouse.configuration.config import Config
from pilothouse.configuration.flags import Flag, FlagError
from pilothouse.configuration.suggestions import nearest
from pilothouse.endpoints.documents.checkpoint_page import STATE_PATH
from pilothouse.files import write_file
from pilothouse.storage.interface import Unavailable

SERVER_FLAGS = ("data-dir",)
FLAGS = (
    Flag("kubeconfig", "file", "", "command",
         "Credentials of a server that runs with --test-api or --simulate: save its state. "
         "Default: the state in --data-dir."),
    output.FLAG,
)  # fmt: skip
USAGE = """Save the state of a server in a file from which others start, with all of its objects and with its keys.

Usage:
  pilothouse fork save FILE [--data-dir DIR]      Save the state in a data directory; a server may run meanwhile.
  pilothouse fork save FILE --kubeconfig FILE     Save that of a server that runs with --test-api or --simulate.
  pilothouse fork show FILE                       Tell what is in it.
  pilothouse serve --from-state FILE              Start from it, in a data directory that has no store yet.

The file has the keys of the server, so that tokens and certificates in it stay good: keep it as you keep those. A state has no
logical clusters, no history and no audit log.
"""  # noqa: E501


def run(arguments: Sequence[str]) -> None:
    """Run one of the commands; raises FlagError, ConfigError, OSError, ValueError, ApiError."""
    command = arguments[0] if arguments else ""
    commands = {"save": _save, "show": _show}
    if command not in commands:
        raise FlagError(f'unknown command "{command}" for "pilothouse fork"', nearest(command, commands))
    config, values, rest = options.parse_command(arguments[1:], FLAGS)
    output.chosen(values["output"])
    if len(rest) != 1:
        raise FlagError(f'"pilothouse fork {command}" takes the name of one file')
    commands[command](Path(rest[0]), config, values)


def _save(path: Path, config: Config, values: Mapping[str, Any]) -> None:
    write_file(path, _running(values["kubeconfig"]) if values["kubeconfig"] else _kept(config))
    _show(path, config, values)


def _kept(config: Config) -> bytes:
    """The state in a data directory."""
    directory = config.data.directory
    try:
        return StateFile(objects_in(directory), keys_in(directory), SYSTEM.time()).pack()
    except Unavailable as error:
        raise ValueError(str(error)) from None


def _running(kubeconfig: str) -> bytes:
    """The state of a server."""
    api = Api(Path(kubeconfig))
    try:
        return api.data(STATE_PATH)
    except ApiError as error:
        if error.status != 404:
            raise
        raise ApiError(
            f"{api.config.server} does not tell its state: start it with --test-api or --simulate, or say"
            " --data-dir"
        ) from None


def _show(path: Path, config: Config, values: Mapping[str, Any]) -> None:
    state = StateFile.read(path)
    pairs, revision = state.pairs()
    since = f"{datetime.fromtimestamp(state.time, UTC):%Y-%m-%dT%H:%M:%SZ}"
    told = {
        "time": since,
        "revision": revision,
        "objects": len(pairs),
        "keys": sorted(state.keys),
        "size": path.stat().st_size,
    }
    lines = [
        f"time      {since}",
        f"revision  {revision}",
        f"objects   {len(pairs)}",
        f"keys      {', '.join(sorted(state.keys))}",
        f"bytes     {told['size']}",
    ]
    output.tell(told, values["output"], lines)
