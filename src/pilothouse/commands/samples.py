"""Reads the text format of Prometheus, and what two readings of it say together: rates and quantiles."""

import math
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Labels = Mapping[str, str]
Families = dict[str, dict[str, float]]
"""The value of each series, by the name of its family and the text of its labels."""

_LINE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def parse(text: str) -> Families:
    """The families of an exposition; lines that are none are passed over."""
    out: Families = {}
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is not None:
            out.setdefault(found[1], {})[found[2] or ""] = float(found[3])
    return out


def gained(now: Families, before: Families) -> Families:
    """The gains of counters since an earlier reading.
    One that has become smaller was reset, and counts from zero."""
    out: Families = {}
    for name, series in now.items():
        old = before.get(name, {})
        out[name] = {
            key: value - last if value >= (last := old.get(key, 0)) else value
            for key, value in series.items()
        }
    return out


def scaled(families: Families, by_: float) -> Families:
    """All values, divided by a number: gains become rates."""
    return {name: {key: value / by_ for key, value in series.items()} for name, series in families.items()}


def summed(many: Iterable[Families]) -> Families:
    """The sums of the same series in several readings."""
    out: Families = {}
    for families in many:
        for name, series in families.items():
            into = out.setdefault(name, {})
            for key, value in series.items():
                into[key] = into.get(key, 0) + value
    return out


def by(families: Families, name: str, key: Callable[[Labels], Key | None]) -> dict[Key, float]:
    """The sums of a family's series by a key of their labels; those whose key is None are left out."""
    out: dict[Key, float] = {}
    for text, value in families.get(name, {}).items():
        place = key(dict(_LABEL.findall(text)))
        if place is not None:
            out[place] = out.get(place, 0) + value
    return out


def total(families: Families, name: str, wanted: Callable[[Labels], bool] = lambda _: True) -> float:
    """The sum of a family's series that are wanted."""
    return sum(by(families, name, lambda labels: "" if wanted(labels) else None).values())


Buckets = dict[float, float]
"""Cumulative counts by upper bound."""


def buckets(families: Families, name: str, key: Callable[[Labels], Key | None]) -> dict[Key, Buckets]:
    """The histograms of a family by a key of their labels."""
    out: dict[Key, Buckets] = {}
    for text, value in families.get(f"{name}_bucket", {}).items():
        labels = dict(_LABEL.findall(text))
        place = key(labels)
        if place is not None:
            bounds = out.setdefault(place, {})
            bound = float(labels["le"].replace("+Inf", "inf"))
            bounds[bound] = bounds.get(bound, 0) + value
    return out


def quantile(share: float, found: Buckets) -> float:
    """A quantile as histogram_quantile of Prometheus estimates it; NaN where nothing was counted."""
    bounds = sorted(found.items())
    if not bounds or not bounds[-1][1]:
        return math.nan
    rank, lower, below = share * bounds[-1][1], 0.0, 0.0
    for bound, count in bounds:
        if count >= rank:
            if bound == math.inf:
                return lower
            return bound if count == below else lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return lower
