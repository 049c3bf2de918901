"""Times of objects, compared with the clock of the simulation."""

from pilothouse.api.values import times
from pilothouse.simulate.clock import Clock


def seconds(text: str) -> float:
    """Unix seconds of a time that an object holds."""
    whole, micros = times.to_unix(text)
    return whole + micros / 1_000_000


def elapsed(clock: Clock, text: str) -> float:
    """Seconds since a time that an object holds."""
    return clock.time() - seconds(text)
