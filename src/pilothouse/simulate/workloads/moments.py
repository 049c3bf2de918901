"""Times of objects, compared with the clock of the simulation."""

from pilothouse.api import meta
from pilothouse.api.values import times
from pilothouse.simulate.clock import Clock


def stamp(clock: Clock) -> str:
    """The time of the clock as objects hold it."""
    return meta.now(clock.time())


def seconds(text: str) -> float:
    """Unix seconds of a time that an object holds."""
    whole, micros = times.to_unix(text)
    return whole + micros / 1_000_000


def elapsed(clock: Clock, text: str) -> float:
    """Seconds since a time that an object holds."""
    return clock.time() - seconds(text)
