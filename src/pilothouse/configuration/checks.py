"""Validates a configuration: one sentence per error, with upstream's message where it has one."""

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

from pilothouse.configuration.config import Config, all_flags
from pilothouse.configuration.entry_points import Offered, offered
from pilothouse.configuration.flags import Flag
from pilothouse.configuration.sections.section import Section


def check(config: Config, installed: Callable[[], list[Offered]] = offered) -> Iterator[str]:
    """Yield every fault of a configuration, in upstream's words where it has some.

    `installed` gives the admission plugins of installed packages; it is called where flags may mean them.
    """
    yield from _of_sections(config)
    yield from _of_files(config)
    yield from config.admission.plugin_faults(installed)


def _of_sections(section: Section) -> Iterator[str]:
    """The faults of a section and of those inside it."""
    for one in fields(section):
        inner = getattr(section, one.name)
        if isinstance(inner, Section):
            yield from _of_sections(inner)
    yield from section.faults()


def _of_files(config: Config) -> Iterator[str]:
    """Files that flags name and that cannot be opened."""
    for flag in all_flags():
        if not flag.effective or flag.name not in config.given:
            continue
        for path in _paths(flag, config.value(flag.name)):
            try:
                with open(path, "rb"):
                    pass
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or str(error)
                if flag.name == "egress-selector-config-file" and isinstance(error, FileNotFoundError):
                    yield f"{flag.name} {path} does not exist"
                    continue
                yield f"--{flag.name}: open {path}: {why.lower()}"


def _paths(flag: Flag, value: Any) -> tuple[str, ...]:
    """The files that a flag names."""
    if flag.kind == "file":
        return (value,) if value else ()
    if flag.kind == "files":
        return tuple(value)
    if flag.kind == "certKey":
        return tuple(path for cert, key, _ in value for path in (cert, key))
    return ()
