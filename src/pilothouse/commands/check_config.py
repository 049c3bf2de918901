"""`pilothouse check-config`: tells everything that is wrong
with the flags of a server and with the files that they name."""

from collections.abc import Sequence

from pilothouse.commands import config_files, output
from pilothouse.configuration import options
from pilothouse.configuration.config import all_flags
from pilothouse.configuration.flags import Flag, FlagError

FLAGS: tuple[Flag, ...] = (output.FLAG,)
SERVER_FLAGS = tuple(
    flag.name for flag in all_flags() if flag.kind in ("file", "files", "certKey") and flag.effective
)
USAGE = """Tell every error in the flags of a server and in the files that they name, with file and line.

Usage:
  pilothouse check-config [-o json|yaml] [flags of the server]

It takes all flags of `pilothouse serve`; those that name files are below. Whatever keeps `serve` from starting by its flags, their
files or the data directory is told, and certificates that have expired; run it as the user of the server. Nothing is started,
changed or connected to. The exit status is 0 without an error, 1 with one, 2 when the flags cannot be read.
"""  # noqa: E501


class Wrong(ValueError):
    """The error when a configuration has faults, which have been printed."""


def run(arguments: Sequence[str]) -> None:
    """Print all errors; raises FlagError for a command line that cannot be read,
    and Wrong when there are errors."""
    config, said, own, rest = options.read_flags(arguments, FLAGS)
    if rest:
        raise FlagError(f'"pilothouse check-config" does not take any arguments, got {list(rest)}')
    form = output.chosen(own["output"])
    found = [*said, *map(str, config_files.problems(config))]
    files = config_files.files(config)
    right = (
        f"the flags are right, and so {'is' if len(files) == 1 else 'are'} {len(files)}"
        f" {'file' if len(files) == 1 else 'files'}"
    )
    output.tell({"errors": found, "files": sorted(map(str, files))}, form, found or [right])
    if found:
        raise Wrong(f"{len(found)} {'error' if len(found) == 1 else 'errors'}")
