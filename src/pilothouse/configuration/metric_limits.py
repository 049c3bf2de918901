"""The limits of the flags to the metrics:
single metrics, values of labels, deprecated metrics, and the small profile.

The rules for deprecated metrics, and for values that are not allowed, are those of component-base/metrics.
The small profile is our own: with it the number of series does not depend on how many definitions are served.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping

from pilothouse.api.yaml import text as yaml
from pilothouse.metrics._instruments import Distribution
from pilothouse.metrics.exposition import Labels, Value
from pilothouse.metrics.instruments import Counter, Group, Histogram, Metric, View
from pilothouse.process.version import GIT_VERSION

UNEXPECTED = "unexpected"
"""Stands for values of a label that are not allowed."""

CUSTOM = "custom"
"""Stands in the small profile for the group and the resource of custom resources,
and of aggregated servers' ones."""

EMPTY = frozenset(("crd", "crd_name", "subresource", "version"))
"""Labels that are empty in the small profile."""

EMPTY_IN_NUMBERS, EMPTY_IN_DISTRIBUTIONS = frozenset(("scope",)), frozenset(("group", "resource"))
"""The labels that are empty besides in counters and gauges, and in histograms and summaries."""

NOT_SMALL = frozenset(
    (
        "apiserver_storage_list_total",
        "apiserver_watch_cache_initializations_total",
        "apiserver_watch_cache_resource_version",
        "watch_cache_capacity",
    )
)
"""The metrics that the small profile leaves out,
because each resource has a series of them, whatever happens."""

NOT_ZERO = frozenset(("aggregator_unavailable_apiservice",))
"""The metrics of which the small profile shows no zeros, besides what is told by resource:
each group version has a series of it."""

PERIODS = {"STABLE": 3, "BETA": 1}
"""Minor releases for which a deprecated metric is shown, by its stability; others are hidden at once."""

MINOR = int(GIT_VERSION.split(".")[1])

Relabel = Callable[[Labels, Value], Labels]


LABEL = "[a-zA-Z_][a-zA-Z0-9_]*"
NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*"


class ManifestError(ValueError):
    """A manifest of allowed values cannot be used."""


def wrong_name(name: str) -> str:
    """The fault in the name of a metric, "" if there is none."""
    if re.fullmatch(NAME, name):
        return ""
    return f'must be fully qualified metric names matching "^{NAME}$", got {json.dumps(name)}'


def wrong_labels(labels: Mapping[str, str]) -> str:
    """The fault in the keys that name labels, "" if there is none."""
    if all(re.fullmatch(f"{NAME},{LABEL}", key) for key in labels):
        return ""
    return (
        f'must have keys with format `metricName,labelName` where metricName matches "{NAME}" '
        f'and labelName matches "{LABEL}"'
    )


def read_manifest(path: str) -> dict[str, str]:
    """The values, with commas between them, that labels may have, by "metric,label". Raises ManifestError."""
    try:
        with open(path, "rb") as file:
            value = yaml.parse(file.read()).value
    except (OSError, ValueError) as error:
        if isinstance(error, yaml.YAMLError):
            raise ManifestError(f"failed to parse allow list manifest: {error}") from None
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise ManifestError(f"failed to read allow list manifest: open {path}: {why}") from None
    labels = {} if value is None else value
    if not isinstance(labels, dict) or not all(isinstance(each, str) for each in labels.values()):
        raise ManifestError("failed to parse allow list manifest: it is no mapping of text to text")
    if problem := wrong_labels(labels):
        shown = json.dumps(labels, ensure_ascii=False, separators=(",", ":"))
        raise ManifestError(
            "invalid allow list mapping in manifest: "
            f"[metrics.allowListMappingManifest: Invalid value: {shown}: {problem}]"
        )
    return labels


