"""Writes requests that took long to the log, with the steps that took their time,
in the form of upstream's k8s.io/utils/trace.

It is written with --v=2 and above, or with --vmodule=trace=2, as upstream does.
"""

import random
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator

from pilothouse.api.values.duration import show_duration
from pilothouse.logs import Logger
from pilothouse.spans import Attributes, Span, SpanEvent

log = Logger(__name__)

LEVEL = 2
"""The verbosity from which on slow requests are logged;
at EVERYTHING all their steps are, also the quick ones."""
EVERYTHING = 4
SLOW = 0.5
"""Seconds of a request from which on it is looked at."""

Item = SpanEvent | Span


def wanted() -> bool:
    """Whether the log is to tell of slow requests."""
    return log.enabled(LEVEL)


def tell(first: Span, spans: Iterable[Span]) -> None:
    """Log a span that took longer than its threshold; else those within it that did.

    spans: all of its trace. Those without a threshold are not shown.
    """
    within: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        if span.threshold is not None:
            within[span.parent].append(span)
    for text in _Text(within, all_steps=log.enabled(EVERYTHING)).texts(first):
        log.verbose_text(LEVEL, text)


class _Text:
    def __init__(self, within: dict[int, list[Span]], *, all_steps: bool) -> None:
        self._within = within
        self._all = all_steps
        self._wall = time.time() - time.perf_counter()

    def texts(self, span: Span) -> Iterator[str]:
        """The log lines of a span and of the spans within it (Trace.logTrace)."""
        if not _long(span):
            for one in self._within[span.id]:
                yield from self.texts(one)
            return
        number, took = random.getrandbits(31), span.ended - span.started
        fields = f"{_fields(span.attributes)} " if span.attributes else ""
        begun = time.strftime("%d-%b-%Y %H:%M:%S", time.localtime(span.started + self._wall))
        head = (
            f'Trace[{number}]: "{span.name}" {fields}({begun}.{self._milliseconds(span.started)}) (total'
            f" time: {_ms(took)}):"
        )
        lines = self._steps(span, f"\nTrace[{number}]: ", self._share(span))
        shown = show_duration(int(took * 1e9))
        yield f"{head}{''.join(lines)}\nTrace[{number}]: [{shown}] [{shown}] END"

    def _items(self, span: Span) -> list[Item]:
        """Events and spans within a span, by the time at which they happened or began."""
        items: list[Item] = [*span.events, *self._within[span.id]]
        return sorted(items, key=lambda one: one.started if isinstance(one, Span) else one.at)

    def _share(self, span: Span) -> float:
        """Seconds from which on a step of a span is shown:
        its share of the threshold (Trace.calculateStepThreshold)."""
        threshold = span.threshold or 0.0
        nested = self._within[span.id]
        items = len(span.events) + len(nested) + 1
        left = threshold - sum(one.threshold or 0.0 for one in nested)
        return threshold / 4 / items if left < threshold / 4 else left / (items - len(nested))

    def _steps(self, span: Span, indent: str, share: float) -> Iterator[str]:
        last = span.started
        for item in self._items(span):
            if isinstance(item, Span):
                yield from self._nested(item, indent, share)
                last = item.ended
                continue
            took = item.at - last
            if self._all or took >= share:
                yield f"{indent}---{self._summary(item.name, took, item.at, item.attributes)}"
            last = item.at

    def _nested(self, span: Span, indent: str, share: float) -> Iterator[str]:
        """A span within another one. Upstream leaves it out below its own threshold, and then nothing says
        where the time went; here it is also shown when it takes longer than a step of the other one may."""
        took = span.ended - span.started
        if not (_long(span) or self._all or took >= share):
            for one in self._within[span.id]:
                yield from self._nested(one, indent, share)
            return
        yield f"{indent}[{self._summary(span.name, took, span.started, span.attributes)}"
        yield from self._steps(span, indent + " ", self._share(span))
        yield "]"

    def _summary(self, name: str, took: float, at: float, attributes: Attributes) -> str:
        fields = f"{_fields(attributes)} " if attributes else ""
        clock = time.strftime("%H:%M:%S", time.localtime(at + self._wall))
        return f'"{name}" {fields}{_ms(took)} ({clock}.{self._milliseconds(at)})'

    def _milliseconds(self, at: float) -> str:
        return f"{int((at + self._wall) % 1 * 1000):03}"


def _long(span: Span) -> bool:
    return span.threshold is not None and span.ended - span.started >= span.threshold


def _ms(seconds: float) -> str:
    return f"{int(seconds * 1000)}ms"


def _fields(attributes: Attributes) -> str:
    return ",".join(f"{name}:{_value(value)}" for name, value in attributes.items())


def _value(value: object) -> str:
    """A value as Go prints it. What a client sends cannot begin a line of its own."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace("\n", "\\n").replace("\r", "\\r")
