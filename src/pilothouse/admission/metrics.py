"""The metrics of admission (apiserver admission/metrics)."""

from pilothouse._instruments import Distribution
from pilothouse.instruments import Counter, Group, Histogram

SECONDS = (0.005, 0.025, 0.1, 0.5, 1, 2.5)
ADMIT, VALIDATE = "admit", "validate"
"""The types of steps: plugins may change the object in the first, and judge it in the second."""


class AdmissionMetrics(Group):
    """How long admission takes, as a whole and in each plugin, and what PodSecurity decides."""

    def __init__(self) -> None:
        labels = ("operation", "rejected", "type")
        self.plugins = Histogram(
            "apiserver_admission_controller_admission_duration_seconds",
            "[STABLE] Seconds in each admission plugin.",
            ("name", *labels),
            SECONDS,
        )
        self.steps = Histogram(
            "apiserver_admission_step_admission_duration_seconds",
            "[STABLE] Seconds in all admission plugins of a type.",
            labels,
            SECONDS,
        )
        self.plugin_failures = Counter(
            "pilothouse_admission_plugin_failures_total",
            "[ALPHA] Calls of plugins of installed packages that took too long or raised what is no refusal.",
            ("name", "reason", "type"),
        )
        request = ("request_operation", "resource", "subresource")
        self.pod_security_evaluations = Counter(
            "pod_security_evaluations_total",
            "[ALPHA] Pods and pod templates that were held against a policy.",
            ("decision", "mode", "policy_level", "policy_version", *request),
        )
        self.pod_security_exemptions = Counter(
            "pod_security_exemptions_total", "[ALPHA] Requests that are exempt from pod security.", request
        )
        self.pod_security_errors = Counter(
            "pod_security_errors_total",
            "[ALPHA] Requests whose policy could not be had or read.",
            ("fatal", *request),
        )

    def timers(self, kind: str) -> "Timers":
        """Where a type of step (ADMIT or VALIDATE) is timed."""
        return Timers(self, kind)


class Timers(dict[tuple[str, str], tuple[Distribution, Distribution]]):
    """(name of a plugin, operation) -> the durations of those that passed, and of those that were rejected.

    The name "" stands for all plugins together. PERF: a duration is counted by one look-up and one call.
    """

    def __init__(self, metrics: AdmissionMetrics, kind: str) -> None:
        super().__init__()
        self._metrics = metrics
        self._kind = kind

    def __missing__(self, key: tuple[str, str]) -> tuple[Distribution, Distribution]:
        name, operation = key
        histogram = self._metrics.plugins if name else self._metrics.steps
        labels = (name,) if name else ()
        passed = histogram.series(*labels, operation, "false", self._kind)
        rejected = histogram.series(*labels, operation, "true", self._kind)
        self[key] = passed, rejected
        return passed, rejected