class MetricLimits(Group):
    """The parts that are left out of the metrics of a server,
    and how often values of labels were not allowed.

    `allowed` gives the values that a label may have, with commas between them, by "metric,label"; `groups`
    are those of the built-in resources. What was not allowed is counted while the metrics are gathered,
    so the counter is read after the others.
    """

    def __init__(
        self,
        disabled: Collection[str] = (),
        allowed: Mapping[str, str] | None = None,
        *,
        show_hidden: bool = False,
        small: bool = False,
        groups: Collection[str] = (),
    ) -> None:
        self._disabled = frozenset(disabled)
        self._allowed = {key: frozenset(values.split(",")) for key, values in (allowed or {}).items()}
        self._show_hidden = show_hidden
        self._small = small
        self._groups = frozenset(groups)
        self._unexpected: dict[str, float] = {}
        self.unexpected = Counter(
            "cardinality_enforcement_unexpected_categorizations_total",
            "[ALPHA] Events that were counted under values of labels that are not allowed.",
            (),
            lambda: {(): sum(self._unexpected.values())},
        )

    def hides(self, metric: Metric) -> bool:
        """Whether a metric is left out because a flag disables it,
        or because it has been deprecated for too long."""
        if metric.name in self._disabled:
            return True
        return bool(metric.deprecated) and not self._show_hidden and _expired(metric)

    def view(self, metric: Metric) -> View | None:
        """How a metric is shown now; None: not at all.
        The count of its values that are not allowed begins anew."""
        self._unexpected.pop(metric.name, None)
        if self.hides(metric):
            return None
        if not self._small:
            return View(metric.bounds, self._confined(metric))
        if metric.name in NOT_SMALL:
            return None
        bounds = metric.coarse if isinstance(metric, Histogram) else metric.bounds
        zeros = "resource" not in metric.labels and metric.name not in NOT_ZERO
        return View(bounds, _chain(self._confined(metric), self._collapsed(metric)), zeros)

    def _confined(self, metric: Metric) -> Relabel | None:
        """Replaces the values that are not allowed."""
        lists = [self._allowed.get(f"{metric.name},{label}") for label in metric.labels]
        if not any(allowed is not None for allowed in lists):
            return None
        self._unexpected[metric.name] = 0

        def confine(labels: Labels, value: Value) -> Labels:
            out = list(labels)
            for at, allowed in enumerate(lists):
                if allowed is not None and out[at] not in allowed:
                    out[at] = UNEXPECTED
                    self._unexpected[metric.name] += value.count if isinstance(value, Distribution) else value
            return tuple(out)

        return confine

    def _collapsed(self, metric: Metric) -> Relabel | None:
        """Replaces what multiplies. A label of which a flag says the values keeps them."""
        names = ["" if f"{metric.name},{label}" in self._allowed else label for label in metric.labels]
        distribution = metric.kind in ("histogram", "summary")
        emptied = EMPTY | (EMPTY_IN_DISTRIBUTIONS if distribution else EMPTY_IN_NUMBERS)
        places = [at for at, name in enumerate(names) if name in emptied]
        if distribution or "resource" not in names:
            return _emptied(places) if places else None
        resource = names.index("resource")
        group = names.index("group") if "group" in names else None

        def collapse(labels: Labels, value: Value) -> Labels:
            out = list(labels)
            for at in places:
                out[at] = ""
            if group is None:  # then the resource is written as deployments.apps
                if out[resource].partition(".")[2] not in self._groups:
                    out[resource] = CUSTOM
            elif out[group] not in self._groups:
                out[group] = out[resource] = CUSTOM
            return tuple(out)

        return collapse


def _emptied(places: list[int]) -> Relabel:
    def empty(labels: Labels, value: Value) -> Labels:
        return tuple("" if at in places else label for at, label in enumerate(labels))

    return empty


def _chain(first: Relabel | None, second: Relabel | None) -> Relabel | None:
    if first is None or second is None:
        return first or second
    return lambda labels, value: second(first(labels, value), value)


def _expired(metric: Metric) -> bool:
    """Whether a deprecated metric has been so for longer than its stability promises."""
    stability = metric.help.partition("]")[0].removeprefix("[")
    return int(metric.deprecated.split(".")[1]) + PERIODS.get(stability, 0) <= MINOR
