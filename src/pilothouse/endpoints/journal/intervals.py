"""The stages that a request goes through, with their times. The explanation and the spans are made of
them."""

from collections.abc import Iterable, Iterator
from typing import Protocol


class Moments(Protocol):
    """The times at which the stages of a request ended, as in Context and in the journal:
    by time.perf_counter(), 0 = not reached."""

    @property
    def started(self) -> float: ...
    @property
    def recognised(self) -> float: ...
    @property
    def decided(self) -> float: ...
    @property
    def answered(self) -> float: ...
    @property
    def acting(self) -> tuple[str, float] | None: ...


def intervals(
    of: Moments, waited: float, marks: Iterable[tuple[str, float]], ended: float, *, refused: bool
) -> Iterator[tuple[str, float, float]]:
    """Name, begin and end of each stage.

    waited: seconds in the queue of flow control.
    marks: of the timeline. refused: whether the answer is an error.
    """
    last = of.answered or ended
    at = of.started
    if not of.recognised:
        yield "authentication", at, last
    else:
        yield "authentication", at, of.recognised
        at, acting = of.recognised, of.acting
        if acting is not None:
            yield "impersonation", at, at + acting[1]
            at += acting[1]
        if waited:
            yield "queue", at, at + waited
            at += waited
        if of.decided:
            yield "authorization", at, of.decided
            at = of.decided
        for name, end in marks:
            yield name, at, end
            at = end
        yield ("refusal" if refused else "answer"), at, last
    if of.answered:
        yield "sending", of.answered, ended
