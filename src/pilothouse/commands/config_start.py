"""The check of a start: files that flags name, where one does, and those that the server keeps."""

from collections.abc import Iterator

from pilothouse.commands.config_own import own_problems
from pilothouse.commands.config_problem import Problem
from pilothouse.configuration.config import Config, all_flags

STATE = "from-state"
"""The flag of a file that the start itself reads."""
OTHERS = ("tls-sni-cert-key", "enable-admission-plugins")
"""Flags that name files, or plugins of packages, within a text."""


def problems(config: Config) -> Iterator[Problem]:
    """Every error in the files that flags name, and in those that the server keeps."""
    if not _names_files(config):
        yield from own_problems(config)
        return
    from pilothouse.commands import config_files  # with the reader of every file

    yield from config_files.problems(config)


def _names_files(config: Config) -> bool:
    names = (one.name for one in all_flags() if one.kind in ("file", "files") and one.name != STATE)
    return any(config.value(name) for name in (*names, *OTHERS))
