"""The metrics of admission (apiserver admission/metrics)."""

from time import perf_counter
from types import TracebackType

from pilothouse.instruments import Counter, Group, Histogram, Labels

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

    def step(self, kind: str, operation: str) -> "Timed":
        """Time all plugins of a type (ADMIT or VALIDATE)."""
        return Timed(self.steps, (), operation, kind)

    def plugin(self, name: str, kind: str, operation: str) -> "Timed":
        """Time one plugin."""
        return Timed(self.plugins, (name,), operation, kind)


class Timed:
    """Times a with statement; an exception that leaves it counts as a rejection."""

    __slots__ = ("_histogram", "_kind", "_name", "_operation", "_started")

    def __init__(self, histogram: Histogram, name: Labels, operation: str, kind: str) -> None:
        self._histogram, self._name, self._operation, self._kind = histogram, name, operation, kind

    def __enter__(self) -> None:
        self._started = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        labels = (*self._name, self._operation, "false" if error is None else "true", self._kind)
        self._histogram.observe(perf_counter() - self._started, *labels)
