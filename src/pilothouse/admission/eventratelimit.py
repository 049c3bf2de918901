"""EventRateLimit: events are refused that come too fast, by server, namespace, user or source and object."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from pilothouse import errors
from pilothouse.admission.about import WRITES, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.configfile import ConfigurationError, expect, refuse, refuse_unknown
from pilothouse.api.values.fields import Errors, Object
from pilothouse.registry.admission import AdmissionAttributes

VERSIONS = ("eventratelimit.admission.k8s.io/v1alpha1",)
KEPT = 4096
"""Keys of a limit that are remembered where the configuration does not say how many;
the oldest are forgotten."""

INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion")


class Limit(NamedTuple):
    """The rate of events (a second, and at once) that each key of a type may have."""

    type: str
    qps: float
    burst: int
    kept: int


class EventRateLimit(AdmissionPlugin):
    name = "EventRateLimit"
    about = (About(WRITES, ("events",)),)

    def __init__(self, section: Object | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limiters: list[_Limiter]
        self.prepare(section)()

    def prepare(self, section: Object | None) -> Callable[[], None]:
        limiters = [_Limiter(limit, self._clock) for limit in read(section)]

        def use() -> None:
            self._limiters = limiters

        return use

    def validate(self, a: AdmissionAttributes) -> None:
        """Every limit counts the event, also when another one refuses it; the last refusal is told."""
        refusals = [why for limiter in self._limiters if (why := limiter.refusal(a))]
        if refusals:
            raise errors.TooManyRequests(f"Too many requests: {refusals[-1]}")


class _Limiter:
    """Token buckets by the hash of their key, so that long names take no memory."""

    def __init__(self, limit: Limit, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._buckets: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def refusal(self, a: AdmissionAttributes) -> str:
        """Take a token for an event; returns the text of the refusal when there is none."""
        limit, now = self._limit, self._clock()
        text = KEYS[limit.type](a)
        key = hash(text)
        tokens, since = self._buckets.pop(key, (float(limit.burst), now))
        tokens = min(limit.burst, tokens + (now - since) * limit.qps)
        allowed = tokens >= 1
        self._buckets[key] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > limit.kept:
            self._buckets.popitem(last=False)
        return "" if allowed else f"limit reached on type {limit.type} for key {text}"


def _source_and_object(a: AdmissionAttributes) -> str:
    event = a.obj or {}
    source, involved = event.get("source") or {}, event.get("involvedObject") or {}
    return "".join(
        (
            source.get("component", ""),
            source.get("host", ""),
            *(involved.get(member, "") for member in INVOLVED),
        )
    )


KEYS: dict[str, Callable[[AdmissionAttributes], str]] = {
    "Server": lambda a: "",
    "Namespace": lambda a: a.namespace,
    "User": lambda a: a.user.name,
    "SourceAndObject": _source_and_object,
}
"""The key by which the events of a limit's type are counted."""


def read(section: Object | None) -> list[Limit]:
    """The limits of a configuration; ConfigurationError when there are none or one is wrong."""
    if section is not None:
        expect(section, VERSIONS, "Configuration", ("limits",))
    errs, listed = Errors(), (section or {}).get("limits") or []
    if not isinstance(listed, list):
        raise ConfigurationError("limits: it must be a list")
    limits = [
        refuse_unknown(limit, ("type", "qps", "burst", "cacheSize"), f"limits[{at}].")
        for at, limit in enumerate(listed)
    ]
    if not limits:
        errs.invalid("limits", None, "must not be empty")
    out = []
    for at, limit in enumerate(limits):
        kind, burst, qps = limit.get("type", ""), limit.get("burst") or 0, limit.get("qps") or 0
        kept = limit.get("cacheSize") or 0
        if kind not in KEYS:
            errs.not_supported(f"limits[{at}].type", kind, KEYS)
        if burst <= 0:
            errs.invalid(f"limits[{at}].burst", burst, "must be positive")
        if qps <= 0:
            errs.invalid(f"limits[{at}].qps", qps, "must be positive")
        if kind != "Server" and kept < 0:
            errs.invalid(f"limits[{at}].cacheSize", kept, "must not be negative")
        out.append(Limit(kind, qps, burst, kept or KEPT))
    refuse(errs)
    return out
