"""The findings of `pilothouse doctor`."""

from enum import Enum

from pilothouse.process.frozen import frozen


class Level(Enum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@frozen
class Finding:
    """A finding, and the advice about it."""

    level: Level
    text: str


def ok(text: str) -> Finding:
    """Nothing is wrong."""
    return Finding(Level.OK, text)


def warning(text: str) -> Finding:
    """Something may become wrong."""
    return Finding(Level.WARNING, text)


def error(text: str) -> Finding:
    """Something is wrong."""
    return Finding(Level.ERROR, text)
